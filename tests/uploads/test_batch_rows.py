"""The rows of a batch: one statement for a single item writes what several write for more."""

import asyncio
from collections.abc import Callable

from tests.uploads.county import a_child, a_dose, county, states


def test_single_and_several_write_the_same_rows(conninfo: Callable[[str], str]) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            await one.upload(a_child())
            first, second = a_dose(a_child()), a_dose(a_child(), "0101", route=3, site=1)
            assert states(await one.upload(first)) == ["accepted"]
            assert states(await one.upload(second, a_dose("1"))) == ["accepted", "rejected"]
            doses = await one.rows(
                "SELECT batch_id, item_index, unit_code FROM gateway.dose ORDER BY 1"
            )
            assert doses == [(2, 0, first.unit_code), (3, 0, first.unit_code)]
            items = await one.rows(
                "SELECT batch_id, item_index, kind, state, length(nonce) FROM gateway.item ORDER BY 1, 2"
            )
            assert items == [(1, 0, 1, 1, 12), (2, 0, 2, 1, 12), (3, 0, 2, 1, 12), (3, 1, 2, 5, 12)]

    asyncio.run(play())


def test_the_highest_sequence_is_kept(conninfo: Callable[[str], str]) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            for sequence in (1, 5, 3):
                await one.send(one.batch(a_child(sequence), sequence=sequence))
            assert await one.rows("SELECT sequence FROM gateway.batch_sequence") == [(5,)]

    asyncio.run(play())
