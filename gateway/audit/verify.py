"""Verifies an exported log from its files alone: no database, no server, no network.

    0 keys          each note in log-keys signed by both its keys, none contradicting another
    1 checkpoint    signed by a key that proves its size, of the log named by that key
    2 witnesses     each cosignature of a known witness true; the quorum, where one is asked for
    3 entries       each bundle exact, each leaf's hash the one in its tile
    4 tiles         every tile, complete and partial, what the level below makes it
    5 root          the entries' tree has the checkpoint's root
    6 older         each older checkpoint, cosigned or brought along, is a prefix of this log
    7 leaves        canonical, with time, kind and decision; clock steps, repeats, open pairs told
    8 successions   each key that the log says followed another has its note
    9 side parts    each that a leaf names is whole, or destroyed by a leaf that says so

Every failure has a code (`audit.failures`); verifying goes on after one, to tell the rest.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.audit import witnessing
from gateway.audit.failures import Failure
from gateway.audit.judging import Judging
from gateway.audit.witnessing import CHECKPOINT_FILE, MINIMUM_FILE, Signed, Witnesses
from gateway.config import log_keys
from gateway.tlog import tiles
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.frontier import Frontier
from gateway.tlog.keys import LogKeys
from gateway.tlog.merkle import leaf_hash, root_of
from gateway.tlog.note import NoteError, Verifier
from gateway.tlog.policy import NONE, Policy
from gateway.tlog.tiles import TILE_HEIGHT, TILE_WIDTH, Rows, Tile, TileError

Progress = Callable[[int, int], None]
_INDEX = re.compile(rb"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Report:
    """What was proven of a folder, and what was not; `failures` empty means: all of it.

    `older` are the earlier checkpoints that this log continues; `minimum` is the first entry that
    the folder promises to hold.
    """

    checkpoint: Checkpoint | None
    failures: tuple[Failure, ...]
    notices: tuple[Failure, ...]
    older: tuple[Signed, ...]
    minimum: int
    judging: Judging
    keys: LogKeys
    policy: Policy | None

    @property
    def older_sizes(self) -> tuple[int, ...]:
        """The sizes of the earlier checkpoints that this log continues, in order."""
        return tuple(one.checkpoint.size for one in self.older if one.where != CHECKPOINT_FILE)

    def witnessed(self, *, quorum: bool) -> Signed | None:
        """Return the largest checkpoint that a witness, or a quorum of them, vouches for."""
        found = [one for one in self.older if one.witnesses and (one.quorum or not quorum)]
        return max(found, key=lambda one: one.checkpoint.size, default=None)


def verify_folder(
    folder: Path,
    trusted: Verifier | LogKeys,
    *,
    older: Iterable[str] = (),
    policy: Policy | None = None,
    minimum: int = 0,
    progress: Progress = lambda *_: None,
) -> Report:
    """Verify an export by the key, or keys, that are trusted and those that it shows to follow.

    `older` are signed checkpoints kept from before, whoever kept them. With a `policy` its quorum
    is demanded; without one the folder's own tells of witnesses. Entries before `minimum` may be
    missing, their hashes not.
    """
    keys = LogKeys.of(trusted) if isinstance(trusted, Verifier) else trusted
    return _Verification(folder, keys, progress).report(older, policy, minimum)


class _Verification:
    """One pass over a folder."""

    def __init__(self, folder: Path, keys: LogKeys, progress: Progress) -> None:
        self._folder = folder
        self._keys = keys
        self._progress = progress
        self._judging = Judging()
        self._fail = self._judging.failures
        self._minimum = 0
        # What was signed when the log had a size, and which of it this log continues.
        self._signed: dict[int, list[Signed]] = {}
        self._proven: list[Signed] = []
        # The hashes of level 1, of level 2, ...
        self._rows = Rows()

    def report(self, older: Iterable[str], policy: Policy | None, minimum: int) -> Report:
        self._follow()
        known = policy or witnessing.own_policy(self._folder, self._fail)
        newest = self._checkpoints(older, Witnesses(self._keys, known, self._fail))
        if newest is not None:
            self._prune(newest.size, minimum)
            self._judging.sizes = self._signed
            self._tree(newest)
        self._agree(policy)
        self._judging.finish(self._keys)
        self._judging.beside.judge(self._folder, self._minimum, self._fail)
        return Report(
            newest,
            tuple(self._judging.failures),
            tuple(self._judging.notices),
            tuple(self._proven),
            self._minimum,
            self._judging,
            self._keys,
            known,
        )

    def _follow(self) -> None:
        """0: take up what the folder's notes add to the keys that are trusted."""
        try:
            self._keys = self._keys.followed(log_keys.read(self._folder / log_keys.FOLDER))
        except NoteError as error:
            self._fail.append(Failure(error.code, log_keys.FOLDER, str(error)))

    def _checkpoints(self, older: Iterable[str], witnesses: Witnesses) -> Checkpoint | None:
        """1, 2: return the folder's checkpoint, and note what else was signed."""
        try:
            raw = (self._folder / CHECKPOINT_FILE).read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            self._fail.append(Failure("CHECKPOINT_MISSING", CHECKPOINT_FILE, type(error).__name__))
            return None
        newest = witnesses.open(raw, CHECKPOINT_FILE)
        if newest is None:
            return None
        size = newest.checkpoint.size
        if newest.witnesses:
            self._signed[size] = [newest]
        brought = ((f"older checkpoint {number}", each) for number, each in enumerate(older, 1))
        for where, each in [*witnessing.cosigned(self._folder), *brought]:
            found = witnesses.open(each, where)
            if found is None:
                continue
            if found.checkpoint.size > size:
                text = f"the log has {size} entries, {found.checkpoint.size} were signed"
                self._fail.append(Failure("LOG_SHORTENED", where, text))
                continue
            self._signed.setdefault(found.checkpoint.size, []).append(found)
        return newest.checkpoint

    def _prune(self, size: int, accepted: int) -> None:
        """3: take the folder's minimum index (C2SP tlog-tiles, pruning) if it is accepted."""
        path = self._folder / MINIMUM_FILE
        said = path.read_bytes().strip() if path.exists() else b"0"
        if not _INDEX.fullmatch(said) or int(said) > size:
            text = "not an index of this log"
            self._fail.append(Failure("MINIMUM_FORM", MINIMUM_FILE, text))
            return
        self._minimum = int(said)
        if self._minimum > accepted:
            text = f"the entries before {self._minimum} are not here, those before {accepted} may"
            self._fail.append(Failure("ENTRIES_PRUNED", MINIMUM_FILE, text))

    def _tree(self, newest: Checkpoint) -> None:
        """3 to 6: rebuild the tree from the entries and compare everything with it."""
        frontier = Frontier()
        self._compare_root(frontier)
        for bundle in tiles.bundles_of(newest.size):
            hashes = self._bundle(bundle)
            if hashes is None:
                return
            self._grow(frontier, hashes)
            self._progress(frontier.size, newest.size)
        for level, row in enumerate(self._rows.rows, 1):
            if rest := len(row) % TILE_WIDTH:
                self._tile(Tile(level, len(row) // TILE_WIDTH, rest), row[-rest:])
        if frontier.root() != newest.root:
            text = "the entries do not have the checkpoint's root"
            self._fail.append(Failure("ROOT_DIFFERS", CHECKPOINT_FILE, text))

    def _grow(self, frontier: Frontier, hashes: list[bytes]) -> None:
        """4, 6: append a bundle's hashes, one by one where something was signed in between."""
        begin, root = frontier.size, root_of(hashes)
        whole = len(hashes) == TILE_WIDTH
        if whole and not any(size in self._signed for size in range(begin + 1, begin + TILE_WIDTH)):
            frontier.append_subtree(root, TILE_HEIGHT)
            self._compare_root(frontier)
        else:
            for each in hashes:
                frontier.append(each)
                self._compare_root(frontier)
        if whole:
            for tile, full in self._rows.grow(root):
                self._tile(tile, full)

    def _compare_root(self, frontier: Frontier) -> None:
        """6: compare with what was signed when the log had this size."""
        for signed in self._signed.get(frontier.size, ()):
            if signed.checkpoint.root == frontier.root():
                self._proven.append(signed)
            else:
                text = f"{signed.where}: the log of {frontier.size} entries was another one"
                self._fail.append(Failure("HISTORY_DIFFERS", f"size {frontier.size}", text))

    def _agree(self, policy: Policy | None) -> None:
        """2: demand the quorum of a policy brought along; tell of leaves ahead of a witness."""
        for one in self._proven:
            if one.witnesses:
                self._judging.seen(one.checkpoint.size, one.time_s)
        quorum = policy is not None and policy.quorum != NONE
        if quorum and not any(one.quorum for one in self._proven):
            text = "no checkpoint of this log has the quorum that the policy demands"
            self._fail.append(Failure("QUORUM_MISSING", witnessing.POLICY_FILE, text))

    def _bundle(self, bundle: Tile) -> list[bytes] | None:
        """3, 7: compare a bundle with its tile and return the leaf hashes.

        The tile's where there is one, so that a changed entry does not spoil what is proven of the
        others: the root is that of the tiles, and each entry either has its hash in them or fails.
        """
        tile = Tile(0, bundle.n, bundle.width)
        expected = self._hashes(tile)
        begin = bundle.n * TILE_WIDTH
        pruned = begin + TILE_WIDTH <= self._minimum
        if pruned and expected is not None and not (self._folder / bundle.path).exists():
            return expected
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
        for index, (entry, found) in enumerate(zip(entries, hashes, strict=True), begin):
            self._judging.read(index, entry, found)
        if expected is None:
            return hashes
        for index, (known, found) in enumerate(zip(expected, hashes, strict=True), begin):
            if known != found:
                text = "the leaf is not the one whose hash is in the tree"
                self._fail.append(Failure("ENTRY_DIFFERS", f"entry {index}", text))
        return expected

    def _tile(self, tile: Tile, computed: list[bytes]) -> None:
        """4: compare a tile of level 1 or more with what the level below makes it."""
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
