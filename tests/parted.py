"""A leaf with a side part, put into a world's log as a door would; and what an attacker does to the rows."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gateway.audit.event import Event
from gateway.audit.parts import Sealer
from gateway.store import roles
from gateway.store.database import Database

WORDS = "the mother, 13800138000, asked for it 王小明"
_APPEND = "SELECT first FROM gateway.audit_append(%s, 0)"


def a_part(world: Any, words: str = WORDS, organisation: str = "140000") -> tuple[int, bytes]:
    """Put a leaf with these words beside it; return its index and the digest in it."""
    with ThreadPoolExecutor(1) as apart:
        return apart.submit(asyncio.run, _a_part(world, words, organisation)).result()


async def _a_part(world: Any, words: str, organisation: str) -> tuple[int, bytes]:
    info = roles.conninfo(world.home, world.settings, "disclosure")
    database = await Database.open(info, application="test", size=1)
    try:
        sealed = Sealer(world.home, world.clock).seal(words)
        event = Event(kind="test.act", organisation=organisation)
        async with database.transaction() as tx:
            leaf = (await sealed.keep(tx, event)).to_leaf(world.clock.now_us())
            [(index,)] = await tx.fetch(_APPEND, ([leaf],))
        assert json.loads(leaf)["sealed"] == sealed.part.digest.hex()
        return index, sealed.part.digest
    finally:
        await database.close()
