"""The steps in their order: who fails at several meets the first."""

import asyncio
from typing import Any

from gateway.config.settings import Settings
from tests.audit.stage import until
from tests.front.stage import CITY_AT, NOBODY_AT, OTHER_AT, Stage, stage


async def _reason(at: Stage, papers: Any, address: str, count: int) -> str:
    assert not await at.served(papers, address)
    return str((await at.leaf(count))["reason"])


def test_the_first_step_that_fails_decides(cluster: Any, database_settings: Settings) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            stranger, papers, fallen = at.ca.good(), at.good(), at.good()
            at.revoke(fallen)
            at.sql("UPDATE gateway.organisation SET state = 2")
            # 2 before 3, 4, 5; 5 before 6; 6 before 7; 7 before 9
            assert await _reason(at, None, NOBODY_AT, 1) == "ORIGIN_NOT_TUNNEL"
            assert await _reason(at, stranger, OTHER_AT, 2) == "CERT_UNKNOWN"
            assert await _reason(at, fallen, OTHER_AT, 3) == "ORGANISATION_SUSPENDED"
            assert await _reason(at, papers, OTHER_AT, 4) == "ORGANISATION_SUSPENDED"
            at.sql("UPDATE gateway.organisation SET state = 1")
            assert await _reason(at, fallen, OTHER_AT, 5) == "ORIGIN_MISMATCH"
            assert await _reason(at, papers, OTHER_AT, 6) == "ORIGIN_MISMATCH"
            assert await at.served(papers, CITY_AT)
            leaf = at.leaves()[-1]
            # Once proven, whose certificate it was is told.
            assert (leaf["organisation"], leaf["tunnel"]) == ("140100", f"listen/{OTHER_AT}")

    asyncio.run(run())


def test_places_are_given_back_whatever_happens(cluster: Any, database_settings: Settings) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            places = at.front._admission.places
            assert await at.served(at.good())
            assert not await at.served(None)
            assert not await at.served(at.ca.good())
            assert not await at.served(at.good(), NOBODY_AT)
            await until(lambda: not (places.total or len(at.front.connections)))
            assert not places._shaking

    asyncio.run(run())
