"""Keeps a folder equal to the log (C2SP tlog-tiles): what it has is not fetched again.

1. A complete bundle that the folder has, and whose hashes it has, is taken from there: also one of
   a run that was cut. The disk may have changed it: where the tree comes out another one, all of it
   is fetched anew beside the folder, and only then is anybody accused.
2. Hashes, tiles and root are computed here. The root must be the new checkpoint's, and on the way
   that of the folder's own checkpoint: then all of it is one log that only grew.
3. The side parts that the leaves name (`tlog.side_parts`) are fetched. One that is gone may have
   been destroyed since the checkpoint: GoneError asks for a newer one, whose leaves then say so.
4. Only then comes the new checkpoint, which says how much of the folder counts, and goes what is
   of no use any more: the partial tiles of before, and parts that were destroyed.

Wherever it is cut, the folder holds what its checkpoint says, and the next run takes it up.
"""

import hashlib
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.client.files import sync_folder, write_private
from gateway.tlog import tiles
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.frontier import Frontier
from gateway.tlog.keys import LogKeys
from gateway.tlog.merkle import leaf_hash, root_of
from gateway.tlog.note import NoteError
from gateway.tlog.side_parts import SEALED_FOLDER, Naming, path_of
from gateway.tlog.tiles import TILE_WIDTH, Rows, Tile, TileError

CHECKPOINT_FILE = "checkpoint"
# Where everything is fetched to that may be other than what the folder has.
ANEW_FOLDER = ".anew"
# Fetches a file of the log by its path; None where there is none.
Fetch = Callable[[str], Awaitable[bytes | None]]
Progress = Callable[[int, int], None]
# The entries of a bundle, each with its hash.
Hashed = list[tuple[bytes, bytes]]


class MirrorError(Exception):
    """The folder cannot be made equal to the log; `code` is one word per cause."""

    def __init__(self, code: str, message: str) -> None:
        """Make an error; `code` is stable, the message is for people."""
        super().__init__(message)
        self.code = code


class GoneError(Exception):
    """The gateway has not these side parts, whose end no leaf of this checkpoint tells."""

    def __init__(self, digests: frozenset[str]) -> None:
        """Tell of which."""
        super().__init__(f"{len(digests)} side parts are gone")
        self.digests = digests


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What came of it: entries now, before, bundles and side parts fetched, parts not there."""

    size: int
    before: int
    fetched: int
    parts: int = 0
    missing: int = 0


@dataclass(slots=True)
class Mirror:
    """A folder, and the keys that its checkpoint must be signed by."""

    folder: Path
    keys: LogKeys
    _frontier: Frontier = field(default_factory=Frontier)
    # The hashes of level 1, of level 2, ...
    _rows: Rows = field(default_factory=Rows)
    _naming: Naming = field(default_factory=Naming)
    # Bundles that were taken from the folder; what was fetched, in all rounds.
    _kept: int = 0
    _fetched: int = 0
    _parts_fetched: int = 0

    async def update(
        self,
        signed: str,
        fetch: Fetch,
        beside: Mapping[str, str],
        progress: Progress = lambda *_: None,
        *,
        gone: frozenset[str] = frozenset(),
    ) -> Mirrored:
        """Make the folder that of the signed checkpoint, with the files `beside` it.

        `gone` are side parts that an older checkpoint had missed already: they are left to the
        verifier. Raises GoneError for others, MirrorError (FOLDER_EXISTS, FOLDER_DAMAGED,
        LOG_SHORTENED, HISTORY_DIFFERS, ROOT_DIFFERS, FILE_MISSING, PART_DIFFERS), what `fetch`
        raises, NoteError, TileError, OSError; the folder's checkpoint then stays.
        """
        newest, before = self.keys.open(signed), self._before()
        if before.size > newest.size:
            text = f"the log has {newest.size} entries, the folder {before.size}"
            raise MirrorError("LOG_SHORTENED", text)
        try:
            await self._tree(newest, before, fetch, progress, self.folder)
        except MirrorError:
            if not self._kept:
                raise
            await self._anew(newest, before, fetch, progress)
        missing = await self._parts(fetch)
        if missing - gone:
            raise GoneError(frozenset(missing))
        self._finish(newest.size, {**beside, CHECKPOINT_FILE: signed})
        return Mirrored(newest.size, before.size, self._fetched, self._parts_fetched, len(missing))

    def _before(self) -> Checkpoint:
        """Return the checkpoint that the folder has, an empty log's where there is no folder."""
        path = self.folder / CHECKPOINT_FILE
        if path.is_file():
            try:
                return self.keys.open(path.read_bytes().decode())
            except (NoteError, UnicodeDecodeError) as error:
                text = "the folder's own checkpoint is none of this log"
                raise MirrorError("FOLDER_DAMAGED", text) from error
        # A first run that was cut leaves tiles and parts without a checkpoint.
        ours = {"tile", SEALED_FOLDER, ANEW_FOLDER}
        if self.folder.exists() and {one.name for one in self.folder.iterdir()} - ours:
            raise MirrorError("FOLDER_EXISTS", f"{self.folder} exists and is no mirror")
        return Checkpoint(self.keys.origin, 0, Frontier().root())

    async def _tree(
        self, newest: Checkpoint, before: Checkpoint, fetch: Fetch, progress: Progress, to: Path
    ) -> None:
        """1, 2: bring every bundle, and prove that they are the checkpoint's."""
        self._frontier, self._rows, self._naming, self._kept = Frontier(), Rows(), Naming(), 0
        self._compare(before)
        for bundle in tiles.bundles_of(newest.size):
            own = self._own(bundle) if to == self.folder else None
            if own is not None:
                self._kept += 1
            self._grow(own or await self._take(bundle, fetch, to), before)
            progress(self._frontier.size, newest.size)
        if self._frontier.root() != newest.root:
            text = "these entries do not have the checkpoint's root"
            raise MirrorError("ROOT_DIFFERS", text)

    async def _anew(
        self, newest: Checkpoint, before: Checkpoint, fetch: Fetch, progress: Progress
    ) -> None:
        """1: fetch everything beside the folder, and put it there once it is proven."""
        anew = self.folder / ANEW_FOLDER
        shutil.rmtree(anew, ignore_errors=True)
        try:
            await self._tree(newest, before, fetch, progress, anew)
            for path in [one for one in anew.rglob("*") if one.is_file()]:
                place = self.folder / path.relative_to(anew)
                place.parent.mkdir(parents=True, exist_ok=True)
                path.replace(place)
        finally:
            shutil.rmtree(anew, ignore_errors=True)

    def _own(self, bundle: Tile) -> Hashed | None:
        """1: return a complete bundle that the folder has, None to fetch it."""
        if bundle.width < TILE_WIDTH:
            return None
        try:
            found = _hashed(bundle, (self.folder / bundle.path).read_bytes())
            known = (self.folder / Tile(0, bundle.n).path).read_bytes()
        except (OSError, TileError):
            return None
        return found if known == b"".join(one for _, one in found) else None

    async def _take(self, bundle: Tile, fetch: Fetch, to: Path) -> Hashed:
        """1, 2: put a fetched bundle and its hashes into a folder; returns it."""
        content = await fetch(bundle.path)
        if content is None:
            raise MirrorError("FILE_MISSING", f"the gateway has no {bundle.path}")
        found = _hashed(bundle, content)
        _put(to / bundle.path, content)
        _put(to / Tile(0, bundle.n, bundle.width).path, b"".join(one for _, one in found))
        self._fetched += 1
        return found

    def _grow(self, bundle: Hashed, before: Checkpoint) -> None:
        """2: append a bundle's entries."""
        for entry, hashed in bundle:
            self._naming.take(self._frontier.size, entry)
            self._frontier.append(hashed)
            self._compare(before)
        if len(bundle) == TILE_WIDTH:
            self._rows.grow(root_of([hashed for _, hashed in bundle]))

    def _compare(self, before: Checkpoint) -> None:
        """2: at the size of the folder's checkpoint the root is that checkpoint's."""
        if self._frontier.size == before.size and self._frontier.root() != before.root:
            text = f"the log of {before.size} entries was another one when the folder was written"
            raise MirrorError("HISTORY_DIFFERS", text)

    async def _parts(self, fetch: Fetch) -> set[str]:
        """3: fetch the side parts that the folder lacks; return which are gone."""
        missing: set[str] = set()
        for digest in sorted(self._naming.digests() - self._naming.destroyed()):
            path = self.folder / path_of(digest)
            if path.is_file() and _digest(path.read_bytes()) == digest:
                continue
            content = await fetch(path_of(digest))
            if content is None:
                missing.add(digest)
            elif _digest(content) != digest:
                raise MirrorError("PART_DIFFERS", f"{path_of(digest)} is another part")
            else:
                _put(path, content)
                self._parts_fetched += 1
        return missing

    def _finish(self, size: int, files: Mapping[str, str]) -> None:
        """4: write the upper tiles, what stands beside them, the checkpoint last; then tidy up."""
        for tile in tiles.tiles_of(size):
            if tile.level:
                begin = tile.n * TILE_WIDTH
                row = self._rows.rows[tile.level - 1]
                _put(self.folder / tile.path, b"".join(row[begin : begin + tile.width]))
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_private(path, content.encode())
        sync_folder(self.folder)
        for digest in self._naming.destroyed() & self._naming.digests():
            (self.folder / path_of(digest)).unlink(missing_ok=True)
        wanted = {one.path for one in [*tiles.tiles_of(size), *tiles.bundles_of(size)]}
        for partial in self.folder.glob("tile/**/*.p/*"):
            if partial.relative_to(self.folder).as_posix() not in wanted:
                partial.unlink()
        for emptied in self.folder.glob("tile/**/*.p"):
            if not any(emptied.iterdir()):
                emptied.rmdir()


def _hashed(bundle: Tile, content: bytes) -> Hashed:
    return [(entry, leaf_hash(entry)) for entry in tiles.split_bundle(bundle, content)]


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
