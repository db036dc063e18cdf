"""Paths of the log's files: one spelling each, none beyond the head."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.files import is_within, tile_at
from gateway.tlog import tiles
from gateway.tlog.tiles import Tile

levels = st.none() | st.integers(0, 7)


@given(st.builds(Tile, levels, st.integers(0, 10**12), st.integers(1, 256)))
def test_every_path_of_a_tile_names_it(tile: Tile) -> None:
    assert tile_at(tile.path) == tile


@pytest.mark.parametrize(
    "path",
    [
        *("", "checkpoint", "tile", "/tile/0/000", "tile/0/000/", "tile/0/0", "tile/0/0000"),
        *("tile/8/000", "tile/-1/000", "tile/00/000", "tile/entry/000", "tile/0/x000/000"),
        *("tile/0/001/000", "tile/0/x001", "tile/0/X001/000", "tile/0/000.p/0", "tile/0/000.p/256"),
        *(
            "tile/0/000.p/257",
            "tile/0/000.p/999",
            "tile/0/000.p/01",
            "tile/0/000.p/",
            "tile/0/000.p",
        ),
        *("tile/0/../0/000", "tile/entries/..%2f000", "tile/0/000?x", "tile/0/000\n", "tile/0/٠٠٠"),
        "tile/0/" + "x001/" * 7 + "000",
    ],
)
def test_what_names_none(path: str) -> None:
    assert tile_at(path) is None


@given(st.text(max_size=40))
def test_no_text_has_two_tiles(path: str) -> None:
    found = tile_at(path)
    assert found is None or found.path == path


@given(st.integers(0, 70_000))
def test_what_a_log_has_is_within_it_and_the_next_is_not(size: int) -> None:
    for tile in [*list(tiles.tiles_of(size))[-9:], *list(tiles.bundles_of(size))[-3:]]:
        assert is_within(tile, size)
        count = size >> (8 * (tile.level or 0))
        last = tile.n * 256 + tile.width == count
        beyond = (
            Tile(tile.level, tile.n, tile.width + 1)
            if tile.width < 256
            else Tile(tile.level, tile.n + 1, 1)
        )
        assert is_within(beyond, size) is not last
