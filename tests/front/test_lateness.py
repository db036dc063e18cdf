"""A list that is not signed anew is told of once an hour, while there is still time."""

import asyncio
from typing import Any

import pytest

from gateway.clock import US_PER_S
from gateway.config.settings import Settings
from gateway.front.context import Listed
from tests.audit.stage import until
from tests.front.stage import Stage, stage

HOUR_S = 3_600


async def _told(at: Stage, count: int) -> dict[str, Any]:
    await until(lambda: len(at.leaves(late=True)) >= count)
    found = at.leaves(late=True)
    assert len(found) == count
    return found[-1]


def test_once_an_hour_until_it_is_signed_anew(cluster: Any, database_settings: Settings) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            await asyncio.sleep(0.6)  # two looks
            assert at.leaves(late=True) == []
            at.clock.turn(seconds=11.9 * HOUR_S)
            await asyncio.sleep(0.6)
            assert at.leaves(late=True) == []
            at.clock.turn(seconds=0.2 * HOUR_S)
            leaf = await _told(at, 1)
            issuer = at.front._terms.current.lists[0].issuer_sha256.hex()
            assert (leaf["kind"], leaf["door"], leaf["decision"]) == ("crl.late", "front", "error")
            assert leaf["detail"] == {"alert": "crl-late", "issuer_sha256": issuer}
            await asyncio.sleep(0.6)
            at.clock.turn(seconds=0.9 * HOUR_S)
            await asyncio.sleep(0.6)
            await _told(at, 1)
            at.clock.turn(seconds=0.1 * HOUR_S)
            await _told(at, 2)
            at.write_crl(number=2, now_us=at.clock.now_us())
            await until(lambda: at.front._terms.current.crl_number == 2)
            at.clock.turn(seconds=2 * HOUR_S)
            await asyncio.sleep(0.6)
            await _told(at, 2)

    asyncio.run(run())


@pytest.mark.parametrize(("days", "late_after_days"), [(1, 0.5), (7, 3.5)])
def test_a_list_is_held_to_its_own_life(days: float, late_after_days: float) -> None:
    day_us = 86_400 * US_PER_S
    one = Listed(b"", 1, 0, round(days * day_us))
    assert one.late_us(12 / 24) == round(late_after_days * day_us)
