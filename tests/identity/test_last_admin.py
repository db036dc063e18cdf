"""Attack 120: the last administrator of the province is slowed and never locked out."""

from dataclasses import replace

import pytest

from gateway.errors import PreconditionError, Reason
from gateway.identity import accounts, last_admin
from gateway.identity.accounts import NewAccount
from gateway.identity.rules import DAY_US, Rules
from gateway.registry import systems
from gateway.registry.systems import System
from tests.identity.office import PROFILE, RULES, START_US, Office, at_the_office, ruled

PROVINCE = "140000"


async def administrators(office: Office, *names: str) -> None:
    """Open accounts that administer the province, whose passwords were changed already."""
    async with office.administration.transaction() as tx:
        for name in names:
            await systems.create(tx, System(PROVINCE, "officer", name), START_US)
            wanted = NewAccount(PROVINCE, name, ("admin",), name)
            await accounts.create(tx, wanted, "hash", PROFILE, START_US)
    async with office.database.transaction() as tx:
        await tx.execute(
            "UPDATE gateway.account SET must_change = false, password_expires_us = %s",
            (START_US + 90 * DAY_US,),
        )


async def last(office: Office, name: str = "zhao", rules: Rules = RULES) -> bool:
    async with office.administration.transaction() as tx:
        account = await accounts.read(tx, PROVINCE, name)
        assert account is not None
        now_us = office.clock.now_us()
        found = [
            await last_admin.is_last(tx, account, rules.at(now_us), now_us, locking=locking)
            for locking in (False, True)
        ]
        if found[0]:
            with pytest.raises(PreconditionError) as refused:
                await last_admin.require_another(tx, account, rules.at(now_us), now_us)
            assert refused.value.reason is Reason.LAST_ADMIN
    assert found[0] is found[1]
    return found[0]


def test_one_of_one_is_the_last_and_one_of_two_is_not(conninfo) -> None:
    async def scene(office: Office) -> None:
        await administrators(office, "zhao")
        assert await last(office)
        await administrators(office, "qian")
        assert not await last(office)

    at_the_office(conninfo, scene)


@pytest.mark.parametrize(
    "change",
    [
        "account SET state = 2 WHERE name = 'qian'",
        "account SET state = 3 WHERE name = 'qian'",
        "account SET roles = '{auditor}' WHERE name = 'qian'",
        "system SET state = 2 WHERE name = 'qian'",
        "account SET must_change = true, password_expires_us = 1 WHERE name = 'qian'",
        "account SET password_expires_us = 1 WHERE name = 'qian'",
    ],
)
def test_who_could_not_come_in_does_not_count(conninfo, change: str) -> None:
    async def scene(office: Office) -> None:
        await administrators(office, "zhao", "qian")
        role = office.database if "password" in change else office.administration
        async with role.transaction() as tx:
            await tx.execute(f"UPDATE gateway.{change}")
        assert await last(office)
        if "roles" in change or "account SET state" in change:
            assert not await last(office, "qian")

    at_the_office(conninfo, scene)


def test_who_is_locked_does_not_count(conninfo) -> None:
    async def scene(office: Office) -> None:
        await administrators(office, "zhao", "qian")
        locked = (
            "INSERT INTO gateway.throttle (organisation, account, lineage, failures,"
            " blocked_until_us, last_us, locked_us) VALUES ('140000', 'qian', %s, 100, 0, 1, 1)"
        )
        async with office.database.transaction() as tx:
            await tx.execute(locked, ("officer/stranger",))
        assert not await last(office)
        async with office.database.transaction() as tx:
            await tx.execute(locked, ("officer/qian",))
        assert await last(office)

    at_the_office(conninfo, scene)


def test_a_citys_administrator_is_none_of_the_provinces(conninfo) -> None:
    async def scene(office: Office) -> None:
        await administrators(office, "zhao")
        await office.open_account("wang-admin", role="admin", subject="wang")
        assert await last(office)
        async with office.administration.transaction() as tx:
            city = await accounts.read(tx, "140100", "wang-admin")
            assert city is not None
            assert not await last_admin.is_last(tx, city, PROFILE, START_US)

    at_the_office(conninfo, scene)


def test_both_past_the_grace_are_both_let_in(conninfo) -> None:
    """Else nobody could: each is the last where the other opens nothing."""

    async def scene(office: Office) -> None:
        await administrators(office, "zhao", "qian")
        office.clock.us = START_US + 97 * DAY_US
        assert await last(office)
        assert await last(office, "qian")
        longer = ruled(replace(PROFILE, grace_days=8))
        assert not await last(office, rules=longer)

    at_the_office(conninfo, scene)
