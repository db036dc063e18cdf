"""Login, RefreshToken and Logout on a real database, with the clock turned by hand."""

from dataclasses import replace

import argon2
import pytest

from gateway.clock import US_PER_S
from gateway.errors import Reason, UnauthenticatedError
from gateway.identity import accounts, login
from gateway.identity.principal import PasswordState
from gateway.identity.rules import DAY_US, HOUR_US, MINUTE_US
from tests.identity.office import GOOD, OLDER, RULES, START_US, Office, at_the_office, connection


def test_a_one_time_password_opens_a_session_that_must_change_it(conninfo) -> None:
    async def scene(office: Office) -> None:
        one_time = await office.open_account()
        grant = await office.log_in("hub-upload", one_time)
        assert grant.password_state is PasswordState.MUST_CHANGE
        assert grant.expires_us == START_US + 600 * US_PER_S
        assert grant.password_expires_us == START_US + 24 * HOUR_US
        who = await office.who(grant)
        assert who.password_state is PasswordState.MUST_CHANGE
        assert who.session == grant.session
        assert grant.token not in repr(grant)

    at_the_office(conninfo, scene)


def test_a_settled_account_is_current_then_warned_then_expired(conninfo) -> None:
    async def scene(office: Office) -> None:
        first = await office.settled()
        assert (first.password_state, first.warning_days) == (PasswordState.CURRENT, None)
        assert first.password_expires_us == START_US + 90 * DAY_US
        for day, state, step in (
            (75, PasswordState.CURRENT, None),
            (76, PasswordState.WARNED, 14),
            (84, PasswordState.WARNED, 7),
            (89, PasswordState.WARNED, 1),
            (90, PasswordState.EXPIRED, None),
            (96, PasswordState.EXPIRED, None),
        ):
            office.clock.us = START_US + day * DAY_US
            grant = await office.log_in("hub-upload", GOOD)
            assert (grant.password_state, grant.warning_days) == (state, step)

    at_the_office(conninfo, scene)


def test_a_refresh_prolongs_the_token_and_never_the_session(conninfo) -> None:
    async def scene(office: Office) -> None:
        grant = await office.settled()
        end_us = START_US + 12 * HOUR_US
        while office.clock.us < end_us - 5 * MINUTE_US:
            office.clock.turn(seconds=500)
            who = await office.who(grant)
            async with office.database.transaction() as tx:
                grant = await login.refresh(office.desk, tx, who)
            assert grant.expires_us == min(office.clock.us + 600 * US_PER_S, end_us)
        assert grant.expires_us == end_us
        office.clock.us = end_us
        with pytest.raises(UnauthenticatedError) as refused:
            await office.who(grant)
        assert refused.value.reason is Reason.TOKEN_EXPIRED

    at_the_office(conninfo, scene)


@pytest.mark.parametrize("kind", ["idle", "ended", "expired", "gone", "ended meanwhile"])
def test_a_session_that_is_over_is_not_refreshed(
    conninfo, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(office: Office) -> None:
        who = await office.who(await office.settled())
        if kind == "idle":
            office.clock.turn(seconds=1801)
        elif kind == "expired":
            async with office.database.transaction() as tx:
                await tx.execute("UPDATE gateway.session SET expires_us = %s", (START_US,))
        elif kind == "gone":
            who = replace(who, session=bytes(16))
        elif kind == "ended meanwhile":
            read = login.principal.read_standing

            async def then_ended(tx, sid):
                found = await read(tx, sid)
                await tx.execute("UPDATE gateway.session SET ended_us = 1")
                return found

            monkeypatch.setattr(login.principal, "read_standing", then_ended)
        else:
            async with office.database.transaction() as tx:
                await login.logout(office.desk, tx, who)
        with pytest.raises(UnauthenticatedError) as refused:
            async with office.database.transaction() as tx:
                await login.refresh(office.desk, tx, who)
        assert refused.value.reason is Reason.SESSION_UNKNOWN

    at_the_office(conninfo, scene)


def test_logout_ends_every_token_of_the_session_and_only_those(conninfo) -> None:
    async def scene(office: Office) -> None:
        other = await office.settled()
        grant = await office.log_in("hub-upload", GOOD)
        who = await office.who(grant)
        async with office.database.transaction() as tx:
            later = await login.refresh(office.desk, tx, who)
            await login.logout(office.desk, tx, who)
        for dead in (grant, later):
            with pytest.raises(UnauthenticatedError) as refused:
                await office.who(dead)
            assert refused.value.reason is Reason.SESSION_UNKNOWN
        await office.who(other)
        with pytest.raises(UnauthenticatedError):
            async with office.database.transaction() as tx:
                await login.logout(office.desk, tx, who)

    at_the_office(conninfo, scene)


def test_an_outdated_hash_is_replaced_at_login(conninfo) -> None:
    async def scene(office: Office) -> None:
        await office.settled()
        older = argon2.PasswordHasher.from_parameters(OLDER).hash(GOOD)
        async with office.database.transaction() as tx:
            await tx.execute("UPDATE gateway.account SET password_hash = %s", (older,))
        before = await office.log_in("hub-upload", GOOD)
        async with office.database.transaction() as tx:
            held = await accounts.read_credential(tx, "140100", "hub-upload")
        assert held is not None
        assert held.password_hash != older
        assert not office.desk.passwords.outdated(held.password_hash)
        assert held.account == before.account
        await office.log_in("hub-upload", GOOD)

    at_the_office(conninfo, scene)


def test_a_proof_is_void_when_the_account_changes_before_it_is_redeemed(conninfo) -> None:
    async def scene(office: Office) -> None:
        await office.settled()
        for change in ("state = 2", "password_epoch = 9", "role_epoch = 9", "roles = '{admin}'"):
            proof = await login.prove(office.desk, login.caller(connection(), "hub-upload"), GOOD)
            with pytest.raises(UnauthenticatedError) as refused:
                async with office.database.transaction() as tx:
                    await login.open_session(office.desk, _Changed(tx, change), proof)
            assert refused.value.reason is Reason.LOGIN_FAILED

    at_the_office(conninfo, scene)


class _Changed:
    """A transaction that sees the account as it would be after another's change."""

    def __init__(self, tx, change: str) -> None:
        self._tx, self._change = tx, change
        self.execute = tx.execute

    async def fetch_one(self, sql: str, parameters=()):
        row = list(await self._tx.fetch_one(sql, parameters))
        place, value = {
            "state": (5, 2),
            "password_epoch": (9, 9),
            "role_epoch": (10, 9),
            "roles": (2, ["admin"]),
        }[self._change.split(" ")[0]]
        row[place] = value
        return tuple(row)


def test_tokens_never_outlive_the_policy(conninfo) -> None:
    short = replace(RULES, session=replace(RULES.session, token_minutes=2))

    async def scene(office: Office) -> None:
        grant = await office.settled()
        assert grant.expires_us == START_US + 120 * US_PER_S

    at_the_office(conninfo, scene, rules_in_force=short)


def test_a_token_is_exchanged_for_one_of_the_next_certificate(conninfo) -> None:
    """RFC 8705 section 6.3: each token is good over its own certificate alone, and both end with the session."""

    async def scene(office: Office) -> None:
        grant = await office.settled()
        who, following = await office.who(grant), connection(certificate="two")
        async with office.database.transaction() as tx:
            digest = bytes.fromhex(following.certificate_sha256)
            fresh = await login.exchange(office.desk, tx, who, digest)
        assert (await office.who(fresh, following)).account == who.account
        assert (await office.who(fresh, following)).session_expires_us == who.session_expires_us
        assert (await office.who(grant)).session == who.session
        for token, over in ((fresh, None), (grant, following)):
            with pytest.raises(UnauthenticatedError):
                await office.who(token, over)
        async with office.database.transaction() as tx:
            await login.logout(office.desk, tx, who)
        with pytest.raises(UnauthenticatedError, match="SESSION_UNKNOWN"):
            async with office.database.transaction() as tx:
                await login.exchange(office.desk, tx, who, digest)

    at_the_office(conninfo, scene)
