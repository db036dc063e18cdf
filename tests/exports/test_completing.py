"""What a plan leaves out is the recipient's own, and nobody's where that is not one."""

import asyncio
from dataclasses import replace

from gateway.exports import completing
from gateway.pki import register
from gateway.store.database import Database
from tests.exports.test_facts import AROUND
from tests.exports.tickets import PLAN


def test_the_only_tunnel_and_no_certificate_of_nobody(conninfo) -> None:
    async def work() -> None:
        database = await Database.open(conninfo("disclosure"), application="test", size=1)
        try:
            async with database.transaction() as tx:
                found = await completing.only_tunnel(tx, "140100", AROUND)
                assert found == PLAN.tunnel
                assert await completing.only_tunnel(tx, "140200", AROUND) == ""
                two = replace(AROUND, static={**AROUND.static, "listen/127.0.0.99": "140100"})
                assert await completing.only_tunnel(tx, "140100", two) == ""
                for purpose in (register.TLS, register.ENCRYPTION):
                    assert await completing.in_force(tx, PLAN.recipient, purpose, 0) == ""
        finally:
            await database.close()

    asyncio.run(work())
