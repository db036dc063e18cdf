"""A register in a real database, with the organisations of the tests."""

import asyncio

from gateway.store.database import Database
from tests.pki.forge import CITY


def on(conninfo, role, work):
    """Run `work(database)` with CITY and a second organisation registered."""

    async def run():
        owner = await Database.open(conninfo("owner"), application="test", size=1)
        async with owner.transaction() as tx:
            for code in (CITY.organisation, "140200"):
                await tx.execute(
                    "INSERT INTO gateway.organisation (code, name, kind, created_us) VALUES (%s, 'x', 2, 1) ON CONFLICT DO NOTHING",
                    (code,),
                )
        await owner.close()
        database = await Database.open(conninfo(role), application="test", size=2)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())
