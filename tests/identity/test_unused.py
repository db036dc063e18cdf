"""Accounts that nobody uses are told of once, and disabled on their day: -1, 0, +1; the last administrator never."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from gateway.audit.event import Event
from gateway.errors import Refusal
from gateway.identity import accounts, listing
from gateway.identity.accounts import ACTIVE, UNUSED
from gateway.identity.rules import DAY_US
from gateway.identity.unused import DISABLED, TOLD, UnusedAccounts
from gateway.store.database import Database, Transaction
from tests.identity.office import GOOD, RULES, START_US, Office, at_the_office
from tests.identity.test_last_admin import PROVINCE, administrators

BASE = Event(door="administration")
HUB = ("140100", "hub-upload")


class Log:
    """A recorder that does the effect in a transaction of its own, and remembers the leaf where it held."""

    def __init__(self, database: Database) -> None:
        self.database = self._database = database
        self.leaves: list[Event] = []
        self.before: Callable[[Transaction], Awaitable[Any]] | None = None

    async def append(
        self, event: Event, work: Callable[[Transaction], Awaitable[Event]] | None = None
    ) -> None:
        async with self._database.transaction() as tx:
            if self.before is not None:
                await self.before(tx)
            leaf = event if work is None else await work(tx)
        leaf.to_leaf(1)
        self.leaves.append(leaf)


def duty(office: Office) -> tuple[UnusedAccounts, Log]:
    log = Log(office.administration)
    return UnusedAccounts(office.administration, cast("Any", log), RULES, office.clock), log


async def state(office: Office, key: tuple[str, str] = HUB) -> int:
    async with office.administration.transaction() as tx:
        found = await accounts.read(tx, *key)
    assert found is not None
    return found.state


def test_told_a_fortnight_before_and_disabled_on_the_day(conninfo) -> None:
    async def scene(office: Office) -> None:
        grant = await office.settled()
        unused, log = duty(office)
        for at_us, told in (
            (76 * DAY_US - 1, []),
            (76 * DAY_US, [TOLD]),
            (76 * DAY_US + 1, [TOLD]),
            (90 * DAY_US - 1, [TOLD]),
            (90 * DAY_US, [TOLD, DISABLED]),
            (90 * DAY_US + 1, [TOLD, DISABLED]),
        ):
            office.clock.us = START_US + at_us
            await unused.look(BASE)
            assert [leaf.kind for leaf in log.leaves] == told
            assert await state(office) == (UNUSED if DISABLED in told else ACTIVE)
        for leaf in log.leaves:
            assert leaf.organisation == "140100"
            assert leaf.detail == {
                "alert": "account-unused",
                "target_organisation": "140100",
                "target_account": "hub-upload",
            }
        async with office.administration.transaction() as tx:
            open_ = "SELECT count(*) FROM gateway.session WHERE ended_us IS NULL"
            assert await tx.fetch(open_) == [(0,)]
        with pytest.raises(Refusal, match="LOGIN_FAILED"):
            await office.log_in("hub-upload", GOOD)
        assert grant

    at_the_office(conninfo, scene)


def test_a_login_begins_anew(conninfo) -> None:
    async def scene(office: Office) -> None:
        await office.settled()
        unused, log = duty(office)
        office.clock.us = START_US + 80 * DAY_US
        assert await unused.look(BASE) == 1
        await office.log_in("hub-upload", GOOD)
        office.clock.us += 76 * DAY_US - 1
        assert await unused.look(BASE) == 0
        office.clock.us += 1
        assert await unused.look(BASE) == 1
        assert [leaf.kind for leaf in log.leaves] == [TOLD, TOLD]
        assert await state(office) == ACTIVE

    at_the_office(conninfo, scene)


def test_who_logs_in_at_the_last_moment_stays(conninfo) -> None:
    """Between the look and the effect."""

    async def scene(office: Office) -> None:
        await office.settled()
        unused, log = duty(office)
        office.clock.us = START_US + 90 * DAY_US

        async def login(_tx: Transaction) -> None:
            async with office.database.transaction() as tx:
                held = await accounts.read(tx, *HUB)
                assert held is not None
                await accounts.note_login(tx, held, office.clock.now_us())

        log.before = login
        assert await unused.look(BASE) == 0
        assert (await state(office), log.leaves) == (ACTIVE, [])

    at_the_office(conninfo, scene)


def test_the_last_administrator_is_told_of_and_stays(conninfo) -> None:
    """Attack 120. Of two one goes, whichever is first, and the other stays."""

    async def scene(office: Office) -> None:
        await administrators(office, "zhao", "qian")
        unused, log = duty(office)
        async with office.database.transaction() as tx:
            await tx.execute("UPDATE gateway.account SET password_expires_us = %s", (START_US * 2,))
            await tx.execute("UPDATE gateway.account SET password_set_us = %s", (START_US * 2,))
        for day in (80, 90, 91, 400):
            office.clock.us = START_US + day * DAY_US
            await unused.look(BASE)
        kinds = [leaf.kind for leaf in log.leaves]
        assert sorted(kinds) == [DISABLED, TOLD, TOLD]
        states = [await state(office, (PROVINCE, name)) for name in ("zhao", "qian")]
        assert sorted(states) == [ACTIVE, UNUSED]
        async with office.administration.transaction() as tx:
            assert len(await listing.left_alone(tx, office.clock.now_us(), 9)) == 1

    at_the_office(conninfo, scene)
