"""Attacks 85-99 of reference/identity.md at doors that serve, each by the rule of attack tests (`tried`).

Boundaries of every row of the policy: test_password_boundaries.py; the count of failures and the work of a refusal:
test_login_guessing.py.
"""

import asyncio
import hashlib
import io
from collections import Counter
from dataclasses import replace

import argon2
import pytest
from google.rpc import error_details_pb2

from gateway import log
from gateway.audit.floods import BURST
from gateway.clock import US_PER_S
from gateway.identity.passwords import ACCEPTED
from gateway.identity.rules import DAY_US, HOUR_US
from gateway.store import roles
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import identity_service_pb2 as identity
from tests.attacks.tried import logged_in, login, tried, unspoken
from tests.coverage.rpcs import (
    LOGIN,
    WHOAMI,
    Watch,
    a_batch,
    eventually,
    new_id,
    refused,
    restore_password,
)
from tests.people import newcomer
from tests.world import COUNTY, PASSWORD, RefusedError, held

SERVICE = "/gateway.v1.IdentityService/"
CHANGE = SERVICE + "ChangePassword"
ADMIN = "/gateway.v1.AdminService/"
GOOD = "Violet-Anchor-Hums-93"
FLOOD = 60
WRONG = "Wrong-Guess-Of-Mine-71"
MINE = "organisation = %s AND name = 'uploader'"
EARLIER = [f"{word}-Lampion-{n}4-Zq" for n, word in enumerate(("Ash", "Birch", "Cedar"))]


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


@pytest.fixture(autouse=True)
def process_log(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(log._LINES, "stream", stream)
    return stream


@pytest.fixture(autouse=True)
def settled(province):
    """Everybody has PASSWORD, two days old, and no failure is counted."""
    world = province.world
    world.sql("DELETE FROM gateway.throttle")
    for person in (world.county, world.other_county, world.city_admin):
        restore_password(world, person)


async def who_am_i(world, token, person=None):
    reply = await world.call(person or world.county, WHOAMI, b"", token=token)
    return identity.WhoAmIResponse.FromString(reply)


def change(world, token, new, old=PASSWORD, person=None):
    request = identity.ChangePasswordRequest(
        request_id=new_id(), old_password=old, new_password=new
    )
    return world.call(person or world.county, CHANGE, request, token=token)


def set_account(world, assignments, *values):
    """Change the county's account as only its owner's SQL could, and let the doors see it."""
    world.sql(f"UPDATE gateway.account SET {assignments} WHERE {MINE}", *values, COUNTY)
    world.clock.turn(seconds=0.3)


def rules_of(error: RefusedError) -> set[str]:
    found = error.detail(error_details_pb2.BadRequest)
    return {one.reason for one in found.field_violations}


# --- 85-90: what a new password must be --------------------------------------------------------

# Of each rule one that breaks it; PW-AGE and PW-HISTORY have tests of their own below.
WEAK = [
    (85, "Tz7#kk2mQx9", {"PW-LENGTH"}),
    (87, "granite-Lampion-44" + "x7Q" * 36 + "abc", {"PW-LENGTH"}),
    (85, "granitelampion-vesper", {"PW-CLASSES"}),
    (85, "Aa1!Aa1!Aa1!", {"PW-STRENGTH"}),
    (87, "Granite\u0000Lampion44", {"PW-CHARACTERS"}),
    (87, "Granite\u2028Lampion44", {"PW-CHARACTERS"}),
    (87, "G" * 1025, {"PW-CHARACTERS"}),
    (89, PASSWORD, {"PW-SIMILAR"}),
    (89, PASSWORD + "123", {"PW-SIMILAR"}),
    (86, PASSWORD.translate(str.maketrans("48", "４８")), {"PW-SIMILAR"}),
    (86, "".join(chr(ord(one) + 0xFEE0) for one in PASSWORD), {"PW-SIMILAR"}),
    (90, "Uploader-Granite-44", {"PW-NAMES"}),
    (90, "UPL0ADER-granite-44", {"PW-NAMES"}),
    (90, f"Granite-{COUNTY}-Zx", {"PW-NAMES"}),
    (90, "Shanxi.CDC.0351", {"PW-WORDS"}),
    (90, "Yimiao.Jikong.2026", {"PW-WORDS"}),
]


@pytest.mark.parametrize(("number", "password", "rules"), WEAK, ids=range(len(WEAK)))
def test_a_password_that_breaks_a_rule_is_not_taken(province, process_log, number, password, rules):
    async def scenario(world):
        assert number in range(85, 91)
        token = await world.login(world.county)
        error, leaf = await tried(
            world,
            change(world, token, password),
            "PASSWORD_WEAK",
            secrets=[password, PASSWORD, token],
            process_log=process_log,
            then=lambda: who_am_i(world, token),
        )
        assert rules <= rules_of(error)
        assert leaf["kind"] == "identity.password"
        assert leaf["account"] == "uploader"
        # The old one is in force, and a good one is taken.
        await world.login(world.county)
        await change(world, token, GOOD)
        await world.login(world.county, GOOD)

    province.run(scenario(province.world))


@pytest.mark.parametrize(
    "password", ["granite-Lampion-44" + "x7Q" * 36 + "ab", "🦊🦊-Granite-Lampion-4"], ids=range(2)
)
def test_the_longest_and_the_strangest_are_taken(province, password):
    """87: 128 characters; signs beyond the basic plane."""

    async def scenario(world):
        await change(world, await world.login(world.county), password)
        await world.login(world.county, password)

    province.run(scenario(province.world))


def test_twins_are_one_password(province):
    """86: what NFKC makes alike opens the account from every keyboard, composed or not, full width or not."""

    async def scenario(world):
        new = "Crème-Brûlée-Vesper-9"
        await change(world, await world.login(world.county), new)
        for spelt in ("Cre\u0300me-Bru\u0302le\u0301e-Vesper-9", new.replace("9", "９"), new):
            await world.login(world.county, spelt)
        assert (await refused(world.login(world.county, "Creme-Brulee-Vesper-9"))).reason == (
            "LOGIN_FAILED"
        )

    province.run(scenario(province.world))


@pytest.mark.parametrize("method", [LOGIN, CHANGE])
def test_half_a_character_is_no_text(province, process_log, method):
    """87: a lone surrogate in UTF-8, which no library writes."""

    async def scenario(world):
        token = await world.login(world.county)
        half = b"Granite\xed\xa0\x80-Lampion-44"
        # Field 2 of both requests is a password.
        raw = bytes([2 << 3 | 2, len(half)]) + half
        await tried(
            world,
            world.call(world.county, method, raw, token=token),
            "MESSAGE_MALFORMED",
            secrets=["Lampion", token],
            process_log=process_log,
            then=lambda: who_am_i(world, token),
        )

    province.run(scenario(province.world))


def test_the_history_cannot_be_run_through(province, process_log):
    """88: not back to a former one, and not through it within a day."""

    async def scenario(world):
        hasher = argon2.PasswordHasher.from_parameters(ACCEPTED[0])
        set_account(world, "history = %s", [hasher.hash(one) for one in (*EARLIER, PASSWORD)])
        token = await world.login(world.county)
        for former in (EARLIER[0], EARLIER[-1], EARLIER[1].replace("4", "４")):
            error, _ = await tried(
                world,
                change(world, token, former),
                "PASSWORD_WEAK",
                secrets=[former, PASSWORD],
                process_log=process_log,
                then=lambda: who_am_i(world, token),
            )
            assert rules_of(error) == {"PW-HISTORY"}
        await change(world, token, GOOD)
        token = await world.login(world.county, GOOD)
        error, _ = await tried(
            world,
            change(world, token, "Copper-Lantern-Drifts-61", GOOD),
            "PASSWORD_WEAK",
            secrets=["Copper-Lantern-Drifts-61", GOOD],
            process_log=process_log,
            then=lambda: who_am_i(world, token),
        )
        assert rules_of(error) == {"PW-AGE"}
        world.clock.turn(seconds=86_400)
        await change(world, await world.login(world.county, GOOD), "Copper-Lantern-Drifts-61", GOOD)
        world.clock.turn(seconds=-86_400)

    province.run(scenario(province.world))


def test_a_stolen_token_changes_no_password(province, process_log):
    """Nor does it guess one: the old password is asked for, and counted like a login."""

    async def scenario(world):
        token = await world.login(world.county)
        for _ in range(5):
            await tried(
                world,
                change(world, token, GOOD, WRONG),
                "LOGIN_FAILED",
                secrets=[WRONG, GOOD, token],
                process_log=process_log,
                then=lambda: who_am_i(world, token),
            )
        assert (await refused(change(world, token, GOOD))).reason == "LOGIN_THROTTLED"
        world.clock.turn(seconds=60)
        await change(world, token, GOOD)
        world.clock.turn(seconds=-60)

    province.run(scenario(province.world))


# --- 91-94: guessing, and locking others out ---------------------------------------------------


def told(error: RefusedError) -> tuple[object, ...]:
    """All that a caller hears of a refusal, but the number of the request."""
    info = error.detail(error_details_pb2.ErrorInfo)
    kinds = sorted(one.type_url for one in error.status.details)
    return error.code, error.message, info.reason, info.domain, dict(info.metadata), kinds


CAUSES = {
    "wrong password": ("county", "uploader", WRONG),
    "no such account": ("county", "nobody-of-this-name", PASSWORD),
    "no name": ("county", "", PASSWORD),
    "no password": ("county", "uploader", ""),
    "the password as name": ("county", PASSWORD, PASSWORD),
    "not a name": ("county", "' OR ''='", PASSWORD),
    "a very long password": ("county", "uploader", "x" * 3000),
    "another's account": ("city_admin", "auditor", PASSWORD),
    "an account of an organisation below": ("city_admin", "uploader", PASSWORD),
}


def test_who_guesses_hears_one_thing(province, process_log):
    """91: an account that is not there, one of somebody else, and a wrong password are told alike, and none is named."""

    async def scenario(world):
        heard = set()
        for who, account, password in CAUSES.values():
            person = getattr(world, who)
            error, leaf = await tried(
                world,
                world.call(person, LOGIN, login(account, password)),
                "LOGIN_FAILED",
                secrets=[password, account if account == PASSWORD else ""],
                process_log=process_log,
                then=lambda: world.login(world.other_county),
            )
            heard.add(repr(told(error)))
            # What is typed as a name may be a password.
            assert "account" not in leaf
            assert leaf["organisation"] == person.organisation
        assert len(heard) == 1

    province.run(scenario(province.world))


def test_guessing_is_slowed_to_minutes(province, process_log):
    """92: the sixth guess is not looked at, nor is the right password, and the caller is told when."""

    async def scenario(world):
        async def guess(password):
            return await world.call(world.county, LOGIN, login("uploader", password))

        async def another():
            await world.login(world.other_county)

        secrets = {"secrets": [WRONG, PASSWORD], "process_log": process_log, "then": another}
        for _ in range(5):
            await tried(world, guess(WRONG), "LOGIN_FAILED", **secrets)
        for password in (WRONG, PASSWORD):
            error, _ = await tried(world, guess(password), "LOGIN_THROTTLED", **secrets)
            wait_s = error.detail(error_details_pb2.RetryInfo).retry_delay.ToMicroseconds() / 1e6
            assert 0 < wait_s <= 60
        # The block is the system's: its next certificate does not shake it off.
        owner = roles.conninfo(world.home, world.settings, "owner")
        renewed = await newcomer(owner, world.authority, world.county.subject)
        attempt = world.call(renewed, LOGIN, login("uploader"))
        await tried(world, attempt, "LOGIN_THROTTLED", **secrets)
        world.clock.turn(seconds=wait_s)
        await guess(PASSWORD)
        world.clock.turn(seconds=-wait_s)

    province.run(scenario(province.world))


@pytest.mark.parametrize("who", ["other_county", "city_admin", "city", "auditor"])
def test_an_outsider_locks_nobody_out(province, process_log, who):
    """93: whoever guesses counts against himself, be it the city above or the province's auditor."""

    async def scenario(world):
        attacker = getattr(world, who)
        for _ in range(6):
            await refused(world.call(attacker, LOGIN, login("uploader", WRONG)))
        error, leaf = await tried(
            world,
            world.call(attacker, LOGIN, login("uploader", WRONG)),
            "LOGIN_THROTTLED",
            secrets=[WRONG],
            process_log=process_log,
            then=lambda: world.login(world.county),
        )
        assert leaf["organisation"] == attacker.organisation
        assert error.detail(error_details_pb2.RetryInfo).retry_delay.ToMicroseconds() > 0
        counted = world.sql("SELECT DISTINCT organisation FROM gateway.throttle")
        assert counted == [(attacker.organisation,)]

    province.run(scenario(province.world))


async def reset(world, organisation=COUNTY):
    """An officer resets the account; return its one-time password."""
    request = admin.ResetPasswordRequest(
        request_id=new_id(),
        organisation_code=organisation,
        account_name="uploader",
        reason="forgotten",
    )
    token = await world.login(world.province_admin)
    reply = await world.call(world.province_admin, ADMIN + "ResetPassword", request, token=token)
    return admin.ResetPasswordResponse.FromString(reply).one_time_password


def test_a_reset_lifts_the_block(province, process_log):
    """94: who was blocked comes in with the one-time password at once; the attacker stays blocked."""

    async def scenario(world):
        for person in (world.county, world.other_county):
            for _ in range(5):
                await refused(world.call(person, LOGIN, login("uploader", WRONG)))
        one_time = await reset(world)

        async def owner():
            opened = await logged_in(world, world.county, one_time)
            assert opened.password_state == identity.PASSWORD_STATE_MUST_CHANGE
            await change(world, opened.access_token, GOOD, one_time)
            await world.login(world.county, GOOD)

        await tried(
            world,
            world.call(world.other_county, LOGIN, login("uploader", WRONG)),
            "LOGIN_THROTTLED",
            secrets=[WRONG, one_time],
            process_log=process_log,
            then=owner,
        )

    province.run(scenario(province.world))


# --- 95-97: what ends ---------------------------------------------------------------------------


async def state_of(world):
    return (await logged_in(world, world.county)).password_state


def test_a_password_ends_on_its_day(province):
    """95: to the second that its owner was told; later ends, and policies made stricter: test_password_boundaries.py."""

    async def scenario(world):
        ends_us = world.clock.now_us() + 60 * US_PER_S
        set_account(
            world,
            "password_set_us = %s, password_expires_us = %s",
            *(ends_us - 90 * DAY_US, ends_us),
        )
        opened = await logged_in(world, world.county)
        assert opened.password_expire_time.ToMicroseconds() == ends_us
        assert opened.password_state == identity.PASSWORD_STATE_WARNED
        world.clock.turn(seconds=61)
        assert await state_of(world) == identity.PASSWORD_STATE_EXPIRED
        world.clock.turn(seconds=-61)
        assert await state_of(world) == identity.PASSWORD_STATE_WARNED

    province.run(scenario(province.world))


@pytest.mark.parametrize("method", ["ListOrganisations", "ListAccounts", "SearchLeaves"])
def test_an_expired_password_opens_the_change_of_it(province, process_log, method):
    """96: and WhoAmI, and nothing that an officer may otherwise do."""

    async def scenario(world):
        person = world.auditor if method == "SearchLeaves" else world.province_admin
        service = "AuditService" if method == "SearchLeaves" else "AdminService"
        world.sql(
            "UPDATE gateway.account SET password_expires_us = %s WHERE organisation = %s AND name = %s",
            *(world.clock.now_us() - HOUR_US, person.organisation, person.account),
        )
        world.clock.turn(seconds=0.3)
        try:
            token = await world.login(person)
            await tried(
                world,
                world.call(person, f"/gateway.v1.{service}/{method}", b"", token=token),
                "PASSWORD_EXPIRED",
                secrets=[token, PASSWORD],
                process_log=process_log,
                then=lambda: who_am_i(world, token, person),
            )
            await change(world, token, GOOD, person=person)
            token = await world.login(person, GOOD)
            await world.call(person, f"/gateway.v1.{service}/{method}", b"", token=token)
        finally:
            restore_password(world, person)

    province.run(scenario(province.world))


def test_a_one_time_password_opens_the_change_of_it(province, process_log):
    """96, 97: neither an upload nor a receipt; once, for a day, and never after the change."""

    async def scenario(world):
        one_time = await reset(world)
        assert (await refused(world.login(world.county))).reason == "LOGIN_FAILED"
        opened = await logged_in(world, world.county, one_time)
        token = opened.access_token
        batch = a_batch(world, world.county).SerializeToString()

        async def change_it():
            await change(world, token, GOOD, one_time)

        await tried(
            world,
            world.upload(world.county, token, batch),
            "PASSWORD_MUST_CHANGE",
            secrets=[token, one_time],
            process_log=process_log,
            then=change_it,
        )
        await tried(
            world,
            world.call(world.county, LOGIN, login("uploader", one_time)),
            "LOGIN_FAILED",
            secrets=[one_time],
            process_log=process_log,
            then=lambda: world.login(world.county, GOOD),
        )
        assert await world.upload(world.county, await world.login(world.county, GOOD), batch)

    province.run(scenario(province.world))


def test_a_one_time_password_dies_unused(province, process_log):
    """97: after its day; a fresh one works."""

    async def scenario(world):
        one_time = await reset(world)
        [(expires_us,)] = world.sql(
            f"SELECT password_expires_us FROM gateway.account WHERE {MINE}", COUNTY
        )
        turned = expires_us / US_PER_S - world.clock.now_us() / US_PER_S
        assert 23 * 3600 < turned <= 24 * 3600
        world.clock.turn(seconds=turned)

        async def fresh():
            await logged_in(world, world.county, await reset(world))

        await tried(
            world,
            world.call(world.county, LOGIN, login("uploader", one_time)),
            "LOGIN_FAILED",
            secrets=[one_time],
            process_log=process_log,
            then=fresh,
        )
        world.clock.turn(seconds=-turned)

    province.run(scenario(province.world))


# --- 98, 99 -------------------------------------------------------------------------------------


def test_a_flood_of_logins_is_sent_away_and_told_to_the_last(province, process_log):
    """98: from one certificate under many names; another logs in meanwhile. Each guess has its own leaf, what was sent
    away has one each to the burst, and is counted to the last beyond it."""

    async def scenario(world):
        watch = Watch(world)
        attempts = [
            asyncio.ensure_future(
                refused(world.call(world.county, LOGIN, login(f"name-{number}", WRONG)))
            )
            for number in range(FLOOD)
        ]
        await world.login(world.other_county)
        errors = [await one for one in attempts]
        found = Counter(one.reason for one in errors)
        assert found.keys() == {"LOGIN_FAILED", "RATE_LIMITED"}

        async def is_told():
            leaves = [leaf for leaf in await watch.leaves() if leaf["decision"] == "deny"]
            counted = [leaf for leaf in leaves if leaf["kind"] == "suppressed"]
            own = Counter(leaf["reason"] for leaf in leaves if leaf not in counted)
            sources = {one["detail"]["source"] for one in counted}
            assert len(sources) <= 1
            assert own["RATE_LIMITED"] >= BURST
            own["RATE_LIMITED"] += sum(leaf["counts"]["suppressed"] for leaf in counted)
            return own == found

        await eventually(is_told)
        for error in errors:
            unspoken([WRONG], error, await watch.leaves(), process_log)
        await world.login(world.county)

    province.run(scenario(province.world))


def _weaker(**changes):
    return argon2.PasswordHasher.from_parameters(replace(ACCEPTED[0], **changes)).hash(PASSWORD)


TAMPERED = {
    "less memory": _weaker(memory_cost=8),
    "one pass": _weaker(time_cost=1),
    "argon2i": _weaker(type=argon2.Type.I),
    "a short hash": _weaker(hash_len=4),
    "SHA-256": hashlib.sha256(PASSWORD.encode()).hexdigest(),
    "the password itself": PASSWORD,
    "nothing": "",
    "a cut hash": _weaker(memory_cost=19 * 1024)[:-6],
    "a parameter twice": _weaker(memory_cost=19 * 1024).replace("t=2", "t=2,t=1"),
}


@pytest.mark.parametrize("stored", TAMPERED.values(), ids=TAMPERED.keys())
def test_a_stored_hash_made_cheaper_opens_nothing(province, process_log, stored):
    """99: although it is one of the right password; the accepted parameters are the code's."""

    async def scenario(world):
        before = world.sql(f"SELECT password_hash FROM gateway.account WHERE {MINE}", COUNTY)
        set_account(world, "password_hash = %s", stored)

        async def restored():
            set_account(world, "password_hash = %s", before[0][0])
            await world.login(world.county)

        await tried(
            world,
            world.call(world.county, LOGIN, login("uploader", PASSWORD)),
            "LOGIN_FAILED",
            secrets=[PASSWORD, stored],
            process_log=process_log,
            then=restored,
        )

    province.run(scenario(province.world))
