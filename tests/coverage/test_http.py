"""The log's files over HTTP: asked in every way, each request leaves one leaf, which says what its sender was told."""

import asyncio

import pytest

from gateway.policy import bundle
from gateway.policy.engine import Engine
from gateway.services import http_files
from gateway.services.log_file_service import LogFileService
from tests.coverage.rpcs import Watch, eventually, kept_token
from tests.http_reader import direct, get
from tests.policies import changed
from tests.world import World

FORBIDS = '\n@id("F99-nothing") @says("x") @says_zh("y") forbid (principal, action, resource);\n'
NOTHING = Engine(bundle.of_files(changed(FORBIDS)))
FILE = "tile/entries/000.p/1"


def good(token: str) -> bytes:
    return get(FILE, token)


# Of each way: what is sent with a good token, status, reason, kind of the leaf.
REFUSED = {
    "malformed": (lambda _: b"\x16\x03\x01\r\n\r\n", 405, "METHOD_UNKNOWN", "rpc.unknown"),
    "unknown": (lambda t: good(t).replace(b"GET", b"PUT"), 405, "METHOD_UNKNOWN", "rpc.unknown"),
    "no file": (lambda t: get("favicon.ico", t), 400, "FIELD_INVALID", "audit.file"),
    "not there": (lambda t: get("tile/entries/x999/000", t), 404, "NOT_FOUND", "audit.file"),
    "oversize head": (lambda t: get(FILE, t, fields=["X: " + "a" * 9_000]), 431, "MESSAGE_TOO_LARGE", "audit.file"),
    "oversize path": (lambda t: get("x" * 2_000, t), 431, "MESSAGE_TOO_LARGE", "audit.file"),
    "two messages": (lambda t: get(FILE, t, fields=["Content-Length: 1"]) + b"x", 400, "MESSAGE_SURPLUS", "audit.file"),
    "unauthenticated": (lambda _: get(FILE), 401, "TOKEN_MISSING", "audit.file"),
    "a false token": (lambda _: get(FILE, "not.a.token"), 401, "TOKEN_INVALID", "audit.file"),
    "two tokens": (lambda t: get(FILE, t, t), 401, "TOKEN_INVALID", "audit.file"),
}  # fmt: skip


async def allowed(world: World, token: str) -> None:
    """The next good request works, with its one leaf."""
    watch = Watch(world)
    async with direct(world, world.auditor) as line:
        assert (await line.ask(good(token))).status == 200
    leaf = await watch.only_leaf()
    assert (leaf["kind"], leaf["decision"]) == ("audit.file", "allow")


def test_allowed_again_and_again_on_one_connection(province):
    async def scenario(world):
        token = await kept_token(world, world.auditor)
        async with direct(world, world.auditor) as line:
            for _ in range(3):
                watch = Watch(world)
                answer = await line.ask(good(token))
                leaf = await watch.only_leaf()
                assert (answer.status, leaf["decision"], leaf["kind"]) == (
                    200,
                    "allow",
                    "audit.file",
                )
                assert leaf["rpc"] == http_files.METHOD
                assert leaf["account"] == world.auditor.account
                assert leaf["policies"] == ["p11-audit"]
                assert leaf["counts"] == {"bytes": len(answer.content)}

    province.run(scenario(province.world))


@pytest.mark.parametrize("way", REFUSED)
def test_refused(province, way):
    async def scenario(world):
        made, status, reason, kind = REFUSED[way]
        token = await kept_token(world, world.auditor)
        watch = Watch(world)
        async with direct(world, world.auditor) as line:
            answer = await line.ask(made(token))
            # Where the next request would begin, nobody knows.
            assert way not in {"malformed", "unknown", "oversize head"} or await line.ended()
        leaf = await watch.only_leaf()
        assert (answer.status, answer.reason) == (status, reason)
        assert (leaf["kind"], leaf["decision"], leaf["reason"]) == (kind, "deny", reason)
        assert leaf["request_id"] in answer.content.decode()
        await allowed(world, token)

    province.run(scenario(province.world))


@pytest.mark.parametrize(
    ("who", "reason"), [("province_admin", "ROLE_NOT_ALLOWED"), ("city_auditor", "POLICY_DENIED")]
)
def test_denied(province, who, reason):
    async def scenario(world):
        person = getattr(world, who)
        token = await kept_token(world, person)
        watch = Watch(world)
        async with direct(world, person) as line:
            answer = await line.ask(good(token))
        leaf = await watch.only_leaf()
        assert (answer.status, answer.reason, leaf["reason"]) == (403, reason, reason)
        assert leaf["account"] == person.account

    province.run(scenario(province.world))


def test_a_connection_that_the_front_does_not_know(province):
    async def scenario(world):
        token = await kept_token(world, world.auditor)
        watch = Watch(world)
        async with direct(world, world.auditor, known=False) as line:
            answer = await line.ask(good(token))
        leaf = await watch.only_leaf()
        assert leaf["reason"] == answer.reason == "CONNECTION_UNKNOWN"
        assert "account" not in leaf

    province.run(scenario(province.world))


def test_a_request_that_is_not_whole_in_time(province, monkeypatch):
    async def scenario(world):
        token = await kept_token(world, world.auditor)
        monkeypatch.setattr(http_files, "REQUEST_S", 0.2)
        watch = Watch(world)
        async with direct(world, world.auditor) as line:
            answer = await line.ask(good(token)[:-1])
        leaf = await watch.only_leaf()
        assert (answer.status, leaf["reason"]) == (400, "MESSAGE_MISSING")
        monkeypatch.undo()
        await allowed(world, token)

    province.run(scenario(province.world))


def test_a_connection_without_a_request_leaves_nothing(province, monkeypatch):
    async def scenario(world):
        await kept_token(world, world.auditor)
        monkeypatch.setattr(http_files, "IDLE_S", 0.2)
        watch = Watch(world)
        async with direct(world, world.auditor) as line:
            assert await line.ended()
        assert await watch.leaves() == []

    province.run(scenario(province.world))


@pytest.mark.parametrize("ending", ["time", "cancel"])
def test_given_up_while_the_method_works(province, monkeypatch, ending):
    async def scenario(world):
        token = await kept_token(world, world.auditor)
        reached = asyncio.Event()

        async def slow(*_):
            reached.set()
            await asyncio.sleep(60)

        guard = world.guard("administration")
        rpc, _ = guard._methods[http_files.METHOD]
        methods = {**guard._methods, http_files.METHOD: (rpc, slow)}
        with monkeypatch.context() as patch:
            patch.setattr(guard, "_methods", methods)
            if ending == "time":
                patch.setattr(http_files, "CALL_S", 0.5)
            watch = Watch(world)
            async with direct(world, world.auditor) as line:
                line.writer.write(good(token))
                await reached.wait()
                if ending == "cancel":
                    [visit] = [
                        one for one in asyncio.all_tasks() if "_serve" in repr(one.get_coro())
                    ]
                    visit.cancel()
                assert await line.ended()
            await eventually(lambda: world.size() > watch._begin)
            leaf = await watch.only_leaf()
        assert (leaf["decision"], leaf["reason"]) == ("error", "CANCELLED")
        await allowed(world, token)

    province.run(scenario(province.world))


def test_a_fault_of_ours(province, monkeypatch):
    async def scenario(world):
        token = await kept_token(world, world.auditor)

        async def broken(*_):
            raise ValueError("a leaf's secret")

        guard = world.guard("administration")
        rpc, _ = guard._methods[http_files.METHOD]
        with monkeypatch.context() as patch:
            patch.setattr(guard, "_methods", {**guard._methods, http_files.METHOD: (rpc, broken)})
            watch = Watch(world)
            async with direct(world, world.auditor) as line:
                answer = await line.ask(good(token))
            leaf = await watch.only_leaf()
        assert (answer.status, leaf["decision"], leaf["reason"]) == (500, "error", "INTERNAL")
        assert b"secret" not in answer.content
        await allowed(world, token)

    province.run(scenario(province.world))


def test_the_method_of_http_is_the_rpcs(province):
    """Both ways lead to one method: what holds of the rpc holds of HTTP."""
    _, method = province.world.guard("administration")._methods[http_files.METHOD]
    assert method.__func__ is LogFileService.GetLogFile


def test_asked_too_often(province, monkeypatch):
    async def scenario(world):
        token = await kept_token(world, world.auditor)
        accounts = world.guard("administration")._checks.limits._accounts
        with monkeypatch.context() as patch:
            patch.setattr(accounts, "_rate", 1e-6)
            patch.setattr(accounts, "_burst", 0.5)
            accounts._levels.clear()
            watch = Watch(world)
            async with direct(world, world.auditor) as line:
                answer = await line.ask(good(token))
            leaf = await watch.only_leaf()
        accounts._levels.clear()
        assert (answer.status, answer.reason) == (429, "RATE_LIMITED")
        assert int(answer.headers["Retry-After"]) > 1
        assert (leaf["kind"], leaf["reason"]) == ("audit.file", "RATE_LIMITED")
        await allowed(world, token)

    province.run(scenario(province.world))


def test_denied_by_a_policy(province, monkeypatch):
    async def scenario(world):
        token = await kept_token(world, world.auditor)
        permits = world.guard("administration")._checks.permits
        with monkeypatch.context() as patch:
            patch.setattr(permits, "_engine", lambda: NOTHING)
            watch = Watch(world)
            async with direct(world, world.auditor) as line:
                answer = await line.ask(good(token))
            leaf = await watch.only_leaf()
        assert (answer.status, answer.reason, leaf["policies"]) == (
            403,
            "POLICY_DENIED",
            ["f99-nothing"],
        )
        await allowed(world, token)

    province.run(scenario(province.world))


def test_while_the_door_stops(province, monkeypatch):
    async def scenario(world):
        token = await kept_token(world, world.auditor)
        guard = world.guard("administration")
        watch = Watch(world)
        with monkeypatch.context() as patch:
            patch.setattr(guard, "_stopping", True)
            async with direct(world, world.auditor) as line:
                answer = await line.ask(good(token))
        assert (answer.status, answer.reason) == (503, "SHUTTING_DOWN")
        assert answer.headers["Retry-After"]
        assert (await watch.only_leaf())["reason"] == "SHUTTING_DOWN"
        await allowed(world, token)

    province.run(scenario(province.world))
