"""Paths, widths and contents of C2SP tiles; proofs read from tiles equal proofs from the whole tree."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.tlog import merkle, tiles
from gateway.tlog.tiles import Tile, TileError


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 7, 3), "tile/0/007.p/3"),
        (Tile(1, 1234067), "tile/1/x001/x234/067"),  # the example of tlog-tiles
        (Tile(5, 1000), "tile/5/x001/000"),
        (Tile(None, 999, 255), "tile/entries/999.p/255"),
        (Tile(None, 70000), "tile/entries/x070/000"),
    ],
)
def test_paths(tile: Tile, path: str) -> None:
    assert tile.path == path


def test_the_tiles_of_a_log_are_those_of_the_specification() -> None:
    # tlog-tiles: a log of 70,000 has 273 full tiles and one of width 112 at level 0, one full and one of 17 at 1, one of 1 at 2.
    found = list(tiles.tiles_of(70_000))
    assert [each for each in found if each.width < 256] == [
        Tile(0, 273, 112),
        Tile(1, 1, 17),
        Tile(2, 0, 1),
    ]
    assert len(found) == 274 + 2 + 1
    assert list(tiles.bundles_of(257)) == [Tile(None, 0), Tile(None, 1, 1)]
    assert list(tiles.tiles_of(0)) == []
    assert list(tiles.bundles_of(0)) == []


def test_rows_grow_tile_by_tile() -> None:
    rows = tiles.Rows()
    roots = [merkle.leaf_hash(bytes([i // 256, i % 256])) for i in range(513)]
    completed = [found for root in roots for found in rows.grow(root)]
    assert completed == [(Tile(1, 0), roots[:256]), (Tile(1, 1), roots[256:512])]
    assert rows.rows == [roots, [merkle.root_of(roots[:256]), merkle.root_of(roots[256:512])]]


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_a_bundle_is_read_as_it_was_written(entries: list[bytes]) -> None:
    tile = Tile(None, 0, len(entries))
    content = tiles.pack_bundle(entries)
    assert tiles.split_bundle(tile, content) == entries
    with pytest.raises(TileError) as error:
        tiles.split_bundle(tile, content + b"x")
    assert error.value.code == "BUNDLE_TRAILING"
    with pytest.raises(TileError) as error:
        tiles.split_bundle(tile, content[:-1])
    assert error.value.code == "BUNDLE_SHORT"


def test_an_entry_too_long_for_its_length_field() -> None:
    tiles.pack_bundle([b"x" * 65_535])
    with pytest.raises(TileError) as error:
        tiles.pack_bundle([b"x" * 65_536])
    assert error.value.code == "ENTRY_LENGTH"


def test_a_tile_of_the_wrong_length() -> None:
    assert tiles.split_hashes(Tile(0, 0, 2), b"a" * 32 + b"b" * 32) == [b"a" * 32, b"b" * 32]
    with pytest.raises(TileError) as error:
        tiles.split_hashes(Tile(0, 0, 2), b"a" * 63)
    assert error.value.code == "TILE_LENGTH"


HASHES = [merkle.leaf_hash(i.to_bytes(4, "big")) for i in range(70_000)]


def fetch(tile: Tile) -> list[bytes]:
    assert tile.level is not None
    begin, step = tile.n * 256, 256**tile.level
    whole = [
        merkle.root_of(HASHES[i * step : (i + 1) * step]) for i in range(begin, begin + tile.width)
    ]
    return tiles.split_hashes(tile, b"".join(whole))


@given(st.integers(1, 70_000), st.data())
@settings(max_examples=15)
def test_proofs_from_tiles(size: int, data: st.DataObject) -> None:
    node = tiles.node_from_tiles(size, fetch)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    root = merkle.range_root(node, 0, size)
    assert root == merkle.root_of(HASHES[:size])
    merkle.verify_inclusion(
        HASHES[index], index, size, merkle.inclusion_path(node, index, size), root
    )
    path = merkle.consistency_path(node, old, size)
    merkle.verify_consistency(old, size, path, merkle.root_of(HASHES[:old]), root)
