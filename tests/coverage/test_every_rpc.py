"""Every rpc, called in every way: exactly one leaf, which says what the caller was told, and a checkpoint in every reply."""

import asyncio

import grpc
import pytest

from gateway.config.home import LISTENERS
from gateway.policy import bundle
from gateway.policy.engine import Engine
from gateway.services.wire import FIRST_MESSAGE_S
from tests.coverage.rpcs import (
    ALL,
    IDS,
    UNARY,
    UPLOAD,
    WHOAMI,
    Watch,
    a_receipt,
    call,
    case_of,
    eventually,
    locked_head,
    refused,
    rpc_of,
    send,
    token_for,
)
from tests.policies import SHIPPED, changed
from tests.world import PASSWORD

every = pytest.mark.parametrize("case", ALL, ids=IDS.get)
every_unary = pytest.mark.parametrize("case", UNARY, ids=IDS.get)


@pytest.fixture(autouse=True)
def fresh(province):
    """What one test used up is there again for the next: buckets are full, and there is a batch to ask for."""
    world = province.world
    world.receipt_id = province.run(a_receipt(world))
    for door in LISTENERS:
        limits = world.guard(door)._checks.limits
        limits._accounts._levels.clear()
        limits._connections._levels.clear()


SHIPPED_ENGINE = Engine(bundle.of_files(SHIPPED))
NAMED = {one.name.lower() for one in SHIPPED_ENGINE.policies}
FORBIDS = '\n@id("F99-nothing") @says("x") @says_zh("y") forbid (principal, action, resource);\n'
NOTHING = Engine(bundle.of_files(changed(FORBIDS)))


async def good(world, case):
    _, method = case
    person = case_of(method).caller(world)
    return person, case_of(method).message(world), await token_for(world, method, person)


@every
def test_allowed(province, case):
    async def scenario(world):
        person, message, token = await good(world, case)
        watch = Watch(world)
        await call(world, *case, person, message, token)
        leaf, *ends = await watch.calls()
        # What sends a stream says how it ended, too.
        assert [end["kind"] for end in ends] == ["export.end"] * rpc_of(*case).sending
        assert leaf["decision"] == "allow", leaf
        assert leaf["kind"] == rpc_of(*case).access.kind
        assert leaf["door"] == case[0]
        assert leaf["rpc"] == case[1]
        assert leaf["organisation"] == person.organisation
        assert leaf["strength"] == "weak"
        assert ("policies" in leaf) == rpc_of(*case).access.needs_token
        assert ("bundle" in leaf) == ("policies" in leaf)
        if "policies" in leaf:
            assert set(leaf["policies"]) <= NAMED
            assert leaf["bundle"] == SHIPPED_ENGINE.bundle.sha256

    province.run(scenario(province.world))


@pytest.mark.parametrize(
    "case", [one for one in ALL if rpc_of(*one).access.needs_token], ids=IDS.get
)
def test_denied_by_a_policy(province, case, monkeypatch):
    """Where a policy forbids everything, every rpc is refused, and its leaf names policy and bundle."""

    async def scenario(world):
        person, message, token = await good(world, case)
        permits = world.guard(case[0])._checks.permits
        with monkeypatch.context() as patch:
            patch.setattr(permits, "_engine", lambda: NOTHING)
            watch = Watch(world)
            error = await refused(call(world, *case, person, message, token))
            leaf = await watch.only_leaf()
        assert (error.code, error.reason) == ("PERMISSION_DENIED", "POLICY_DENIED")
        assert (leaf["decision"], leaf["reason"]) == ("deny", "POLICY_DENIED")
        assert (leaf["policies"], leaf["bundle"]) == (["f99-nothing"], NOTHING.bundle.sha256)
        person, message, token = await good(world, case)
        await call(world, *case, person, message, token)

    province.run(scenario(province.world))


@pytest.mark.parametrize("case", [case for case in ALL if rpc_of(*case).access.roles], ids=IDS.get)
def test_denied_for_another_role(province, case):
    async def scenario(world):
        message = case_of(case[1]).message(world)
        person = case_of(case[1]).wrong(world)
        token = await world.login(person)
        watch = Watch(world)
        error = await refused(call(world, *case, person, message, token))
        leaf = await watch.only_leaf()
        assert (error.code, error.reason) == ("PERMISSION_DENIED", "ROLE_NOT_ALLOWED")
        assert (leaf["decision"], leaf["reason"]) == ("deny", "ROLE_NOT_ALLOWED")
        assert leaf["account"] == person.account

    province.run(scenario(province.world))


@every
def test_malformed(province, case):
    async def scenario(world):
        person, _, token = await good(world, case)
        watch = Watch(world)
        error = await refused(send(world, *case, person, [b"\x0a\xff\xff\xff\xff"], token=token))
        leaf = await watch.only_leaf()
        assert (error.code, error.reason) == ("INVALID_ARGUMENT", "MESSAGE_MALFORMED")
        assert (leaf["decision"], leaf["reason"]) == ("deny", "MESSAGE_MALFORMED")
        assert error.checkpoint

    province.run(scenario(province.world))


@every_unary
@pytest.mark.parametrize("count", [0, 2])
def test_zero_and_two_messages(province, case, count):
    async def scenario(world):
        person, message, token = await good(world, case)
        watch = Watch(world)
        messages = [message.SerializeToString()] * count
        error = await refused(send(world, *case, person, messages, token=token))
        leaf = await watch.only_leaf()
        expected = "MESSAGE_SURPLUS" if count else "MESSAGE_MISSING"
        assert (error.code, error.reason) == ("INVALID_ARGUMENT", expected)
        assert leaf["reason"] == expected

    province.run(scenario(province.world))


def test_a_stream_without_a_batch_leaves_one_leaf(province):
    async def scenario(world):
        token = await world.login(world.county)
        watch = Watch(world)
        assert await world.upload(world.county, token) == []
        leaf = await watch.only_leaf()
        assert (leaf["kind"], leaf["decision"], leaf["rpc"]) == ("upload.empty", "allow", UPLOAD)
        assert (leaf["counts"], leaf["account"]) == ({"items": 0}, world.county.account)

    province.run(scenario(province.world))


@pytest.mark.parametrize("door", LISTENERS)
@pytest.mark.parametrize(
    "method",
    [
        "/gateway.v1.IdentityService/Unknown",
        "/gateway.v1.UploadService/DeleteEverything",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/x",
    ],
)
def test_unknown_method(province, door, method):
    async def scenario(world):
        watch = Watch(world)
        error = await refused(send(world, door, method, world.county, [b"x"]))
        leaf = await watch.only_leaf()
        assert (error.code, error.reason) == ("UNIMPLEMENTED", "METHOD_UNKNOWN")
        assert (leaf["kind"], leaf["reason"]) == ("rpc.unknown", "METHOD_UNKNOWN")
        assert "rpc" not in leaf

    province.run(scenario(province.world))


def test_a_method_of_another_door_is_unknown(province):
    async def scenario(world):
        token = await world.login(world.auditor)
        watch = Watch(world)
        method = "/gateway.v1.AuditService/SearchLeaves"
        error = await refused(send(world, "intake", method, world.auditor, [b""], token=token))
        assert error.reason == "METHOD_UNKNOWN"
        assert (await watch.only_leaf())["reason"] == "METHOD_UNKNOWN"

    province.run(scenario(province.world))


@pytest.mark.parametrize(
    "case", [case for case in ALL if rpc_of(*case).access.needs_token], ids=IDS.get
)
@pytest.mark.parametrize("token", ["", "not.a.token"])
def test_unauthenticated(province, case, token):
    async def scenario(world):
        person, message = case_of(case[1]).caller(world), case_of(case[1]).message(world)
        watch = Watch(world)
        error = await refused(call(world, *case, person, message, token))
        leaf = await watch.only_leaf()
        expected = "TOKEN_INVALID" if token else "TOKEN_MISSING"
        assert (error.code, error.reason) == ("UNAUTHENTICATED", expected)
        assert leaf["reason"] == expected
        assert "account" not in leaf

    province.run(scenario(province.world))


def test_login_with_a_wrong_password(province):
    async def scenario(world):
        watch = Watch(world)
        error = await refused(world.login(world.county, PASSWORD + "x"))
        leaf = await watch.only_leaf()
        assert (error.code, error.reason) == ("UNAUTHENTICATED", "LOGIN_FAILED")
        assert leaf["reason"] == "LOGIN_FAILED"

    province.run(scenario(province.world))


@pytest.mark.parametrize("case", [case for case in UNARY if not rpc_of(*case).sending], ids=IDS.get)
@pytest.mark.parametrize(
    ("timeout", "reason"), [(None, "DEADLINE_MISSING"), (0.09, "DEADLINE_TOO_SHORT")]
)
def test_deadline(province, case, timeout, reason):
    async def scenario(world):
        person, message, token = await good(world, case)
        await (await world.channel(person, case[0])).channel_ready()
        watch = Watch(world)
        raw = message.SerializeToString()
        error = await refused(send(world, *case, person, [raw], token=token, timeout=timeout))
        leaf = await watch.only_leaf()
        # A short deadline may pass before our answer is there: grpc then says so itself.
        assert error.reason == reason or (error.code, error.raw) == ("DEADLINE_EXCEEDED", b"")
        assert leaf["reason"] == reason

    province.run(scenario(province.world))


@every
def test_oversize_by_our_own_limit(province, case):
    async def scenario(world):
        person, _, token = await good(world, case)
        watch = Watch(world)
        raw = bytes(rpc_of(*case).access.max_bytes + 1)
        error = await refused(send(world, *case, person, [raw], token=token))
        leaf = await watch.only_leaf()
        assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE")
        assert leaf["reason"] == "MESSAGE_TOO_LARGE"

    province.run(scenario(province.world))


@pytest.mark.parametrize(
    "case", [("identity", WHOAMI), ("intake", UPLOAD)], ids=["unary", "stream"]
)
def test_oversize_beyond_grpcs_limit(province, case):
    async def scenario(world):
        person, _, token = await good(world, case)
        watch = Watch(world)
        error = await refused(send(world, *case, person, [bytes(17 << 20)], token=token))
        leaf = await watch.only_leaf()
        assert error.code == "RESOURCE_EXHAUSTED"
        assert leaf["reason"] == "MESSAGE_TOO_LARGE"
        assert leaf["organisation"] == person.organisation

    province.run(scenario(province.world))


@every
def test_cancel_before_the_message(province, case):
    async def scenario(world):
        person, _, token = await good(world, case)
        channel = await world.channel(person, case[0])
        await channel.channel_ready()
        watch = Watch(world)
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        pending = channel.stream_stream(case[1])(metadata=metadata, timeout=20)
        await pending.wait_for_connection()
        guard = world.guard(case[0])
        await eventually(lambda: guard._running > 0)
        await asyncio.sleep(0.02)  # so that the call is past its first checks
        pending.cancel()
        leaf = await watch.only_leaf()
        assert (leaf["decision"], leaf["reason"]) == ("error", "CANCELLED")

    province.run(scenario(province.world))


@every
def test_cancel_while_the_method_works(province, case, monkeypatch):
    """A method that waits for something slow is given up; its call leaves one leaf."""

    async def scenario(world):
        person, message, token = await good(world, case)
        reached = asyncio.Event()

        async def slow(*_):
            reached.set()
            # A batch that was taken is finished whatever becomes of its stream.
            await asyncio.sleep(0.2 if case[1] == UPLOAD else 60)

        replace_method(monkeypatch, world, case, slow)
        channel = await world.channel(person, case[0])
        watch = Watch(world)
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        pending = channel.stream_stream(case[1])(metadata=metadata, timeout=20)
        await pending.write(message.SerializeToString())
        await pending.done_writing()
        await reached.wait()
        pending.cancel()
        leaf = await watch.only_leaf()
        assert (leaf["decision"], leaf["reason"]) == ("error", "CANCELLED")

    province.run(scenario(province.world))


@every_unary
def test_deadline_passes_while_the_method_works(province, case, monkeypatch):
    async def scenario(world):
        person, message, token = await good(world, case)

        async def slow(*_):
            await asyncio.sleep(60)

        replace_method(monkeypatch, world, case, slow)
        watch = Watch(world)
        raw = message.SerializeToString()
        error = await refused(send(world, *case, person, [raw], token=token, timeout=0.6))
        leaf = await watch.only_leaf()
        assert error.code == "DEADLINE_EXCEEDED"
        assert (leaf["decision"], leaf["reason"]) == ("error", "CANCELLED")
        assert leaf["detail"]["cause"] == "deadline"

    province.run(scenario(province.world))


@every
def test_crash(province, case, monkeypatch, capsys):
    """An exception's text goes neither to the caller nor to the log: it may quote a child's name."""

    async def scenario(world):
        person, message, token = await good(world, case)

        async def crash(*_):
            raise KeyError("child 140105000120240001 王小明")

        replace_method(monkeypatch, world, case, crash)
        watch = Watch(world)
        error = await refused(call(world, *case, person, message, token))
        leaf = await watch.only_leaf()
        assert error.code == "INTERNAL"
        assert "王小明" not in error.message + str(error.status)
        assert len(error.status.details) == 1
        assert (leaf["decision"], leaf["reason"]) == ("error", "INTERNAL")

    province.run(scenario(province.world))
    said = capsys.readouterr().err
    assert "KeyError" in said
    assert "王小明" not in said
    assert "140105000120240001" not in said


@every
def test_no_reply_before_its_leaf_is_committed(province, case):
    """The head of the log is held locked: nothing can be committed, and so nothing may be answered."""

    async def scenario(world):
        person, message, token = await good(world, case)
        watch = Watch(world)
        with locked_head(world):
            pending = asyncio.ensure_future(call(world, *case, person, message, token))
            done, _ = await asyncio.wait([pending], timeout=0.25)
            assert not done
            assert world.size() == watch._begin
        await pending
        assert (await watch.only_leaf())["decision"] == "allow"

    province.run(scenario(province.world))


@every
def test_no_refusal_before_its_leaf_is_committed(province, case):
    async def scenario(world):
        person = case_of(case[1]).caller(world)
        watch = Watch(world)
        with locked_head(world):
            raw = bytes(rpc_of(*case).access.max_bytes + 1)
            token = "not.a.token" if case[1] == UPLOAD else ""
            pending = asyncio.ensure_future(send(world, *case, person, [raw], token=token))
            done, _ = await asyncio.wait([pending], timeout=0.25)
            assert not done
        await refused(pending)
        assert (await watch.only_leaf())["decision"] == "deny"

    province.run(scenario(province.world))


def test_a_message_that_never_comes_is_not_waited_for(province, monkeypatch):
    async def scenario(world):
        token = await world.login(world.county)
        monkeypatch.setattr("gateway.services.wire.FIRST_MESSAGE_S", 0.05)
        channel = await world.channel(world.county, "identity")
        watch = Watch(world)
        pending = channel.stream_unary(WHOAMI)(
            metadata=(("authorization", f"Bearer {token}"),), timeout=20
        )
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await pending
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (await watch.only_leaf())["reason"] == "MESSAGE_MISSING"

    assert FIRST_MESSAGE_S > 1
    province.run(scenario(province.world))


def replace_method(monkeypatch, world, case, method):
    guard = world.guard(case[0])
    rpc, _ = guard._methods[case[1]]
    monkeypatch.setitem(guard._methods, case[1], (rpc, method))
