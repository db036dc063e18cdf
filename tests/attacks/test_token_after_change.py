"""Attacks 110 and 111 of reference/identity.md: a token on another connection, or after logout, password or role change."""

from collections.abc import Callable

import pytest

from gateway.errors import Reason, UnauthenticatedError
from gateway.identity import login
from gateway.identity.login import Grant
from gateway.identity.rules import DAY_US
from gateway.link.connection import Connection
from gateway.store.database import Database
from tests.identity.office import BETTER, GOOD, Office, at_the_office, connection

Conninfo = Callable[[str], str]


async def heard(office: Office, grant: Grant, over: Connection | None = None) -> Reason:
    with pytest.raises(UnauthenticatedError) as refused:
        await office.who(grant, over)
    assert refused.value.metadata == {}
    return refused.value.reason


@pytest.mark.parametrize(
    "over",
    [
        connection(certificate="two"),
        connection("sys/spare"),
        connection("officer/hub"),
        connection(organisation="140200"),
    ],
    ids=["renewed certificate", "other system", "officer", "other organisation"],
)
def test_a_token_is_void_on_any_other_connection(conninfo: Conninfo, over: Connection) -> None:
    async def scene(office: Office) -> None:
        grant = await office.settled()
        assert await heard(office, grant, over) is Reason.TOKEN_INVALID
        assert (await office.who(grant)).account == "hub-upload"

    at_the_office(conninfo, scene)


def test_nothing_survives_a_logout(conninfo: Conninfo) -> None:
    async def scene(office: Office) -> None:
        grant = await office.settled()
        async with office.database.transaction() as tx:
            await login.logout(office.desk, tx, await office.who(grant))
        assert await heard(office, grant) is Reason.SESSION_UNKNOWN
        await office.who(await office.log_in("hub-upload", GOOD))

    at_the_office(conninfo, scene)


def test_nothing_survives_a_new_password(conninfo: Conninfo) -> None:
    async def scene(office: Office) -> None:
        await office.settled()
        office.clock.us += DAY_US
        thief, owner = (
            await office.log_in("hub-upload", GOOD),
            await office.log_in("hub-upload", GOOD),
        )
        fresh = await office.change(owner, GOOD, BETTER)
        assert await heard(office, thief) is Reason.SESSION_UNKNOWN
        await office.who(fresh)

    at_the_office(conninfo, scene)


@pytest.mark.parametrize(
    "change",
    ["roles = '{auditor}', role_epoch = role_epoch + 1", "state = 2", "subject_name = 'spare'"],
)
def test_nothing_survives_a_change_of_rights(conninfo: Conninfo, change: str) -> None:
    async def scene(office: Office) -> None:
        grant = await office.settled()
        owner = await Database.open(conninfo("owner"), application="test", size=1)
        async with owner.transaction() as tx:
            await tx.execute(f"UPDATE gateway.account SET {change}")
        await owner.close()
        assert await heard(office, grant) is Reason.SESSION_UNKNOWN

    at_the_office(conninfo, scene)


def test_a_password_that_expires_by_the_owners_sql_restricts_the_running_session(
    conninfo: Conninfo,
) -> None:
    """The demo's expired password: set by SQL, in force with the next call."""

    async def scene(office: Office) -> None:
        grant = await office.settled()
        owner = await Database.open(conninfo("owner"), application="test", size=1)
        async with owner.transaction() as tx:
            await tx.execute("UPDATE gateway.account SET password_expires_us = 1")
        await owner.close()
        assert (await office.who(grant)).password_state.restricted

    at_the_office(conninfo, scene)
