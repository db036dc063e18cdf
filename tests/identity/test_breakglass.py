"""Break-glass without sockets: its steps, and its ends around the very second."""

from uuid import uuid4

import pytest

from gateway.clock import US_PER_S
from gateway.errors import Reason, Refusal
from gateway.identity import breakglass, principal, session
from gateway.identity import breakglass_rows as rows
from gateway.identity.breakglass import Why
from gateway.identity.breakglass_rows import Sealing
from gateway.identity.breakglass_secrets import Credentials
from gateway.identity.principal import PasswordState
from gateway.identity.rules import MINUTE_US
from tests.identity import office as stage
from tests.identity.glass import PROVINCE, THREE, over, sealed, sealed_anew

QUARTER_S, HOUR_S = 15 * 60, 60 * 60


def at_the_glass(conninfo, scene):
    async def run(office):
        await scene(office, await sealed(office))

    stage.at_the_office(conninfo, run)


async def refused(awaitable):
    with pytest.raises(Refusal) as raised:
        await awaitable
    return raised.value.reason


@pytest.mark.parametrize(("seconds", "in_time"), [(-1, True), (0, False), (1, False)])
def test_two_officers_confirm_within_a_quarter_of_an_hour(conninfo, seconds, in_time):
    async def scene(office, glass):
        opening = await glass.ask()
        await glass.confirm(opening, "li")
        office.clock.turn(seconds=QUARTER_S + seconds)
        if in_time:
            assert (await glass.confirm(opening, "sun")).opening.opened_us == office.clock.now_us()
        else:
            assert await refused(glass.confirm(opening, "sun")) is Reason.BREAK_GLASS_OVER
            assert await refused(glass.enter(opening)) is Reason.BREAK_GLASS_OVER

    at_the_glass(conninfo, scene)


@pytest.mark.parametrize(("seconds", "alive"), [(-1, True), (0, False), (1, False)])
def test_118_a_session_lives_for_an_hour_from_the_second_confirmation(conninfo, seconds, alive):
    async def scene(office, glass):
        opening = await glass.opened()
        # However late it is entered.
        office.clock.turn(seconds=HOUR_S - 300)
        _, grant = await glass.enter(opening)
        office.clock.turn(seconds=300 + seconds)
        if alive:
            who = await office.who(grant, over("wang"))
            assert who.roles == {"break_glass"}
            assert who.session_expires_us == opening.opened_us + 60 * MINUTE_US
            _, again = await glass.enter(opening)
            assert again.expires_us == who.session_expires_us // US_PER_S * US_PER_S
        else:
            assert await refused(office.who(grant, over("wang"))) is Reason.TOKEN_EXPIRED
            assert await refused(glass.enter(opening)) is Reason.BREAK_GLASS_OVER

    at_the_glass(conninfo, scene)


def test_its_principal_has_one_role_and_no_password_to_be_asked_for(conninfo):
    async def scene(office, glass):
        _, grant = await glass.enter(await glass.opened())
        who = await office.who(grant, over("wang"))
        # The account's own is a one-time password that nobody changed.
        assert grant.account.must_change
        assert who.password_state is PasswordState.CURRENT
        principal.require_confirmed(who, 300, office.clock.now_us())
        # What follows the session over a new certificate may no more than it.
        async with office.database.transaction() as tx:
            held = await session.read(tx, who.session)
            next_one = await session.follow(tx, held, bytes(32), office.clock.now_us())
            again = await session.read(tx, next_one.sid)
        assert (again.only_role, again.opening) == ("break_glass", held.opening)
        assert again.expires_us == held.expires_us

    at_the_glass(conninfo, scene)


def test_it_is_entered_over_the_certificate_it_was_opened_with(conninfo):
    async def scene(office, glass):
        opening = await glass.opened()
        assert await refused(glass.enter(opening, over("wang", "another"))) is Reason.NOT_FOUND
        assert await refused(glass.enter(opening, over("li"))) is Reason.NOT_FOUND
        elsewhere = stage.connection("officer/wang", "140100", "wang")
        assert await refused(glass.enter(opening, elsewhere)) is Reason.NOT_FOUND
        await glass.enter(opening)

    at_the_glass(conninfo, scene)


def test_sealing_anew_ends_what_was_opened(conninfo):
    async def scene(office, glass):
        opening = await glass.opened()
        _, grant = await glass.enter(opening)
        async with office.database.transaction() as tx:
            found = await breakglass.unrepaired(tx, PROVINCE)
        assert found is not None
        assert found.id == opening.id
        await sealed_anew(office)
        assert await refused(office.who(grant, over("wang"))) is Reason.SESSION_UNKNOWN
        async with office.database.transaction() as tx:
            assert await breakglass.unrepaired(tx, PROVINCE) is None
        assert await refused(glass.ask(2)) is Reason.BREAK_GLASS_UNSEALED

    at_the_glass(conninfo, scene)


def test_the_clock_alone_ends_it_and_the_end_is_noted_once(conninfo):
    async def scene(office, glass):
        opening = await glass.opened()
        limits = office.desk.rules.break_glass
        for seconds, noted in ((HOUR_S - 1, False), (1, True), (0, False)):
            office.clock.turn(seconds=seconds)
            async with office.database.transaction() as tx:
                now_us = office.clock.now_us()
                assert await breakglass.run_out(tx, opening, limits, now_us) is noted
        async with office.database.transaction() as tx:
            sealing = await rows.newest(tx, PROVINCE)
        assert sealing.ended_us == office.clock.now_us()
        assert await refused(glass.ask(2)) is Reason.BREAK_GLASS_UNSEALED

    at_the_glass(conninfo, scene)


def test_a_waiting_one_is_closed_without_voiding_the_other_envelope(conninfo):
    async def scene(office, glass):
        opening = await glass.ask()
        async with office.database.transaction() as tx:
            await breakglass.close(office.desk, tx, PROVINCE, opening.id)
        for organisation, id_, reason in (
            (PROVINCE, opening.id, Reason.BREAK_GLASS_OVER),
            (PROVINCE, str(uuid4()), Reason.NOT_FOUND),
            ("140100", opening.id, Reason.NOT_FOUND),
        ):
            async with office.database.transaction() as tx:
                assert await refused(breakglass.close(office.desk, tx, organisation, id_)) is reason
        await glass.ask(2)

    at_the_glass(conninfo, scene)


def test_a_drill_has_a_role_of_its_own(conninfo):
    async def scene(office, glass):
        _, grant = await glass.enter(await glass.opened(Why("OPS-2", drill=True)))
        assert (await office.who(grant, over("wang"))).roles == {"break_glass_drill"}
        async with office.database.transaction() as tx:
            assert await rows.last_drill_us(tx, PROVINCE) == office.clock.now_us()

    at_the_glass(conninfo, scene)


@pytest.mark.parametrize(
    ("organisation", "officers", "reason"),
    [
        ("140100", THREE, Reason.ROLE_NOT_ALLOWED),
        # wang is a requester, nobody is nobody.
        (PROVINCE, ("li", "sun", "wang"), Reason.NOT_FOUND),
        (PROVINCE, ("li", "sun", "nobody"), Reason.NOT_FOUND),
    ],
)
def test_only_the_province_seals_for_officers_of_its_own(conninfo, organisation, officers, reason):
    async def scene(office, glass):
        made = Sealing(str(uuid4()), organisation, "li", office.clock.now_us(), None)
        async with office.database.transaction() as tx:
            sealing = breakglass.seal(office.desk, tx, made, Credentials((), ()), officers)
            assert await refused(sealing) is reason
        # What was sealed is as it was.
        await glass.ask()

    at_the_glass(conninfo, scene)


def test_a_standing_by_the_clock():
    sealing = Sealing("s", PROVINCE, "li", 0, None)
    limits = stage.RULES.break_glass

    def opened(**more):
        given = {"opened_us": None, "ended_us": None, **more}
        return rows.Opening("o", "s", 1, "wang", "wang", b"", "", False, 0, **given)

    def standing(now_us, *found, void=None):
        one = Sealing("s", PROVINCE, "li", 0, void)
        return breakglass.standing(one, found, limits, now_us)

    assert standing(1) == "sealed"
    assert standing(1, void=1) == "void"
    assert standing(15 * MINUTE_US - 1, opened()) == "waiting"
    assert standing(15 * MINUTE_US, opened()) == "sealed"
    assert standing(60 * MINUTE_US - 1, opened(opened_us=0)) == "open"
    assert standing(60 * MINUTE_US, opened(opened_us=0)) == "void"
    assert standing(2, opened(opened_us=0, ended_us=1)) == "void"
    assert sealing.ended_us is None
