"""A copy of the log: complete and proven, or as it was before."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from gateway.client.mirror import GoneError, Mirror, Mirrored, MirrorError
from gateway.tlog import tiles
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.keys import LogKeys
from gateway.tlog.merkle import leaf_hash, root_of
from gateway.tlog.note import NoteError, Signer
from gateway.tlog.tiles import TILE_WIDTH, TileError
from tests.audit.folder import leaf

LOG = Signer("gateway.invalid/audit", bytes(range(32)))
KEYS = LogKeys.of(LOG.verifier)
ENTRIES = [b"entry %d" % i for i in range(66_000)]


class Served:
    """A log that serves entry bundles and remembers which."""

    def __init__(self, entries: list[bytes]) -> None:
        self.entries = entries
        self.asked: list[str] = []
        self.cut_after = -1
        self.parts: dict[str, bytes] = {}

    def signed(self, size: int) -> str:
        root = root_of([leaf_hash(each) for each in self.entries[:size]])
        return Checkpoint(LOG.verifier.name, size, root).signed(LOG)

    async def fetch(self, path: str) -> bytes | None:
        if len(self.asked) == self.cut_after:
            raise OSError("gone")
        self.asked.append(path)
        if path.startswith("sealed/"):
            return self.parts.get(path.removeprefix("sealed/"))
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
    """What it had fetched by then is not fetched again."""
    folder, served = tmp_path / "log", Served(ENTRIES)
    for cut_after in (0, 2, 1):
        served.cut_after = cut_after
        with pytest.raises(OSError, match="gone"):
            update(folder, served, 1_000)
        assert not (folder / "checkpoint").exists()
    served.cut_after = -1
    assert update(folder, served, 1_000) == Mirrored(1_000, 0, 1)
    assert served.asked == ["tile/entries/003.p/232"]
    served.cut_after = 1
    with pytest.raises(OSError, match="gone"):
        update(folder, served, 2_000)
    assert (folder / "checkpoint").read_text() == served.signed(1_000)
    served.cut_after = -1
    assert update(folder, served, 2_000) == Mirrored(2_000, 1_000, 4)
    assert contents(folder) == expected(served, 2_000)


def test_what_a_cut_run_left_of_another_log_is_fetched_anew(tmp_path: Path) -> None:
    folder, served = tmp_path / "log", Served([b"another", *ENTRIES[1:]])
    served.cut_after = 1
    with pytest.raises(OSError, match="gone"):
        update(folder, served, 1_000)
    other = Served(ENTRIES)
    assert update(folder, other, 1_000).fetched == 4 + 3
    assert contents(folder) == expected(other, 1_000)


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
    assert refused.value.code == "HISTORY_DIFFERS"
    # What the folder had is the proof, and is there still.
    assert contents(folder).items() >= before.items()
    assert update(folder, served, 1_000).size == 1_000
    assert contents(folder) == expected(served, 1_000)


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


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage", ["tile lost", "tile short", "bundle lost", "tile flipped", "bundle flipped", "upper"]
)
def test_a_damaged_folder_is_mended(tmp_path: Path, damage: str) -> None:
    """A bit that the auditor's own disk changed is nobody's fault, and one bundle more to fetch."""
    folder, served = tmp_path / "log", Served(ENTRIES)
    update(folder, served, 600)
    tile, bundle = folder / "tile/0/000", folder / "tile/entries/000"
    match damage:
        case "tile lost":
            tile.unlink()
        case "tile short":
            tile.write_bytes(bytes(31))
        case "bundle lost":
            bundle.unlink()
        case "tile flipped":
            flipped(tile)
        case "bundle flipped":
            flipped(bundle)
        case _:
            (folder / "tile/1/000.p/2").write_bytes(bytes(64))
    assert update(folder, served, 1_000).fetched == (2 if damage == "upper" else 3)
    assert contents(folder) == expected(served, 1_000)


@pytest.mark.parametrize("size", [600, 1_000])
def test_a_bundle_changed_with_its_hashes_is_fetched_anew(tmp_path: Path, size: int) -> None:
    """The tree is another one: before the gateway is accused, all is fetched; once more, and it was the folder."""
    folder, served = tmp_path / "log", Served(ENTRIES)
    update(folder, served, 600)
    entries = [b"another", *ENTRIES[1:TILE_WIDTH]]
    (folder / "tile/entries/000").write_bytes(tiles.pack_bundle(entries))
    (folder / "tile/0/000").write_bytes(b"".join(map(leaf_hash, entries)))
    # Where the folder's own checkpoint shows it, or only the new one's root, all the same.
    assert update(folder, served, size).size == size
    assert {"tile/entries/000", "tile/entries/001"} < set(served.asked)
    assert contents(folder) == expected(served, size)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"x", None])
def test_a_damaged_checkpoint_of_the_folder_is_no_fault_of_the_log(
    tmp_path: Path, content: bytes | None
) -> None:
    folder, served = tmp_path / "log", Served(ENTRIES)
    update(folder, served, 3)
    file = folder / "checkpoint"
    file.write_bytes(file.read_bytes().replace(b"\n3\n", b"\n2\n") if content is None else content)
    with pytest.raises(MirrorError) as refused:
        update(folder, served, 3)
    assert refused.value.code == "FOLDER_DAMAGED"


def test_a_file_that_the_gateway_lacks(tmp_path: Path) -> None:
    async def fetch(_: str) -> None:
        return None

    with pytest.raises(MirrorError) as refused:
        asyncio.run(Mirror(tmp_path / "log", KEYS).update(Served(ENTRIES).signed(2), fetch, {}))
    assert refused.value.code == "FILE_MISSING"


WORDS = [bytes([number]) * 96 for number in (1, 2)]
DIGESTS = [hashlib.sha256(one).hexdigest() for one in WORDS]
SHRED = leaf(4, kind="audit.shred", detail={"part_index": 1, "part_sha256": DIGESTS[0]})
PARTED = [leaf(0), leaf(1, sealed=DIGESTS[0]), leaf(2, sealed=DIGESTS[1]), leaf(3), SHRED]


def parted() -> Served:
    served = Served(PARTED)
    served.parts = dict(zip(DIGESTS, WORDS, strict=True))
    return served


def sealed(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in (folder / "sealed").iterdir()}


def test_side_parts_come_along_and_go_when_they_are_destroyed(tmp_path: Path) -> None:
    folder, served = tmp_path / "log", parted()
    assert update(folder, served, 4) == Mirrored(4, 0, 1, parts=2)
    assert sealed(folder) == served.parts
    # What is there is not fetched again, what the disk changed is.
    (folder / "sealed" / DIGESTS[1]).write_bytes(b"x")
    assert update(folder, served, 4).parts == 1
    assert sealed(folder) == served.parts
    del served.parts[DIGESTS[0]]
    assert update(folder, served, 5) == Mirrored(5, 4, 1)
    assert sealed(folder) == served.parts
    assert f"sealed/{DIGESTS[0]}" not in served.asked


def test_a_part_destroyed_since_the_checkpoint_asks_for_a_newer_one(tmp_path: Path) -> None:
    folder, served = tmp_path / "log", parted()
    del served.parts[DIGESTS[0]]
    with pytest.raises(GoneError) as gone:
        update(folder, served, 4)
    assert gone.value.digests == {DIGESTS[0]}
    assert not (folder / "checkpoint").exists()
    assert update(folder, served, 5) == Mirrored(5, 0, 1)
    assert sealed(folder) == served.parts


def test_a_part_that_no_leaf_excuses_is_left_to_the_verifier(tmp_path: Path) -> None:
    """Once is not enough: a part missed now must have been missed at an older checkpoint."""
    folder, served = tmp_path / "log", parted()
    del served.parts[DIGESTS[1]]
    mirror = Mirror(folder, KEYS)
    with pytest.raises(GoneError) as gone:
        update(folder, served, 4)
    run = mirror.update(served.signed(5), served.fetch, {}, gone=gone.value.digests)
    assert asyncio.run(run) == Mirrored(5, 0, 1, missing=1)
    assert sealed(folder) == {}


def test_another_part_is_not_taken(tmp_path: Path) -> None:
    folder, served = tmp_path / "log", parted()
    served.parts[DIGESTS[0]] = WORDS[1]
    with pytest.raises(MirrorError) as refused:
        update(folder, served, 4)
    assert refused.value.code == "PART_DIFFERS"
    assert not (folder / "checkpoint").exists()
