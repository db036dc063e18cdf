"""The un-witnessed tail past the policy's limits is told of once, and once when somebody vouches again."""

import asyncio
from collections.abc import Callable

from gateway.audit.event import Event
from gateway.config.policies import shipped
from gateway.config.witnesses import load_witness_rules
from gateway.registry.witness_duty import AGAIN, BEHIND, WitnessDuty
from gateway.store.database import Database
from tests.audit.stage import stage
from tests.audit.test_vouching import CITIES, cosign, cosigner, enter, newest

Conninfo = Callable[[str], str]
RULES = load_witness_rules(shipped("policies") / "witnesses.toml")
BASE = Event(door="administration")


def test_told_once_each_way(conninfo: Conninfo) -> None:
    async def main() -> None:
        async with stage(conninfo) as s:
            database = await Database.open(conninfo("owner"), application="test", size=2)
            duty = WitnessDuty(database, s.recorder, RULES, s.clock)
            try:
                await s.recorder.append(BASE.with_(kind="log.start"))
                s.clock.turn(seconds=RULES.night_tail_s + 1)
                # Where nobody was ever a witness nobody falls behind.
                assert not await duty.look(BASE)
                async with database.transaction() as tx:
                    one = await enter(tx, CITIES[0], cosigner())
                assert await duty.look(BASE)
                assert not await duty.look(BASE)
                async with database.transaction() as tx:
                    size, note = newest(s)
                    await tx.execute(
                        "INSERT INTO gateway.offered_checkpoint (size, note, offered_us)"
                        " VALUES (%s, %s, 1)",
                        (size, note),
                    )
                    await cosign(tx, size, note, one)
                assert await duty.look(BASE)
                assert not await duty.look(BASE)
                async with database.transaction() as tx:
                    rows = await tx.fetch(
                        "SELECT kind, convert_from(leaf, 'UTF8') FROM gateway.audit_entry"
                        " WHERE kind LIKE 'log.%%witnessed' ORDER BY idx"
                    )
                assert [kind for kind, _ in rows] == [BEHIND, AGAIN]
                assert '"alert":"log-unwitnessed"' in rows[0][1]
                assert '"entries":1' in rows[0][1]
            finally:
                await database.close()

    asyncio.run(main())
