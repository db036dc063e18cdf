"""Verifies an exported log from its files alone: no database, no server, no network.

    0 keys          each note in log-keys signed by both its keys, none contradicting another
    1 checkpoint    signed by a key that proves its size, of the log named by that key
    2 entries       each bundle exact, each leaf's hash the one in its tile
    3 tiles         every tile, complete and partial, what the level below makes it
    4 root          the entries' tree has the checkpoint's root
    5 older         each older checkpoint one brings along is a prefix of this log
    6 leaves        canonical, with time, kind and decision; clock steps, repeats, open pairs told
    7 successions   each key that the log says followed another has its note

Every failure has a code; verifying goes on after one, to tell the rest.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.judging import Failure, Judging
from gateway.config import log_keys
from gateway.tlog import tiles
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.frontier import Frontier
from gateway.tlog.keys import LogKeys
from gateway.tlog.merkle import leaf_hash, root_of
from gateway.tlog.note import NoteError, Verifier
from gateway.tlog.tiles import TILE_WIDTH, Tile, TileError

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Report:
    """What was proven of a folder, and what was not; `failures` empty means: all of it."""

    checkpoint: Checkpoint | None
    failures: tuple[Failure, ...]
    notices: tuple[Failure, ...]
    older: tuple[int, ...]
    judging: Judging
    keys: LogKeys


def verify_folder(
    folder: Path,
    trusted: Verifier | LogKeys,
    *,
    older: Iterable[str] = (),
    progress: Progress = lambda *_: None,
) -> Report:
    """Verify an export by the key, or keys, that are trusted and those that it shows to follow.

    `older` are signed checkpoints kept from before, whoever kept them.
    """
    keys = LogKeys.of(trusted) if isinstance(trusted, Verifier) else trusted
    return _Verification(folder, keys, progress).report(older)


class _Verification:
    """One pass over a folder."""

    def __init__(self, folder: Path, keys: LogKeys, progress: Progress) -> None:
        self._folder = folder
        self._keys = keys
        self._progress = progress
        self._judging = Judging()
        self._fail = self._judging.failures
        self._proven: list[int] = []
        # The hashes of level 1, of level 2, ...
        self._rows: list[list[bytes]] = []

    def report(self, older: Iterable[str]) -> Report:
        self._follow()
        newest = self._newest()
        if newest is not None:
            self._tree(newest, self._older(older, newest))
        self._judging.finish(self._keys)
        return Report(
            newest,
            tuple(self._judging.failures),
            tuple(self._judging.notices),
            tuple(sorted(self._proven)),
            self._judging,
            self._keys,
        )

    def _follow(self) -> None:
        """0: take up what the folder's notes add to the keys that are trusted."""
        try:
            self._keys = self._keys.followed(log_keys.read(self._folder / log_keys.FOLDER))
        except NoteError as error:
            self._fail.append(Failure(error.code, log_keys.FOLDER, str(error)))

    def _newest(self) -> Checkpoint | None:
        """1: return the checkpoint of the folder."""
        try:
            raw = (self._folder / "checkpoint").read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            self._fail.append(Failure("CHECKPOINT_MISSING", "checkpoint", type(error).__name__))
            return None
        return self._open(raw, "checkpoint")

    def _open(self, raw: str, where: str) -> Checkpoint | None:
        """Return a signed checkpoint, None after telling why it is none."""
        try:
            return self._keys.open(raw)
        except NoteError as error:
            self._fail.append(Failure(error.code, where, str(error)))
            return None

    def _older(self, notes: Iterable[str], newest: Checkpoint) -> dict[int, list[bytes]]:
        """Return the roots that this log must have had at earlier sizes."""
        expected: dict[int, list[bytes]] = {}
        for number, raw in enumerate(notes, 1):
            where = f"older checkpoint {number}"
            known = self._open(raw, where)
            if known is None:
                continue
            if known.size > newest.size:
                text = f"the log has {newest.size} entries, {known.size} were signed"
                self._fail.append(Failure("LOG_SHORTENED", where, text))
                continue
            expected.setdefault(known.size, []).append(known.root)
        return expected

    def _tree(self, newest: Checkpoint, older: dict[int, list[bytes]]) -> None:
        """2 to 5: rebuild the tree from the entries and compare everything with it."""
        frontier = Frontier()
        self._compare_root(frontier, older)
        for bundle in tiles.bundles_of(newest.size):
            hashes = self._bundle(bundle)
            if hashes is None:
                return
            for each in hashes:
                frontier.append(each)
                self._compare_root(frontier, older)
            if bundle.width == TILE_WIDTH:
                self._raise(root_of(hashes))
            self._progress(frontier.size, newest.size)
        for level, row in enumerate(self._rows, 1):
            if rest := len(row) % TILE_WIDTH:
                self._tile(Tile(level, len(row) // TILE_WIDTH, rest), row[-rest:])
        if frontier.root() != newest.root:
            text = "the entries do not have the checkpoint's root"
            self._fail.append(Failure("ROOT_DIFFERS", "checkpoint", text))

    def _compare_root(self, frontier: Frontier, older: dict[int, list[bytes]]) -> None:
        """5: compare with what was signed when the log had this size."""
        for root in older.get(frontier.size, ()):
            if root == frontier.root():
                self._proven.append(frontier.size)
            else:
                text = f"the log of {frontier.size} entries was another one"
                self._fail.append(Failure("HISTORY_DIFFERS", f"size {frontier.size}", text))

    def _bundle(self, bundle: Tile) -> list[bytes] | None:
        """2, 6: compare a bundle with its tile and return the leaf hashes.

        The tile's where there is one, so that a changed entry does not spoil what is proven of the
        others: the root is that of the tiles, and each entry either has its hash in them or fails.
        """
        tile = Tile(0, bundle.n, bundle.width)
        expected = self._hashes(tile)
        content = self._read(bundle, "BUNDLE_MISSING")
        entries: list[bytes] = []
        if content is not None:
            try:
                entries = tiles.split_bundle(bundle, content)
            except TileError as error:
                self._fail.append(Failure(error.code, bundle.path, str(error)))
        if not entries:
            return expected
        hashes = [leaf_hash(each) for each in entries]
        begin = bundle.n * TILE_WIDTH
        for index, (entry, found) in enumerate(zip(entries, hashes, strict=True), begin):
            if expected is not None and expected[index - begin] != found:
                text = "the leaf is not the one whose hash is in the tree"
                self._fail.append(Failure("ENTRY_DIFFERS", f"entry {index}", text))
            self._judging.read(index, entry, found)
        return hashes if expected is None else expected

    def _raise(self, root: bytes) -> None:
        """3: put a complete tile's root into the row above; a row's complete tiles are compared."""
        level = 1
        while True:
            if level > len(self._rows):
                self._rows.append([])
            row = self._rows[level - 1]
            row.append(root)
            if len(row) % TILE_WIDTH:
                return
            full = row[-TILE_WIDTH:]
            self._tile(Tile(level, len(row) // TILE_WIDTH - 1), full)
            root, level = root_of(full), level + 1

    def _tile(self, tile: Tile, computed: list[bytes]) -> None:
        """3: compare a tile of level 1 or more with what the level below makes it."""
        expected = self._hashes(tile)
        if expected is not None and expected != computed:
            text = "the tile is not what the level below makes it"
            self._fail.append(Failure("TILE_DIFFERS", tile.path, text))

    def _hashes(self, tile: Tile) -> list[bytes] | None:
        """Return a tile's hashes, None after telling why there are none."""
        content = self._read(tile, "TILE_MISSING")
        if content is None:
            return None
        try:
            return tiles.split_hashes(tile, content)
        except TileError as error:
            self._fail.append(Failure(error.code, tile.path, str(error)))
            return None

    def _read(self, tile: Tile, code: str) -> bytes | None:
        try:
            return (self._folder / tile.path).read_bytes()
        except OSError as error:
            self._fail.append(Failure(code, tile.path, type(error).__name__))
            return None
