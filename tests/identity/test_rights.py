"""What an officer changes of an account: roles, state, lock; never his own, never the last administrator's."""

from dataclasses import replace

import pytest

from gateway.errors import (
    DeniedError,
    InvalidError,
    NotFoundError,
    PreconditionError,
    Reason,
    UnauthenticatedError,
)
from gateway.identity import accounts, listing, rights
from gateway.identity.accounts import ACTIVE, SUSPENDED, UNUSED, Account
from gateway.identity.rights import Officer
from gateway.identity.rules import DAY_US
from gateway.names import Subject
from tests.identity.office import DOMAIN, GOOD, PROFILE, Office, at_the_office
from tests.identity.test_last_admin import PROVINCE, administrators

HUB = ("140100", "hub-upload")
WANG = ("140100", "wang")


def officer(office: Office, name: str = "zhao", organisation: str = PROVINCE) -> Officer:
    subject = Subject(DOMAIN, organisation, "officer", name)
    return Officer(subject, PROFILE, office.clock.now_us())


async def set_roles(
    office: Office, key: tuple[str, str], *wanted: str, by: str = "zhao"
) -> Account:
    async with office.administration.transaction() as tx:
        return await rights.set_roles(tx, key, wanted, officer(office, by))


async def set_state(office: Office, key: tuple[str, str], state: int, by: str = "zhao") -> Account:
    async with office.administration.transaction() as tx:
        return await rights.set_state(tx, key, state, officer(office, by))


def test_other_roles_end_the_sessions_and_raise_the_epoch(conninfo) -> None:
    """Attack 111: a token of before does nothing."""

    async def scene(office: Office) -> None:
        await office.open_account("wang", role="requester", subject="wang")
        async with office.administration.transaction() as tx:
            before = await accounts.read(tx, *WANG)
        assert before is not None
        changed = await set_roles(office, WANG, "recipient", "requester")
        assert changed == replace(
            before, roles=("recipient", "requester"), role_epoch=before.role_epoch + 1
        )
        async with office.administration.transaction() as tx:
            assert await accounts.read(tx, *WANG) == changed
        # The same again is no change.
        assert await set_roles(office, WANG, "requester", "recipient") == changed

    at_the_office(conninfo, scene)


def test_a_session_ends_with_its_roles_and_with_its_state(conninfo) -> None:
    async def scene(office: Office) -> None:
        grant = await office.settled()
        await set_state(office, HUB, SUSPENDED)
        with pytest.raises(UnauthenticatedError, match="SESSION_UNKNOWN"):
            await office.who(grant)
        with pytest.raises(UnauthenticatedError, match="LOGIN_FAILED"):
            await office.log_in("hub-upload", GOOD)
        await set_state(office, HUB, ACTIVE)
        # Nothing of before comes alive again.
        with pytest.raises(UnauthenticatedError, match="SESSION_UNKNOWN"):
            await office.who(grant)
        await office.who(await office.log_in("hub-upload", GOOD))

    at_the_office(conninfo, scene)


@pytest.mark.parametrize(
    ("key", "wanted", "rules"),
    [
        (WANG, (), ["account-roles"]),
        (WANG, ("king",), ["account-roles"]),
        (WANG, ("admin", "requester"), ["account-roles-apart"]),
        (WANG, ("uploader",), ["account-roles-bearer"]),
        (HUB, ("requester",), ["account-roles-bearer"]),
        (WANG, ("auditor",), ["account-roles-person"]),
        (WANG, ("approver",), ["account-roles-person"]),
        (WANG, ("security_officer",), ["account-roles-person"]),
    ],
)
def test_roles_that_cannot_be(
    conninfo, key: tuple[str, str], wanted: tuple[str, ...], rules: list[str]
) -> None:
    """The person administers with another account; a suspended one counts, for it may be taken up again."""

    async def scene(office: Office) -> None:
        await office.open_account()
        await office.open_account("wang", role="requester", subject="wang")
        await office.open_account("wang-admin", role="admin", subject="wang")
        await set_state(office, ("140100", "wang-admin"), SUSPENDED)
        with pytest.raises(InvalidError) as refused:
            await set_roles(office, key, *wanted)
        assert [one.rule for one in refused.value.violations] == rules

    at_the_office(conninfo, scene)


def test_nobody_changes_his_own(conninfo) -> None:
    """Attack 119; neither the account he came with nor another of the same certificate subject."""

    async def scene(office: Office) -> None:
        await administrators(office, "zhao", "qian")
        own = (PROVINCE, "zhao")
        for attempt in (
            lambda tx, by: rights.set_roles(tx, own, ("requester",), by),
            lambda tx, by: rights.set_state(tx, own, ACTIVE, by),
            lambda tx, by: rights.unlock(tx, own, by),
        ):
            with pytest.raises(DeniedError) as refused:
                async with office.administration.transaction() as tx:
                    await attempt(tx, officer(office))
            assert refused.value.reason is Reason.OWN_ACCOUNT
            async with office.administration.transaction() as tx:
                await attempt(tx, officer(office, "qian"))
            await set_roles(office, own, "admin", by="qian")
        # A namesake elsewhere is another person.
        async with office.administration.transaction() as tx:
            await rights.unlock(tx, own, officer(office, "zhao", "140100"))
        # To step down is everybody's own affair, as long as the province goes on.
        assert (await set_state(office, own, SUSPENDED)).state == SUSPENDED

    at_the_office(conninfo, scene)


def test_the_last_administrator_stays(conninfo) -> None:
    """Attack 120: not by himself, not by another."""

    async def scene(office: Office) -> None:
        await administrators(office, "zhao")
        own = (PROVINCE, "zhao")
        for by in ("zhao", "sun"):
            with pytest.raises(PreconditionError) as refused:
                await set_state(office, own, SUSPENDED, by=by)
            assert refused.value.reason is Reason.LAST_ADMIN
        with pytest.raises(PreconditionError) as refused:
            await set_roles(office, own, "requester", by="sun")
        assert refused.value.reason is Reason.LAST_ADMIN
        await administrators(office, "qian")
        assert (await set_state(office, own, SUSPENDED, by="qian")).state == SUSPENDED
        with pytest.raises(PreconditionError, match="LAST_ADMIN"):
            await set_state(office, (PROVINCE, "qian"), SUSPENDED, by="sun")

    at_the_office(conninfo, scene)


def test_what_was_disabled_is_taken_up_again_and_counts_as_fresh(conninfo) -> None:
    async def scene(office: Office) -> None:
        await office.settled()
        async with office.administration.transaction() as tx:
            await tx.execute("UPDATE gateway.account SET state = %s, unused_told_us = 1", (UNUSED,))
        office.clock.us += 200 * DAY_US
        assert (await set_state(office, HUB, ACTIVE)).state == ACTIVE
        async with office.administration.transaction() as tx:
            found = await listing.listed(tx, *HUB)
        assert found is not None
        assert (found.used_us, found.unused_told_us) == (office.clock.us, None)

    at_the_office(conninfo, scene)


def test_an_account_that_is_not_is_not_found(conninfo) -> None:
    async def scene(office: Office) -> None:
        with pytest.raises(NotFoundError):
            await set_state(office, ("140100", "nobody"), SUSPENDED)
        with pytest.raises(NotFoundError):
            await set_roles(office, ("140100", "nobody"), "requester")

    at_the_office(conninfo, scene)
