"""Look-ups that come together are asked together, and none is answered by a query that began before it."""

import asyncio
from typing import Any

import pytest

from gateway.config.settings import Settings
from gateway.errors import Reason, Refusal
from gateway.front import standing
from gateway.front.register import Register
from gateway.store.database import StoreAwayError
from tests.front.stage import CITY, OTHER, serial, stage


class Counted:
    """A database that counts its queries and may hold them back."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.asked: list[list[str]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def fetch(self, sql: str, parameters: Any) -> Any:
        self.asked.append(sorted(parameters[0]))
        rows = await self._database.fetch(sql, parameters)
        await self.open.wait()
        return rows


def test_many_are_asked_together_and_each_gets_its_own(
    cluster: Any, database_settings: Settings
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            mine = [serial(at.good()) for _ in range(5)]
            digests = dict(at.sql("SELECT serial, certificate_sha256 FROM gateway.certificate"))
            counted = Counted(at.database)
            register = Register(counted)
            counted.open.clear()
            first = asyncio.create_task(register.find(CITY, mine[0], digests[mine[0]]))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            rest = [
                asyncio.create_task(register.find(CITY, one, digests[one]))
                for one in (*mine[1:], *mine[1:])
            ]
            stranger = asyncio.create_task(register.find(OTHER, mine[1], digests[mine[1]]))
            await asyncio.sleep(0)
            # What falls after the first query and before the second is known to the second.
            at.sql(
                "UPDATE gateway.certificate SET state = 2, revoked_us = 7 WHERE serial = %s",
                mine[4],
            )
            counted.open.set()
            assert (await first).life.registered() is None
            found = await asyncio.gather(*rest)
            assert counted.asked == [[mine[0]], sorted(mine[1:])]
            assert [one.life.registered() for one in found[:4]] == [
                *[None] * 3,
                Reason.CERT_REVOKED,
            ]
            with pytest.raises(Refusal) as refused:
                await stranger
            assert refused.value.reason is Reason.CERT_UNKNOWN
            # A look-up alone waits for nobody.
            assert await register.find(CITY, mine[0], digests[mine[0]]) == await first
            assert len(counted.asked) == 3

    asyncio.run(run())


def test_no_register_no_admission_and_the_next_is_asked_again() -> None:
    class Away:
        async def fetch(self, *_: object) -> None:
            raise StoreAwayError("away")

    async def run() -> None:
        register = Register(Away())
        for _ in range(2):
            with pytest.raises(Refusal) as refused:
                await register.find(CITY, "ab", b"")
            assert refused.value.reason is Reason.STORE_AWAY

    asyncio.run(run())


def test_who_gives_up_does_not_take_the_others_along(
    cluster: Any, database_settings: Settings
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            number = serial(at.good())
            ((digest,),) = at.sql("SELECT certificate_sha256 FROM gateway.certificate")
            register = Register(Counted(at.database))
            one, other = (
                asyncio.create_task(register.find(CITY, number, digest)) for _ in range(2)
            )
            await asyncio.sleep(0)
            one.cancel()
            assert await other == await standing.find(at.database, CITY, number, digest)
            assert one.cancelled()

    asyncio.run(run())
