"""A copy of the log: complete and proven, or as it was before."""

import asyncio
from pathlib import Path

import pytest

from gateway.client.mirror import Mirror, Mirrored, MirrorError
from gateway.tlog import tiles
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.keys import LogKeys
from gateway.tlog.merkle import leaf_hash, root_of
from gateway.tlog.note import NoteError, Signer
from gateway.tlog.tiles import TILE_WIDTH, TileError

LOG = Signer("gateway.invalid/audit", bytes(range(32)))
KEYS = LogKeys.of(LOG.verifier)
ENTRIES = [b"entry %d" % i for i in range(66_000)]


class Served:
    """A log that serves entry bundles and remembers which."""

    def __init__(self, entries: list[bytes]) -> None:
        self.entries = entries
        self.asked: list[str] = []
        self.cut_after = -1

    def signed(self, size: int) -> str:
        root = root_of([leaf_hash(each) for each in self.entries[:size]])
        return Checkpoint(LOG.verifier.name, size, root).signed(LOG)

    async def fetch(self, path: str) -> bytes:
        if len(self.asked) == self.cut_after:
            raise OSError("gone")
        self.asked.append(path)
        number, _, width = path.removeprefix("tile/entries/").partition(".p/")
        bundle = tiles.Tile(None, int(number), int(width or TILE_WIDTH))
        begin = bundle.n * TILE_WIDTH
        return tiles.pack_bundle(self.entries[begin : begin + bundle.width])


def update(folder: Path, served: Served, size: int) -> Mirrored:
    served.asked.clear()
    mirror = Mirror(folder, KEYS)
    return asyncio.run(mirror.update(served.signed(size), served.fetch, {"minimum-index": "0\n"}))


def contents(folder: Path) -> dict[str, bytes]:
    found = [one for one in folder.rglob("*") if one.is_file()]
    return {one.relative_to(folder).as_posix(): one.read_bytes() for one in found}


def expected(served: Served, size: int) -> dict[str, bytes]:
    """Every file of a log of this size, computed straight from its entries."""
    rows = [[leaf_hash(each) for each in served.entries[:size]]]
    while len(rows[-1]) >= TILE_WIDTH:
        below = rows[-1]
        rows.append(
            [root_of(below[i : i + TILE_WIDTH]) for i in range(0, len(below) // 256 * 256, 256)]
        )
    made = {"checkpoint": served.signed(size).encode(), "minimum-index": b"0\n"}
    for tile in tiles.tiles_of(size):
        begin = tile.n * TILE_WIDTH
        made[tile.path] = b"".join(rows[tile.level or 0][begin : begin + tile.width])
    for bundle in tiles.bundles_of(size):
        begin = bundle.n * TILE_WIDTH
        made[bundle.path] = tiles.pack_bundle(served.entries[begin : begin + bundle.width])
    return made


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 600, 65_536, 65_800])
def test_every_file_is_there_and_no_other(tmp_path: Path, size: int) -> None:
    served = Served(ENTRIES)
    done = update(tmp_path / "log", served, size)
    assert done == Mirrored(size, 0, -(-size // 256))
    assert contents(tmp_path / "log") == expected(served, size)


def test_only_what_is_new_is_fetched_and_old_partial_tiles_go(tmp_path: Path) -> None:
    folder, served = tmp_path / "log", Served(ENTRIES)
    update(folder, served, 600)
    assert update(folder, served, 1_000) == Mirrored(1_000, 600, 2)
    assert served.asked == ["tile/entries/002", "tile/entries/003.p/232"]
    assert contents(folder) == expected(served, 1_000)
    assert update(folder, served, 1_000).fetched == 1
    assert contents(folder) == expected(served, 1_000)


def test_a_run_that_is_cut_leaves_what_counted_and_is_taken_up(tmp_path: Path) -> None:
    folder, served = tmp_path / "log", Served(ENTRIES)
    for cut_after in (0, 1, 2):
        served.cut_after = cut_after
        with pytest.raises(OSError, match="gone"):
            update(folder, served, 1_000)
        assert not (folder / "checkpoint").exists()
    served.cut_after = -1
    update(folder, served, 600)
    served.cut_after = 1
    with pytest.raises(OSError, match="gone"):
        update(folder, served, 1_000)
    assert (folder / "checkpoint").read_text() == served.signed(600)
    served.cut_after = -1
    update(folder, served, 1_000)
    assert contents(folder) == expected(served, 1_000)


@pytest.mark.parametrize("changed", [0, 599, 600, 999])
def test_another_log_is_not_taken(tmp_path: Path, changed: int) -> None:
    """An entry changed with the log's key: before the folder's size it is found out, behind it nobody can know."""
    folder, served = tmp_path / "log", Served(ENTRIES)
    update(folder, served, 600)
    before = contents(folder)
    other = Served([*ENTRIES[:changed], b"another", *ENTRIES[changed + 1 :]])
    if changed >= 600:
        assert update(folder, other, 1_000).size == 1_000
        return
    with pytest.raises(MirrorError) as refused:
        update(folder, other, 1_000)
    # Complete bundles are not fetched again, so that one changed in them shows in the root.
    assert refused.value.code == ("HISTORY_DIFFERS" if changed >= 512 else "ROOT_DIFFERS")
    assert contents(folder)["checkpoint"] == before["checkpoint"]


def test_entries_that_are_not_the_checkpoints(tmp_path: Path) -> None:
    served = Served(ENTRIES)
    signed = served.signed(300)
    served.entries = [*ENTRIES[:10], b"x", *ENTRIES[11:]]
    mirror = Mirror(tmp_path / "log", KEYS)
    with pytest.raises(MirrorError) as refused:
        asyncio.run(mirror.update(signed, served.fetch, {}))
    assert refused.value.code == "ROOT_DIFFERS"
    assert not (tmp_path / "log" / "checkpoint").exists()


def test_a_log_that_shrank(tmp_path: Path) -> None:
    folder, served = tmp_path / "log", Served(ENTRIES)
    update(folder, served, 600)
    with pytest.raises(MirrorError) as refused:
        update(folder, served, 599)
    assert refused.value.code == "LOG_SHORTENED"
    assert contents(folder) == expected(served, 600)


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    with pytest.raises(MirrorError) as refused:
        update(tmp_path, Served(ENTRIES), 3)
    assert refused.value.code == "FOLDER_EXISTS"
    assert contents(tmp_path) == {"letter": b"dear"}


def test_a_checkpoint_of_another_key(tmp_path: Path) -> None:
    strange = Signer(LOG.verifier.name, bytes(32))
    signed = Checkpoint(LOG.verifier.name, 0, root_of([])).signed(strange)
    with pytest.raises(NoteError):
        asyncio.run(Mirror(tmp_path / "log", KEYS).update(signed, Served([]).fetch, {}))
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("content", [b"", b"\0\1", b"\0\1ab", b"\0\1a\0\1b\0\1c"])
def test_a_bundle_of_another_form(tmp_path: Path, content: bytes) -> None:
    async def fetch(_: str) -> bytes:
        return content

    signed = Served(ENTRIES).signed(2)
    with pytest.raises(TileError):
        asyncio.run(Mirror(tmp_path / "log", KEYS).update(signed, fetch, {}))
    assert not (tmp_path / "log" / "checkpoint").exists()


@pytest.mark.parametrize("damage", ["lost", "short", "entries"])
def test_a_damaged_folder_is_mended(tmp_path: Path, damage: str) -> None:
    folder, served = tmp_path / "log", Served(ENTRIES)
    update(folder, served, 600)
    match damage:
        case "lost":
            (folder / "tile/0/000").unlink()
        case "short":
            (folder / "tile/0/001").write_bytes(bytes(31))
        case _:
            (folder / "tile/entries/001").unlink()
    assert update(folder, served, 1_000).fetched == 3
    assert contents(folder) == expected(served, 1_000)
