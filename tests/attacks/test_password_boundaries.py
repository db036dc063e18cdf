"""Attacks 85 and 95 of reference/identity.md: every row of the policy one below its number, at it, and one above.

The numbers are the policy file's, whatever they are; both profiles are tried. Lengths in characters, times in microseconds.
"""

from dataclasses import replace

import pytest
from zxcvbn import zxcvbn

from gateway.clock import US_PER_S
from gateway.errors import ExhaustedError, InvalidError, Reason, UnauthenticatedError
from gateway.identity import login, strength, throttle
from gateway.identity.accounts import Account
from gateway.identity.principal import PasswordState, password_state
from gateway.identity.rules import DAY_US, HOUR_US, MINUTE_US, NEVER_US
from gateway.identity.session import Session
from gateway.identity.strength import Names
from gateway.identity.throttle import Attempt
from tests.identity.office import BETTER, GOOD, RULES, START_US, Office, at_the_office

NAME = "hub-upload"
BOTH = {name: replace(RULES, profile=name).at(START_US) for name in ("mlps3", "nist")}
MLPS3 = BOTH["mlps3"]
each = pytest.mark.parametrize("profile", BOTH.values(), ids=BOTH.keys())
around = pytest.mark.parametrize("offset", [-1, 0, 1])
NAMES = Names(NAME, "太原市疾病预防控制中心", "140100", RULES.blocklist.words)
# No word, no name, no year, four classes: cut anywhere it is strong and mixed enough.
STRONG = "zQ7-vX2_kW9#jM4+tR8=pY3-bN6_hL5#"


def broken(password: str, profile, old: str | None = None, names: Names = NAMES) -> set[str]:
    return {one.rule for one in strength.judge(password, old, names, profile)}


def strong(length: int) -> str:
    """A strong password of so many characters: no part of it comes twice within what zxcvbn reads."""
    return "".join(STRONG[n % 32] if n % 64 < 32 else STRONG[-n % 32] for n in range(length))


@each
@around
def test_minimum_length(profile, offset) -> None:
    found = broken(strong(profile.minimum_length + offset), profile)
    assert ("PW-LENGTH" in found) == (offset < 0)
    # What is as short as `nist` allows is weak besides, whatever its characters.
    assert found <= {"PW-LENGTH", "PW-STRENGTH"}
    assert profile is not MLPS3 or found == ({"PW-LENGTH"} if offset < 0 else set())


@each
@around
def test_maximum_length(profile, offset) -> None:
    found = broken(strong(profile.maximum_length + offset), profile)
    assert found == ({"PW-LENGTH"} if offset > 0 else set())


@each
@around
def test_length_counts_characters_after_nfkc(profile, offset) -> None:
    """One sign that becomes three, or two that become one: what is counted is what is hashed."""
    wide = strong(profile.maximum_length + offset - 3) + "㏒"  # "log"
    assert ("PW-LENGTH" in broken(wide, profile)) == (offset > 0)
    composed = strong(profile.minimum_length + offset - 1) + "e\u0301"
    assert ("PW-LENGTH" in broken(composed, profile)) == (offset < 0)


BY_CLASSES = {
    1: "granitelampionvesper",
    2: "granite7lampion4vesper",
    3: "granite7Lampion4vesper",
    4: "granite7-Lampion4-vesper",
}


@each
@around
def test_classes(profile, offset) -> None:
    count = profile.minimum_classes + offset
    if count in BY_CLASSES:
        found = broken(BY_CLASSES[count], profile)
        assert found == ({"PW-CLASSES"} if offset < 0 else set())
    else:
        assert count == 0, "no text has no class"
        assert "PW-CLASSES" not in broken(BY_CLASSES[1], profile)


BY_SCORE = {2: "granite-T7q", 3: "granite-T7qz", 4: "granite-T7qz-v"}


@each
@around
def test_strength(profile, offset) -> None:
    score = profile.minimum_strength + offset
    password = BY_SCORE[score]
    # The score is zxcvbn's own, of the same text.
    assert zxcvbn(password, user_inputs=list(NAMES.words))["score"] == score
    assert ("PW-STRENGTH" in broken(password, profile)) == (offset < 0)


@each
@around
def test_what_is_left_without_words(profile, offset) -> None:
    """Letters and digits beside the blocklist's words and years."""
    left = "zQ7vX2kW9jM4tR8"[: profile.minimum_rest_length + offset]
    assert len(left) == profile.minimum_rest_length + offset
    found = broken(f"shanxi-{left}-2026#yimiao", profile)
    assert ("PW-WORDS" in found) == (offset < 0)


@each
@around
def test_changes_from_the_old_one(profile, offset) -> None:
    changes = profile.minimum_changes + offset
    new = GOOD + "zQ7vX2"[:changes]
    assert strength.edits(new, GOOD) == changes
    assert broken(new, profile, GOOD) == ({"PW-SIMILAR"} if offset < 0 else set())


def account(profile, *, must_change: bool = False) -> Account:
    """An account whose password was set at 0."""
    ends_us = profile.one_time_hours * HOUR_US if must_change else profile.expires_us(0)
    return Account("140100", NAME, ("uploader",), "sys", "hub", 1, 0, ends_us, must_change, 0, 0)


@around
def test_age(offset) -> None:
    held, end_us = account(MLPS3), MLPS3.maximum_age_days * DAY_US
    found = password_state(held, MLPS3, end_us + offset)
    assert found == (PasswordState.WARNED if offset < 0 else PasswordState.EXPIRED)


@around
def test_no_age_where_the_profile_has_none(offset) -> None:
    nist = BOTH["nist"]
    assert nist.expires_us(0) == NEVER_US
    later = MLPS3.maximum_age_days * DAY_US + offset
    assert password_state(account(nist), nist, later) == PasswordState.CURRENT


@around
def test_an_age_shortened_later_counts_from_the_day_it_was_set(offset) -> None:
    """Keycloak #39208: what is stored with the password must not let it outlive a stricter policy."""
    held = account(MLPS3)
    stricter = replace(MLPS3, maximum_age_days=MLPS3.maximum_age_days // 3)
    end_us = stricter.maximum_age_days * DAY_US
    assert (password_state(held, stricter, end_us + offset) is PasswordState.EXPIRED) == (
        offset >= 0
    )
    # Nor does a longer one revive what was promised to end.
    laxer = replace(MLPS3, maximum_age_days=MLPS3.maximum_age_days * 2)
    end_us = MLPS3.maximum_age_days * DAY_US
    assert (password_state(held, laxer, end_us + offset) is PasswordState.EXPIRED) == (offset >= 0)


@around
def test_who_could_not_be_warned_of_a_stricter_policy_is_warned_first(offset) -> None:
    """Where it is known since when: the first warning's days from then on, and not a microsecond more."""
    since_us = (MLPS3.maximum_age_days - 1) * DAY_US
    stricter = replace(MLPS3, maximum_age_days=MLPS3.maximum_age_days // 3, tightened_us=since_us)
    promised = replace(account(MLPS3), password_expires_us=NEVER_US)
    end_us = since_us + max(MLPS3.warning_days) * DAY_US
    found = password_state(promised, stricter, end_us + offset)
    assert found == (PasswordState.WARNED if offset < 0 else PasswordState.EXPIRED)


@around
def test_grace(offset) -> None:
    held, end_us = account(MLPS3), MLPS3.expires_us(0) + MLPS3.grace_days * DAY_US
    found = password_state(held, MLPS3, end_us + offset)
    assert found == (PasswordState.EXPIRED if offset < 0 else PasswordState.BLOCKED)


@pytest.mark.parametrize("days", MLPS3.warning_days)
@around
def test_each_warning(days, offset) -> None:
    end_us = MLPS3.expires_us(0)
    now_us = end_us - days * DAY_US + offset
    before = [one for one in MLPS3.warning_days if one > days]
    assert MLPS3.warning(end_us, now_us) == (days if offset >= 0 else min(before, default=None))
    state = password_state(account(MLPS3), MLPS3, now_us)
    first = days == max(MLPS3.warning_days)
    assert state is (PasswordState.CURRENT if first and offset < 0 else PasswordState.WARNED)


async def changed(office: Office, new: str, old: str = GOOD) -> set[str]:
    """Try a change; return the rules that it breaks."""
    try:
        await office.change(await office.log_in(NAME, old), old, new)
    except InvalidError as refused:
        return {one.rule for one in refused.violations}
    return set()


HISTORY = [
    (name, place)
    for name, profile in BOTH.items()
    for place in range(profile.history_count - 1, profile.history_count + 2)
    if place
]


@pytest.mark.parametrize(("name", "place"), HISTORY)
def test_history(conninfo, name, place) -> None:
    """A former password, the one at this place from the newest: within the history's length it is not taken again."""
    chosen = replace(RULES, profile=name)

    async def scene(office: Office) -> None:
        await office.settled()
        office.clock.us += DAY_US
        former = [BETTER, *(f"{n}-other-Word" for n in range(place - 1))]
        hashes = [await office.desk.passwords.hash(one) for one in former]
        async with office.database.transaction() as tx:
            await tx.execute("UPDATE gateway.account SET history = %s", (hashes,))
        kept = place <= chosen.at(START_US).history_count
        assert await changed(office, BETTER) == ({"PW-HISTORY"} if kept else set())

    at_the_office(conninfo, scene, rules_in_force=chosen)


@around
def test_minimum_age(conninfo, offset) -> None:
    async def scene(office: Office) -> None:
        await office.settled()
        office.clock.us += MLPS3.minimum_age_hours * HOUR_US + offset
        assert await changed(office, BETTER) == ({"PW-AGE"} if offset < 0 else set())

    at_the_office(conninfo, scene)


def test_no_minimum_age_where_the_profile_has_none(conninfo) -> None:
    async def scene(office: Office) -> None:
        await office.settled()
        assert await changed(office, BETTER) == set()

    at_the_office(conninfo, scene, rules_in_force=replace(RULES, profile="nist"))


def test_no_minimum_age_of_a_one_time_password(conninfo) -> None:
    async def scene(office: Office) -> None:
        one_time = await office.open_account()
        assert await changed(office, GOOD, one_time) == set()

    at_the_office(conninfo, scene)


@around
def test_one_time_life(conninfo, offset) -> None:
    async def scene(office: Office) -> None:
        one_time = await office.open_account()
        office.clock.us += MLPS3.one_time_hours * HOUR_US + offset
        if offset < 0:
            assert (await office.log_in(NAME, one_time)).password_state is PasswordState.MUST_CHANGE
        else:
            with pytest.raises(UnauthenticatedError) as refused:
                await office.log_in(NAME, one_time)
            assert refused.value.reason is Reason.LOGIN_FAILED

    at_the_office(conninfo, scene)


SESSION = RULES.session


@around
def test_session_idle(offset) -> None:
    """So long a pause is one too many only when it is over."""
    held = Session(bytes(16), "140100", NAME, bytes(32), 0, 5, 12 * HOUR_US)
    assert held.idle(SESSION, 5 + SESSION.idle_minutes * MINUTE_US + offset) == (offset > 0)


@around
def test_session_absolute(conninfo, offset) -> None:
    """Twelve hours after the login the password is asked for again, however busy the session was."""

    async def scene(office: Office) -> None:
        grant = await office.settled()
        end_us = office.clock.us + SESSION.absolute_hours * HOUR_US
        while office.clock.us < end_us - 9 * MINUTE_US:
            office.clock.us = min(office.clock.us + 9 * MINUTE_US, end_us - 9 * MINUTE_US)
            who = await office.who(grant)
            async with office.database.transaction() as tx:
                grant = await login.refresh(office.desk, tx, who)
        who = await office.who(grant)
        office.clock.us = end_us + offset
        async with office.database.transaction() as tx:
            if offset < 0:
                assert (await login.refresh(office.desk, tx, who)).expires_us <= end_us
            else:
                with pytest.raises(UnauthenticatedError) as refused:
                    await login.refresh(office.desk, tx, who)
                assert refused.value.reason is Reason.SESSION_UNKNOWN

    at_the_office(conninfo, scene)


@around
def test_token_life(conninfo, offset) -> None:
    async def scene(office: Office) -> None:
        grant = await office.settled()
        assert grant.expires_us == START_US + SESSION.token_minutes * MINUTE_US
        office.clock.us = grant.expires_us + offset
        if offset < 0:
            assert (await office.who(grant)).account == NAME
        else:
            with pytest.raises(UnauthenticatedError) as refused:
                await office.who(grant)
            assert refused.value.reason is Reason.TOKEN_EXPIRED

    at_the_office(conninfo, scene)


@pytest.mark.parametrize("minutes", [10, 11])
def test_no_policy_makes_a_token_live_longer_than_the_contract(conninfo, minutes) -> None:
    """Such a policy file is not loaded (test_rules); and if it were, no door would take the token."""
    longer = replace(RULES, session=replace(SESSION, token_minutes=minutes))

    async def scene(office: Office) -> None:
        if minutes == SESSION.token_minutes:
            assert await office.who(await office.settled())
        else:
            with pytest.raises(UnauthenticatedError) as refused:
                await office.settled()
            assert refused.value.reason is Reason.TOKEN_INVALID

    at_the_office(conninfo, scene, rules_in_force=longer)


THROTTLE = RULES.throttle
OWN = Attempt("140100", NAME, "sys/hub")


async def blocked(office: Office) -> bool:
    try:
        async with office.database.transaction() as tx:
            await throttle.check(tx, OWN, office.clock.now_us())
    except ExhaustedError:
        return True
    return False


async def fail(office: Office, times: int) -> None:
    for _ in range(times):
        async with office.database.transaction() as tx:
            await throttle.count(tx, OWN, THROTTLE, office.clock.now_us())


@around
def test_failures(conninfo, offset) -> None:
    async def scene(office: Office) -> None:
        await fail(office, THROTTLE.failures + offset)
        assert await blocked(office) == (offset >= 0)

    at_the_office(conninfo, scene)


@around
def test_the_end_of_a_block(conninfo, offset) -> None:
    async def scene(office: Office) -> None:
        await fail(office, THROTTLE.failures)
        office.clock.us += MINUTE_US + offset
        assert await blocked(office) == (offset < 0)

    at_the_office(conninfo, scene)


@around
def test_the_longest_block(conninfo, offset) -> None:
    async def scene(office: Office) -> None:
        await fail(office, THROTTLE.failures + 20)
        office.clock.us += THROTTLE.longest_block_minutes * MINUTE_US + offset
        assert await blocked(office) == (offset < 0)

    at_the_office(conninfo, scene)


@around
def test_the_lock(conninfo, offset) -> None:
    """So many failures lock until an officer unlocks, however long the owner waits."""

    async def scene(office: Office) -> None:
        await fail(office, THROTTLE.lock_failures + offset)
        office.clock.us += THROTTLE.longest_block_minutes * MINUTE_US
        async with office.database.transaction() as tx:
            assert await throttle.check(tx, OWN, office.clock.now_us()) == (offset >= 0)

    at_the_office(conninfo, scene)


@pytest.mark.parametrize("age", [-1, 0, 1])
def test_failures_too_old_do_not_lock(conninfo, age) -> None:
    """All but the last failure were made this long before it, around the hours that are counted."""

    async def scene(office: Office) -> None:
        await fail(office, THROTTLE.lock_failures - 1)
        office.clock.us += THROTTLE.lock_hours * HOUR_US + age
        await fail(office, 1)
        office.clock.us += THROTTLE.longest_block_minutes * MINUTE_US
        async with office.database.transaction() as tx:
            assert await throttle.check(tx, OWN, office.clock.now_us()) == (age < 0)

    at_the_office(conninfo, scene)


@around
def test_forgetting(conninfo, offset) -> None:
    """One more failure after the pause: it is the next one until the pause is over, then the first."""

    async def scene(office: Office) -> None:
        await fail(office, THROTTLE.failures - 1)
        office.clock.us += THROTTLE.forget_hours * HOUR_US + offset
        await fail(office, 1)
        assert await blocked(office) == (offset <= 0)

    at_the_office(conninfo, scene)


def test_microseconds_are_what_is_counted() -> None:
    assert (MINUTE_US, HOUR_US, DAY_US) == (60 * US_PER_S, 3600 * US_PER_S, 86_400 * US_PER_S)
