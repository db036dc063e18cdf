"""Keeps a folder equal to the log (C2SP tlog-tiles): only entries are fetched, the rest follows.

1. Complete bundles whose hashes the folder has from before are not fetched again.
2. Hashes, tiles and root are computed here. The root must be the new checkpoint's, and on the way
   that of the folder's own checkpoint: then all of it is one log that only grew.
3. Only then comes the new checkpoint, which says how much of the folder counts, and goes what is
   of no use any more: the partial tiles of before.

Wherever it is cut, the folder holds what its checkpoint says, and the next run takes it up.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.client.files import sync_folder, write_private
from gateway.tlog import tiles
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.frontier import Frontier
from gateway.tlog.keys import LogKeys
from gateway.tlog.merkle import leaf_hash, root_of
from gateway.tlog.tiles import LEVEL_MAX, TILE_WIDTH, Tile, TileError

CHECKPOINT_FILE = "checkpoint"
# Fetches a file of the log by its path.
Fetch = Callable[[str], Awaitable[bytes]]
Progress = Callable[[int, int], None]


class MirrorError(Exception):
    """The folder cannot be made equal to the log; `code` is one word per cause."""

    def __init__(self, code: str, message: str) -> None:
        """Make an error; `code` is stable, the message is for people."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What came of it: entries now, entries before, files fetched."""

    size: int
    before: int
    fetched: int


@dataclass(slots=True)
class Mirror:
    """A folder, and the keys that its checkpoint must be signed by."""

    folder: Path
    keys: LogKeys
    _frontier: Frontier = field(default_factory=Frontier)
    # The hashes of level 1, of level 2, ...
    _rows: list[list[bytes]] = field(default_factory=list)

    async def update(
        self,
        signed: str,
        fetch: Fetch,
        beside: Mapping[str, str],
        progress: Progress = lambda *_: None,
    ) -> Mirrored:
        """Make the folder that of the signed checkpoint, with the files `beside` it.

        Raises MirrorError (FOLDER_EXISTS, LOG_SHORTENED, HISTORY_DIFFERS, ROOT_DIFFERS), what
        `fetch` raises, NoteError, TileError, OSError; the folder's checkpoint then stays.
        """
        newest, before = self.keys.open(signed), self._before()
        if before.size > newest.size:
            text = f"the log has {newest.size} entries, the folder {before.size}"
            raise MirrorError("LOG_SHORTENED", text)
        self._frontier, self._rows, fetched = Frontier(), [], 0
        self._compare(before)
        for bundle in tiles.bundles_of(newest.size):
            hashes = self._kept(bundle, before.size)
            if hashes is None:
                hashes = self._take(bundle, await fetch(bundle.path))
                fetched += 1
            self._grow(hashes, before)
            progress(self._frontier.size, newest.size)
        if self._frontier.root() != newest.root:
            text = "these entries do not have the checkpoint's root"
            raise MirrorError("ROOT_DIFFERS", text)
        self._finish(newest.size, {**beside, CHECKPOINT_FILE: signed})
        return Mirrored(newest.size, before.size, fetched)

    def _before(self) -> Checkpoint:
        """Return the checkpoint that the folder has, an empty log's where there is no folder."""
        path = self.folder / CHECKPOINT_FILE
        if path.is_file():
            return self.keys.open(path.read_text(encoding="utf-8"))
        # A first run that was cut leaves tiles without a checkpoint.
        if self.folder.exists() and {one.name for one in self.folder.iterdir()} - {"tile"}:
            raise MirrorError("FOLDER_EXISTS", f"{self.folder} exists and is no mirror")
        return Checkpoint(self.keys.origin, 0, Frontier().root())

    def _kept(self, bundle: Tile, before: int) -> list[bytes] | None:
        """1: return the hashes of a complete bundle that the folder has, None to fetch it."""
        if (bundle.n + 1) * TILE_WIDTH > before or not (self.folder / bundle.path).is_file():
            return None
        tile = Tile(0, bundle.n)
        try:
            return tiles.split_hashes(tile, (self.folder / tile.path).read_bytes())
        except (OSError, TileError):
            return None

    def _take(self, bundle: Tile, content: bytes) -> list[bytes]:
        """2: put a fetched bundle and its hashes into the folder; returns these."""
        hashes = [leaf_hash(each) for each in tiles.split_bundle(bundle, content)]
        self._put(bundle, content)
        self._put(Tile(0, bundle.n, bundle.width), b"".join(hashes))
        return hashes

    def _grow(self, hashes: list[bytes], before: Checkpoint) -> None:
        """2: append a bundle's hashes."""
        for each in hashes:
            self._frontier.append(each)
            self._compare(before)
        if len(hashes) == TILE_WIDTH:
            self._raise(root_of(hashes))

    def _raise(self, root: bytes) -> None:
        """2: put a complete tile's root into the row above, and so on upwards."""
        for level in range(1, LEVEL_MAX + 1):
            if level > len(self._rows):
                self._rows.append([])
            row = self._rows[level - 1]
            row.append(root)
            if len(row) % TILE_WIDTH:
                return
            root = root_of(row[-TILE_WIDTH:])

    def _compare(self, before: Checkpoint) -> None:
        """2: at the size of the folder's checkpoint the root is that checkpoint's."""
        if self._frontier.size == before.size and self._frontier.root() != before.root:
            text = f"the log of {before.size} entries was another one when the folder was written"
            raise MirrorError("HISTORY_DIFFERS", text)

    def _put(self, tile: Tile, content: bytes) -> None:
        path = self.folder / tile.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def _finish(self, size: int, files: Mapping[str, str]) -> None:
        """3: write the upper tiles, what stands beside them, the checkpoint last; then tidy up."""
        for tile in tiles.tiles_of(size):
            if tile.level:
                begin = tile.n * TILE_WIDTH
                row = self._rows[tile.level - 1]
                self._put(tile, b"".join(row[begin : begin + tile.width]))
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_private(path, content.encode())
        sync_folder(self.folder)
        wanted = {one.path for one in [*tiles.tiles_of(size), *tiles.bundles_of(size)]}
        for partial in self.folder.glob("tile/**/*.p/*"):
            if partial.relative_to(self.folder).as_posix() not in wanted:
                partial.unlink()
        for emptied in self.folder.glob("tile/**/*.p"):
            if not any(emptied.iterdir()):
                emptied.rmdir()
