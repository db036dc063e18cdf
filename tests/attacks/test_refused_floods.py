"""Floods of calls that are refused before anybody is known: bounded on the log, counted to the last; others are served."""

import asyncio
import io
from collections import Counter

import pytest

from gateway import log
from gateway.audit import floods
from gateway.audit.floods import BURST
from gateway.services import guard
from gateway.v1 import identity_service_pb2 as identity
from tests.attacks.tried import unspoken
from tests.coverage.rpcs import ALL, WHOAMI, Watch, eventually, refused, send
from tests.http_reader import direct, get
from tests.world import held

FLOOD = 400
SECRET = "not.a.token-of-mine"
ACCOUNTS = "/gateway.v1.AdminService/ListAccounts"
[ENTER] = [case for case in ALL if case[1].endswith("/EnterBreakGlass")]
WAYS = (
    (WHOAMI, b"", "", "TOKEN_MISSING"),
    (WHOAMI, b"", SECRET, "TOKEN_INVALID"),
    (WHOAMI, b"\x0a\xff\xff\xff\xff", "", "MESSAGE_MALFORMED"),
    (WHOAMI, bytes(100_000), "", "MESSAGE_TOO_LARGE"),
    ("/x", b"", "", "METHOD_UNKNOWN"),
)


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


@pytest.fixture
def process_log(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(log._LINES, "stream", stream)
    return stream


@pytest.fixture(autouse=True)
def full(province, monkeypatch):
    """Every measure of calls and leaves is full, and none is earned anew however long a test takes."""
    monkeypatch.setattr(floods, "LEAVES_PER_S", 0)
    for door in province.world.doors.values():
        door.recorder._floods._buckets.clear()
        limits = door.guard._checks.limits
        for buckets in (limits._accounts, limits._connections, limits._refusals):
            buckets._levels.clear()
            monkeypatch.setattr(buckets, "_rate", 1e-6)


async def told(world, watch, found):
    """Every refusal has a leaf or is in a count, and few have leaves."""
    most = world.doors["identity"].guard._checks.limits._refusals._burst + BURST

    async def exactly():
        leaves = await watch.leaves()
        counted = [leaf for leaf in leaves if leaf["kind"] == "suppressed"]
        own = Counter(leaf["reason"] for leaf in leaves if leaf not in counted)
        assert own.total() <= most
        assert own <= found
        assert len({leaf["detail"]["source"] for leaf in counted}) <= 1
        missing = found.total() - own.total()
        return sum(leaf["counts"]["suppressed"] for leaf in counted) == missing > 0

    await eventually(exactly)


def of_others(leaves):
    return [leaf for leaf in leaves if leaf["kind"] != "suppressed"]


def test_calls_of_nobody_are_told_to_the_last_and_do_not_fill_the_log(
    province, monkeypatch, process_log
):
    monkeypatch.setattr(guard, "PAUSE_S", 0)

    async def scenario(world):
        token = await world.login(world.county)
        watch = Watch(world)

        async def one(number):
            method, raw, said, reason = WAYS[number % len(WAYS)]
            error = await refused(send(world, "identity", method, world.county, [raw], token=said))
            # Whatever is counted, everybody hears what is wrong with his own call.
            assert error.reason == reason
            unspoken([SECRET], error, {}, process_log)
            return reason

        found = Counter(await asyncio.gather(*(one(number) for number in range(FLOOD))))
        await told(world, watch, found)
        # Its alarm is not drowned in its flood, and who is known is served over the same connection.
        before = len(await watch.leaves())
        error = await refused(send(world, *ENTER, world.county, [b"\xff"]))
        leaf = of_others((await watch.leaves())[before:])[-1]
        assert (leaf["reason"], leaf["detail"]["alert"]) == (error.reason, "break-glass")
        watch = Watch(world)
        await world.call(world.county, WHOAMI, identity.WhoAmIRequest(), token=token)
        [leaf] = of_others(await watch.leaves())
        assert leaf["decision"] == "allow"

    province.run(scenario(province.world))


def test_gets_of_nobody_are_told_to_the_last_and_do_not_fill_the_log(province, monkeypatch):
    monkeypatch.setattr(guard, "PAUSE_S", 0)

    async def scenario(world):
        token = await world.login(world.auditor)
        watch = Watch(world)

        async def one():
            async with direct(world, world.auditor) as line:
                return [(await line.ask(get("checkpoint"))).reason for _ in range(FLOOD // 4)]

        answers = await asyncio.gather(*(one() for _ in range(4)))
        found = Counter(reason for each in answers for reason in each)
        assert found == {"TOKEN_MISSING": FLOOD}
        await told(world, watch, found)
        watch = Watch(world)
        async with direct(world, world.auditor) as line:
            assert (await line.ask(get("checkpoint", token))).status == 200
        [leaf] = of_others(await watch.leaves())
        assert (leaf["kind"], leaf["decision"]) == ("audit.file", "allow")

    province.run(scenario(province.world))


def test_who_is_refused_too_often_waits(province, monkeypatch):
    """Cancelled while it waits, it has no second leaf, and is counted once."""
    monkeypatch.setattr(guard, "PAUSE_S", 3600)

    async def scenario(world):
        token = await world.login(world.county)
        watch = Watch(world)
        limits = world.doors["identity"].guard._checks.limits
        monkeypatch.setattr(limits._refusals, "_burst", 0)
        calls = [
            asyncio.ensure_future(send(world, "identity", WHOAMI, world.county, [b""]))
            for _ in range(5)
        ]
        await eventually(lambda: world.size() == watch._begin + 5)
        assert not any(call.done() for call in calls)
        # Nobody else waits.
        await world.call(world.county, WHOAMI, identity.WhoAmIRequest(), token=token)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        leaves = await watch.leaves()
        assert Counter(leaf.get("reason") for leaf in leaves) == {"TOKEN_MISSING": 5, None: 1}

    province.run(scenario(province.world))


def test_who_is_known_has_spent_his_measure_before_he_is_refused(province):
    """Refusals by role, policy or field come after the measure of calls: beyond it they are RATE_LIMITED and counted."""

    async def scenario(world):
        token = await world.login(world.auditor)
        accounts = world.doors["administration"].guard._checks.limits._accounts
        watch = Watch(world)

        async def one():
            call = send(world, "administration", ACCOUNTS, world.auditor, [b""], token=token)
            return (await refused(call)).reason

        first = await one()
        assert first == "ROLE_NOT_ALLOWED"
        [level] = accounts._levels.values()
        level.tokens = 2
        assert [await one() for _ in range(3)] == [first, first, "RATE_LIMITED"]
        assert [leaf["reason"] for leaf in await watch.leaves()] == [*[first] * 3, "RATE_LIMITED"]
        level.tokens = 1
        await world.call(world.auditor, WHOAMI, identity.WhoAmIRequest(), token=token)

    province.run(scenario(province.world))
