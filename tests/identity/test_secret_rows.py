"""The tables of secrets: entered once, turned once, journalled, and nothing told twice."""

import asyncio
from dataclasses import replace

import psycopg
import pytest

from gateway.identity import secret_rows
from gateway.identity.lives import Kept
from gateway.identity.rotation import Secret
from gateway.store.database import Database

KEY = Secret("token-key", "tokens", "host", 1, "kid-one")
PASSWORD = Secret("password", "wang", "140100", 3)
NOW = 1_790_000_000_000_000


def as_owner(conninfo, work):
    async def run():
        database = await Database.open(conninfo("owner"), application="test", size=1)
        try:
            async with database.transaction() as tx:
                await work(tx)
        finally:
            await database.close()

    asyncio.run(run())


def test_a_secret_is_entered_once_and_each_turn_counts_from_its_first_time(conninfo):
    async def work(tx):
        assert await secret_rows.next_generation(tx, "token-key", "tokens") == 1
        await secret_rows.enter(tx, Kept(KEY, NOW))
        await secret_rows.enter(tx, Kept(KEY, NOW + 1))
        assert await secret_rows.in_force(tx) == [Kept(KEY, NOW)]
        assert await secret_rows.next_generation(tx, "token-key", "tokens") == 2
        for turn, column in (("used", "used_us"), ("replaced", "replaced_us")):
            await secret_rows.turn(tx, KEY, turn, NOW + 2)
            await secret_rows.turn(tx, KEY, turn, NOW + 3)
            [kept] = await secret_rows.in_force(tx)
            assert getattr(kept, column) == NOW + 2
        await secret_rows.turn(tx, KEY, "ended", NOW + 4)
        assert await secret_rows.in_force(tx) == []
        # A generation is never given twice.
        assert await secret_rows.next_generation(tx, "token-key", "tokens") == 2

    as_owner(conninfo, work)


def test_an_open_step_is_found_counted_and_closed(conninfo):
    async def work(tx):
        await secret_rows.begin(tx, KEY, "switch", NOW)
        [step] = await secret_rows.open_steps(tx)
        assert (step.secret, step.step, step.failures) == (KEY, "switch", 0)
        assert [await secret_rows.failed(tx, step) for _ in range(2)] == [1, 2]
        await secret_rows.done(tx, step, NOW + 1)
        assert await secret_rows.open_steps(tx) == []
        await secret_rows.begin(tx, KEY, "switch", NOW + 2)
        [again] = await secret_rows.open_steps(tx)
        assert (again.id, again.failures) == (step.id, 0)

    as_owner(conninfo, work)


def test_a_thing_is_told_once_of_each_generation(conninfo):
    async def work(tx):
        assert await secret_rows.tell(tx, PASSWORD, "warned-1", NOW)
        assert not await secret_rows.tell(tx, PASSWORD, "warned-1", NOW + 1)
        assert await secret_rows.tell(tx, PASSWORD, "warned-2", NOW)
        assert await secret_rows.tell(tx, replace(PASSWORD, generation=4), "warned-1", NOW)
        assert await secret_rows.tell(tx, replace(PASSWORD, owner="140200"), "warned-1", NOW)
        assert (PASSWORD, "warned-2") in await secret_rows.told(tx)
        assert await secret_rows.open_steps(tx) == []

    as_owner(conninfo, work)


@pytest.mark.parametrize(
    "change", ["generation = 0", "kind = 'Token Key'", "key_id = repeat('x', 65)"]
)
def test_a_row_of_another_form_is_refused(conninfo, change):
    with psycopg.connect(conninfo("owner")) as connection:
        connection.execute(
            "INSERT INTO gateway.secret (kind, name, generation, made_us) VALUES ('token-key', 'tokens', 1, 1)"
        )
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(f"UPDATE gateway.secret SET {change}")
