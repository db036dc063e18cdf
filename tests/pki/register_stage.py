"""A register in a real database, with one registered system, and a HOME with its authority."""

import asyncio
import contextlib
import tempfile
from pathlib import Path

from gateway.clock import SYSTEM
from gateway.config import folders
from gateway.config.home import Home
from gateway.pki import ceremony
from gateway.store.database import Database
from tests.pki.forge import CITY


@contextlib.contextmanager
def founded_home():
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        home = Home(Path(folder) / "home")
        folders.make_folders(home)
        ceremony.found(home, "gateway.invalid", ["127.0.0.1"], SYSTEM.now_us())
        yield home


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
