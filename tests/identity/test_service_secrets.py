"""A service account's two secrets: both open sessions in the overlap, one does before and after it."""

import asyncio
import secrets
import string
from dataclasses import replace

import pytest

from gateway.errors import Reason, Refusal
from gateway.identity import accounts, login, service_secrets
from gateway.identity.principal import PasswordState
from gateway.identity.rules import DAY_US, HOUR_US, NEVER_US
from tests.identity.office import GOOD, RULES, START_US, Office, at_the_office, connection
from tests.identity.test_secret_change import FIRST, SECOND, THIRD, given, refused

ACCOUNT = "hub-upload"


async def overlap(office: Office, name: str = ACCOUNT) -> None:
    """An account whose secret was GOOD, and is FIRST since just now."""
    await office.settled(name)
    office.clock.us += 2 * DAY_US
    await given(office, await office.log_in(name, GOOD), GOOD, FIRST)
    await office.log_in(name, FIRST)


def test_the_first_login_with_the_next_one_puts_it_in_force_and_no_session_ends(conninfo) -> None:
    async def scene(office: Office) -> None:
        await office.settled()
        office.clock.us += 2 * DAY_US
        before = await office.log_in(ACCOUNT, GOOD)
        made_us = office.clock.us
        await given(office, before, GOOD, FIRST)
        still = await office.log_in(ACCOUNT, GOOD)
        assert (still.shown, still.account.secret_rotations) == ("", 0)
        office.clock.us += HOUR_US
        taken = await office.log_in(ACCOUNT, FIRST)
        assert (taken.shown, taken.account.secret_rotations) == ("taken", 1)
        assert taken.account.password_set_us == made_us
        assert taken.password_expires_us == made_us + 90 * DAY_US
        again = await office.log_in(ACCOUNT, FIRST)
        assert (again.shown, again.password_state) == ("", PasswordState.CURRENT)
        # Its bearer's streams go on: the same epoch.
        still = await office.log_in(ACCOUNT, GOOD)
        assert (await office.who(taken)).account == (await office.who(still)).account == ACCOUNT
        assert taken.account.password_epoch == before.account.password_epoch

    at_the_office(conninfo, scene)


@pytest.mark.parametrize(("late_us", "opens"), [(-1, True), (0, False), (1, False)])
def test_the_former_one_opens_for_72_hours_and_not_a_microsecond_longer(
    conninfo, late_us: int, *, opens: bool
) -> None:
    async def scene(office: Office) -> None:
        await overlap(office)
        ends_us = office.clock.us + 72 * HOUR_US
        office.clock.us = ends_us + late_us
        if opens:
            grant = await office.log_in(ACCOUNT, GOOD)
            assert (grant.shown, grant.password_state) == ("former", PasswordState.WARNED)
            assert grant.password_expires_us == ends_us
            assert grant.expires_us <= ends_us
            office.clock.us = ends_us
            assert await refused(office.who(grant)) in ("SESSION_UNKNOWN", "TOKEN_EXPIRED")
        else:
            assert await refused(office.log_in(ACCOUNT, GOOD)) == "SECRET_REPLACED"
        assert (await office.log_in(ACCOUNT, FIRST)).shown == ""

    at_the_office(conninfo, scene)


@pytest.mark.parametrize(("late_us", "opens"), [(-1, True), (0, False), (1, False)])
def test_a_next_one_that_nobody_used_lapses_and_the_current_one_stays(
    conninfo, late_us: int, *, opens: bool
) -> None:
    async def scene(office: Office) -> None:
        await office.settled()
        office.clock.us += 2 * DAY_US
        await given(office, await office.log_in(ACCOUNT, GOOD), GOOD, FIRST)
        office.clock.us += 72 * HOUR_US + late_us
        if opens:
            assert (await office.log_in(ACCOUNT, FIRST)).shown == "taken"
            return
        assert await refused(office.log_in(ACCOUNT, FIRST)) == "LOGIN_FAILED"
        grant = await office.log_in(ACCOUNT, GOOD)
        # The same request, and the same value, are good again.
        await given(office, grant, GOOD, FIRST)
        assert (await office.log_in(ACCOUNT, FIRST)).shown == "taken"

    at_the_office(conninfo, scene)


def test_an_officers_reset_ends_both_at_once(conninfo) -> None:
    async def scene(office: Office) -> None:
        await overlap(office)
        one_time = await office.desk.passwords.one_time()
        async with office.administration.transaction() as tx:
            profile, now_us = office.desk.profile, office.clock.us
            await accounts.reset(tx, "140100", ACCOUNT, one_time.hash, profile, now_us)
        for dead in (GOOD, FIRST):
            assert await refused(office.log_in(ACCOUNT, dead)) == "LOGIN_FAILED"
        grant = await office.log_in(ACCOUNT, one_time.text)
        # Also minutes after the last rotation, and no one-time password opens anything afterwards.
        await given(office, grant, one_time.text, SECOND)
        assert (await office.log_in(ACCOUNT, SECOND)).password_state is PasswordState.CURRENT
        assert await refused(office.log_in(ACCOUNT, one_time.text)) == "LOGIN_FAILED"
        assert await refused(office.who(grant)) == "SESSION_UNKNOWN"

    at_the_office(conninfo, scene)


def test_a_next_one_opens_also_where_the_one_time_password_has_run_out_since(conninfo) -> None:
    async def scene(office: Office) -> None:
        one_time = await office.open_account()
        await given(office, await office.log_in(ACCOUNT, one_time), one_time, FIRST)
        office.clock.us += 30 * HOUR_US
        assert await refused(office.log_in(ACCOUNT, one_time)) == "LOGIN_FAILED"
        assert (await office.log_in(ACCOUNT, FIRST)).shown == "taken"

    at_the_office(conninfo, scene)


def test_two_processes_that_log_in_with_the_next_one_at_once_both_get_in(conninfo) -> None:
    async def scene(office: Office) -> None:
        await office.settled()
        office.clock.us += 2 * DAY_US
        await given(office, await office.log_in(ACCOUNT, GOOD), GOOD, FIRST)
        who = login.caller(connection(), ACCOUNT)
        proofs = [await login.prove(office.desk, who, one) for one in (FIRST, FIRST, GOOD)]

        async def redeem(proof: login.Proof) -> login.Grant:
            async with office.database.transaction() as tx:
                return await login.open_session(office.desk, tx, proof)

        found = await asyncio.gather(*map(redeem, proofs))
        assert {grant.account.secret_rotations for grant in found[:2]} == {1}
        assert (await office.log_in(ACCOUNT, FIRST)).account.secret_rotations == 1

    at_the_office(conninfo, scene)


def test_what_was_proven_opens_nothing_after_a_reset_or_after_its_overlap(conninfo) -> None:
    async def scene(office: Office) -> None:
        await overlap(office)
        who = login.caller(connection(), ACCOUNT)
        former = await login.prove(office.desk, who, GOOD)
        current = await login.prove(office.desk, who, FIRST)
        office.clock.us += 72 * HOUR_US

        async def redeemed(proof: login.Proof) -> str:
            async with office.database.transaction() as tx:
                return await refused(login.open_session(office.desk, tx, proof))

        assert await redeemed(former) == "LOGIN_FAILED"
        one_time = await office.desk.passwords.one_time()
        async with office.administration.transaction() as tx:
            await accounts.reset(
                tx, "140100", ACCOUNT, one_time.hash, office.desk.profile, office.clock.us
            )
        assert await redeemed(current) == "LOGIN_FAILED"

    at_the_office(conninfo, scene)


def test_a_systems_login_computes_two_hashes_whatever_there_is(conninfo, monkeypatch) -> None:
    """Nobody learns from the time whether an account is there, or has two secrets (attack 91)."""

    async def scene(office: Office) -> None:
        await overlap(office)
        passwords, computed = office.desk.passwords, []
        verify = type(passwords).verify

        async def counted(self, stored, password):
            computed.append(1)
            await verify(self, stored, password)

        monkeypatch.setattr(type(passwords), "verify", counted)
        for name in (ACCOUNT, "nobody-here"):
            computed.clear()
            assert await refused(office.log_in(name, "wrong")) == "LOGIN_FAILED"
            assert len(computed) == 2
        computed.clear()
        officer = connection("officer/wang")
        assert await refused(office.log_in(ACCOUNT, FIRST, officer)) == "LOGIN_FAILED"
        assert len(computed) == 1

    at_the_office(conninfo, scene)


def test_no_person_logs_in_to_a_service_account(conninfo) -> None:
    """Its bearer is a system: an officer's certificate opens it with neither secret."""

    async def scene(office: Office) -> None:
        await overlap(office)
        for over in (connection("officer/wang"), connection("sys/spare")):
            for secret in (GOOD, FIRST):
                assert await refused(office.log_in(ACCOUNT, secret, over)) == "LOGIN_FAILED"
        assert (await office.log_in(ACCOUNT, FIRST)).shown == ""

    at_the_office(conninfo, scene)


def test_only_the_identity_door_reads_a_hash(conninfo) -> None:
    async def scene(office: Office) -> None:
        await overlap(office)
        async with office.administration.transaction() as tx:
            with pytest.raises(Exception, match="permission denied"):
                await tx.fetch("SELECT secret_hash FROM gateway.other_secret")

    at_the_office(conninfo, scene)


def test_overlapping_accounts_are_known_until_the_overlap_ends(conninfo) -> None:
    async def scene(office: Office) -> None:
        await overlap(office)
        ends_us = office.clock.us + 72 * HOUR_US
        async with office.database.transaction() as tx:
            assert await service_secrets.overlapping(tx, ends_us - 1) == {("140100", ACCOUNT)}
            assert await service_secrets.overlapping(tx, ends_us) == set()

    at_the_office(conninfo, scene)


@pytest.mark.parametrize(
    ("secret", "rules"),
    [
        (FIRST, []),
        (FIRST[:32], []),
        ((FIRST + SECOND + THIRD)[:128], []),
        (FIRST[:31], ["SECRET-FORM"]),
        ((FIRST + SECOND + THIRD)[:128] + "xY", ["SECRET-FORM"]),
        (FIRST[:-1] + " ", ["SECRET-FORM"]),
        (FIRST[:-1] + "疫", ["SECRET-FORM"]),
        ("", ["SECRET-FORM"]),
        ("ab" * 20, ["SECRET-RANDOM"]),
        (string.ascii_letters[:40], ["SECRET-RANDOM"]),
        (FIRST + "aaaaaa", ["SECRET-RANDOM"]),
        (FIRST + "fedcba", ["SECRET-RANDOM"]),
        ("vaccinevaccinevaccinevaccinevaccine", ["SECRET-RANDOM"]),
    ],
)
def test_a_secret_must_come_from_a_generator(secret: str, rules: list[str]) -> None:
    found = service_secrets.judge(secret, RULES.service)
    assert [one.rule for one in found] == rules
    assert all(one.field == "new_secret" and one.chinese and one.english for one in found)


def test_no_secret_of_the_generator_is_refused() -> None:
    for _ in range(2000):
        assert service_secrets.judge(secrets.token_urlsafe(32), RULES.service) == []


@pytest.mark.parametrize(
    ("text", "longest"), [("", 1), ("a", 1), ("az", 1), ("aa", 2), ("xabcx", 3), ("zcbaaa", 3)]
)
def test_runs_are_of_one_character_or_count_up_or_down(text: str, longest: int) -> None:
    assert service_secrets.longest_run(text) == longest


def test_the_window_is_around_the_half_of_the_life_and_for_services_alone(conninfo) -> None:
    async def scene(office: Office) -> None:
        one_time = await office.open_account()
        grant = await office.log_in(ACCOUNT, one_time)
        assert service_secrets.window(grant.account, RULES, office.clock.us) is None
        account = (await office.change(grant, one_time, GOOD)).account
        bounds = service_secrets.window(account, RULES, office.clock.us)
        assert bounds == (START_US + 36 * DAY_US, START_US + 54 * DAY_US)
        assert account.ends_us(replace(RULES, profile="nist").at(START_US)) <= NEVER_US
        one_time = await office.open_account("wang.admin", role="admin", subject="wang")
        officer = connection("officer/wang")
        grant = await office.log_in("wang.admin", one_time, officer)
        assert service_secrets.window(grant.account, RULES, office.clock.us) is None

    at_the_office(conninfo, scene)


def test_refusals_have_the_reason_that_is_told() -> None:
    with pytest.raises(Refusal) as raised:
        raise service_secrets.refuse(Reason.SECRET_REPLACED)
    assert raised.value.code == "FAILED_PRECONDITION"
