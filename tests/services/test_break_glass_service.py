"""Break-glass at the identity door: what each step answers, and what its leaf tells."""

import pytest

from gateway.audit.event import Event
from gateway.identity import breakglass_rows as rows
from gateway.services.break_glass_service import RunningOut
from gateway.v1 import break_glass_service_pb2 as pb
from gateway.v1 import identity_service_pb2 as identity
from tests.attacks.tried import logged_in
from tests.coverage.rpcs import Watch, kept_token, new_id, refused
from tests.sealed import OFFICERS, ask, officer, seal
from tests.world import PROVINCE, held

RPC = "/gateway.v1.BreakGlassService/CloseBreakGlass"


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


@pytest.fixture(autouse=True)
def unguessed(province):
    province.world.sql("DELETE FROM gateway.throttle")


def running_out(world):
    """The identity door's own duty, as the door would do it within a minute."""
    _, method = world.guard("identity")._methods[RPC]
    return RunningOut(method.__self__._desk, world.doors["identity"].recorder)


@pytest.mark.parametrize("drill", [False, True])
def test_each_step_is_a_critical_leaf_that_tells_how_far_it_is(province, drill):
    async def work(world):
        begin = world.size()
        sealed = await seal(world)
        opening, token = await sealed.entered(drill=drill)
        assert await sealed.close(opening, token)
        leaves = [one for one in world.leaves(begin) if one["kind"].startswith("breakglass.")]
        assert [one["kind"].split(".")[1] for one in leaves] == [
            *("seal", "code", "code", "code", "open", "confirm", "confirm", "enter", "close"),
        ]
        sealing, *codes = leaves[:4]
        assert sealing["detail"]["officers"] == ".".join(OFFICERS)
        assert [one["counts"]["confirmations"] for one in codes] == [1, 2, 3]
        assert [one["detail"]["state"] for one in leaves[4:]] == [
            *("waiting", "waiting", "open", "open", "over"),
        ]
        alert = "break-glass-drill" if drill else "break-glass"
        for one in leaves[4:]:
            told = one["detail"]
            assert (told["opening"], told["alert"]) == (opening, alert)
            assert (told["envelope"], told["ticket"]) == (1, "OPS-17")
        assert all(one["detail"]["alert"] == "break-glass" for one in leaves[:4])
        text = str(leaves)
        assert not any(secret in text for secret in sealed.secrets)
        assert "locked out" not in text

    province.run(work(province.world))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 201}, "reason"),
        ({"ticket": "17"}, "ticket"),
        ({"ticket": "OPS-123456789"}, "ticket"),
        ({"ticket": "王小明"}, "ticket"),
    ],
)
def test_an_opening_says_why(province, change, field):
    async def work(world):
        sealed = await seal(world)
        request = sealed.asking()
        for name, value in change.items():
            setattr(request, name, value)
        error = await refused(ask(world, sealed.opener, "OpenBreakGlass", request))
        assert error.reason == "FIELD_INVALID"
        assert field in str(error.status)
        await sealed.open()

    province.run(work(province.world))


@pytest.mark.parametrize("names", [OFFICERS[:2], (*OFFICERS, "admin"), ("a b", "c", "d")])
def test_three_officers_are_named(province, names):
    async def work(world):
        admin = world.province_admin
        token = await kept_token(world, admin)
        request = pb.SealBreakGlassRequest(request_id=new_id(), officer_names=names)
        error = await refused(ask(world, admin, "SealBreakGlass", request, token))
        assert error.reason == "FIELD_INVALID"

    province.run(work(province.world))


def test_an_opening_is_named_by_its_id(province):
    async def work(world):
        sealed = await seal(world)
        request = pb.EnterBreakGlassRequest(request_id=new_id(), opening_id="x")
        error = await refused(ask(world, sealed.opener, "EnterBreakGlass", request))
        assert error.reason == "FIELD_INVALID"

    province.run(work(province.world))


def test_who_is_none_of_the_three_makes_no_code(province):
    async def work(world):
        await seal(world)
        other = await officer(world, "fourth")
        token = await kept_token(world, other)
        request = pb.RegisterBreakGlassCodeRequest(request_id=new_id())
        error = await refused(ask(world, other, "RegisterBreakGlassCode", request, token))
        assert error.reason == "ROLE_NOT_ALLOWED"

    province.run(work(province.world))


def test_an_officer_ends_an_opening_that_should_not_be(province):
    async def work(world):
        sealed = await seal(world)
        opening = await sealed.open()
        by = world.people[PROVINCE, OFFICERS[2]]
        assert not await sealed.close(opening, await kept_token(world, by), by)
        error = await refused(sealed.confirm(opening, OFFICERS[0]))
        assert error.reason == "BREAK_GLASS_OVER"
        await sealed.entered(2)

    province.run(work(province.world))


def test_what_runs_out_is_told_of_once(province):
    async def work(world):
        duty = running_out(world)
        await duty.look(Event(door="identity"))
        for confirmed, minutes, kind in ((0, 15, "lapsed"), (2, 60, "expired")):
            sealed = await seal(world)
            opening = await sealed.open()
            for name in OFFICERS[:confirmed]:
                await sealed.confirm(opening, name)
            assert await duty.look(Event(door="identity")) == 0
            world.clock.turn(seconds=minutes * 60)
            watch = Watch(world)
            assert await duty.look(Event(door="identity")) == 1
            assert await duty.look(Event(door="identity")) == 0
            leaf = await watch.only_leaf()
            assert leaf["kind"] == f"breakglass.{kind}"
            assert leaf["detail"]["opening"] == opening
            assert leaf["detail"]["alert"] == "break-glass"

    province.run(work(province.world))


def test_what_is_closed_at_the_same_moment_is_not_told_of_again(province, monkeypatch):
    """The duty saw it a moment ago; by the time it writes, an officer's hand was there."""

    async def work(world):
        duty = running_out(world)
        sealed = await seal(world)
        opening = await sealed.open()
        [seen] = [one for one in await all_unended(world) if one.id == opening]
        world.clock.turn(seconds=15 * 60)
        assert await duty.look(Event(door="identity")) == 1

        async def stale(_tx):
            return [seen]

        monkeypatch.setattr(rows, "unended", stale)
        begin = world.size()
        assert await duty.look(Event(door="identity")) == 0
        assert [one["decision"] for one in world.leaves(begin)] == ["deny"]

    province.run(work(province.world))


async def all_unended(world):
    """What the duty would find."""
    database = running_out(world)._desk.database
    async with database.transaction() as tx:
        return await rows.unended(tx)


def test_every_officer_is_told_at_the_next_login_until_it_is_sealed_anew(province):
    async def work(world):
        sealed = await seal(world)
        told = world.people[PROVINCE, OFFICERS[0]], world.province_admin
        for person in told:
            assert not (await logged_in(world, person)).HasField("break_glass")
        opening = await sealed.open()
        assert (await logged_in(world, told[0])).break_glass.state == "waiting"
        for name in OFFICERS[:2]:
            await sealed.confirm(opening, name)
        token = await sealed.enter(opening)
        for closed in (False, True):
            if closed:
                await sealed.close(opening, token)
            for person in told:
                notice = (await logged_in(world, person)).break_glass
                assert (notice.opening_id, notice.opener_name) == (opening, sealed.opener.account)
                assert notice.state == ("over" if closed else "open")
                assert not notice.drill
            for other in (world.county, world.auditor, world.city_admin):
                assert not (await logged_in(world, other)).HasField("break_glass")
        await seal(world)
        for person in told:
            answer: identity.LoginResponse = await logged_in(world, person)
            assert not answer.HasField("break_glass")

    province.run(work(province.world))
