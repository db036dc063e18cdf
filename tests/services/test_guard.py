"""What the guard itself promises; every rpc in every way is in tests/coverage."""

import asyncio
import json

import grpc
import pytest
from google.rpc import error_details_pb2

from gateway.audit.event import Event
from gateway.services import guard
from gateway.tlog import checkpoint, note
from gateway.v1 import identity_service_pb2 as identity
from gateway.v1 import upload_service_pb2 as upload
from tests.coverage.rpcs import (
    UPLOAD,
    WHOAMI,
    Watch,
    a_batch,
    eventually,
    locked_head,
    refused,
    send,
)
from tests.world import PASSWORD, RefusedError, World, fresh_ground

CHECK = "/grpc.health.v1.Health/Check"


def in_a_world(cluster, work):
    """Run on a world of one's own, for what would disturb others."""

    async def run(ground):
        async with World.open(ground) as world:
            await work(world)

    with fresh_ground(cluster) as ground:
        asyncio.run(run(ground))


def test_the_newest_checkpoint_is_in_every_reply(province):
    async def work(world):
        channel = await world.channel(world.county, "identity")
        call = channel.unary_unary(CHECK)(b"", timeout=10)
        await call
        answered = dict(await call.trailing_metadata())["gateway-checkpoint-bin"]
        verifier = note.parse_vkey(world.home.log_key.read_text().strip())
        signed = checkpoint.open_checkpoint(answered.decode(), [verifier], verifier.name)
        assert signed.size == world.size()
        error = await refused(world.call(world.county, WHOAMI, b""))
        signed = checkpoint.open_checkpoint(error.checkpoint.decode(), [verifier], verifier.name)
        assert signed.size == world.size()

    province.run(work(province.world))


def test_the_request_id_of_the_status_is_that_of_the_leaf(province):
    async def work(world):
        watch = Watch(world)
        error = await refused(world.call(world.county, WHOAMI, b""))
        told = error.detail(error_details_pb2.RequestInfo).request_id
        assert (await watch.only_leaf())["request_id"] == told

    province.run(work(province.world))


def test_a_batch_that_is_refused_ends_its_stream_and_keeps_those_before_it(province):
    async def work(world):
        token = await world.login(world.county)
        first, second = a_batch(world, world.county), a_batch(world, world.county)
        second.sequence += 1
        wrong = upload.UploadBatchesRequest()
        wrong.CopyFrom(second)
        wrong.schema_version = "1999-1"
        watch = Watch(world)
        error = await refused(
            world.upload(world.county, token, first.SerializeToString(), wrong.SerializeToString())
        )
        assert error.reason == "BATCH_MALFORMED"
        assert error.detail(error_details_pb2.RequestInfo).request_id == wrong.request_id
        assert len(error.replies) == 1
        leaves = await watch.leaves()
        assert [(leaf["decision"], leaf.get("reason")) for leaf in leaves] == [
            ("allow", None),
            ("deny", "BATCH_MALFORMED"),
        ]
        assert {leaf["request_id"] for leaf in leaves} == {first.request_id, second.request_id}
        [reply] = await world.upload(world.county, token, second.SerializeToString())
        assert (
            upload.UploadBatchesResponse.FromString(reply).receipt.request_id == second.request_id
        )

    province.run(work(province.world))


def test_twenty_batches_through_a_window_of_eight(province):
    async def work(world):
        token = await world.login(world.county)
        start = a_batch(world, world.county).sequence
        batches = [a_batch(world, world.county, sequence=start + n) for n in range(20)]
        watch = Watch(world)
        replies = await world.upload(
            world.county, token, *[one.SerializeToString() for one in batches]
        )
        receipts = [upload.UploadBatchesResponse.FromString(reply).receipt for reply in replies]
        assert [one.request_id for one in receipts] == [one.request_id for one in batches]
        leaves = await watch.leaves()
        assert [leaf["sequence"] for leaf in leaves] == [one.sequence for one in batches]
        assert [json.loads(one.leaf)["request_id"] for one in receipts] == [
            one.request_id for one in batches
        ]

    province.run(work(province.world))


def test_a_cancelled_stream_commits_what_it_took_and_leaves_one_leaf_more(province):
    async def work(world):
        token = await world.login(world.county)
        stream = await world.open_upload(world.county, token)
        batch = a_batch(world, world.county)
        watch = Watch(world)
        await stream.write(batch.SerializeToString())
        await stream.read()
        stream.cancel()
        leaves = await watch.leaves()
        assert sorted(leaf["decision"] for leaf in leaves) == ["allow", "error"]
        assert {leaf.get("reason") for leaf in leaves} == {None, "CANCELLED"}

    province.run(work(province.world))


def test_a_cut_connection_leaves_a_leaf(province):
    async def work(world):
        token = await world.login(world.county)
        stream = await world.open_upload(world.county, token)
        await stream.write(a_batch(world, world.county).SerializeToString())
        await stream.read()
        watch = Watch(world)
        world.cut(world.county)
        leaf = await watch.only_leaf()
        assert (leaf["decision"], leaf["reason"]) == ("error", "CANCELLED")
        with pytest.raises(grpc.aio.AioRpcError):
            await stream.read()

    province.run(work(province.world))


def test_a_crash_inside_an_effect_leaves_one_leaf(province, monkeypatch):
    """The recorder writes it; neither the call nor its batch adds a second one."""

    async def work(world):
        async def crash(*_args, **_named):
            raise KeyError("王小明")

        token = await world.login(world.county)
        batch = a_batch(world, world.county)
        with monkeypatch.context() as patch:
            patch.setattr("gateway.uploads.taking.known.load", crash)
            watch = Watch(world)
            error = await refused(world.upload(world.county, token, batch.SerializeToString()))
            assert error.code == "INTERNAL"
            assert (await watch.only_leaf())["reason"] == "INTERNAL"
        with monkeypatch.context() as patch:
            patch.setattr("gateway.services.identity_service.login.logout", crash)
            watch = Watch(world)
            logout = world.call(
                world.county, "/gateway.v1.IdentityService/Logout", b"", token=token
            )
            assert (await refused(logout)).code == "INTERNAL"
            assert (await watch.only_leaf())["reason"] == "INTERNAL"
        assert await world.upload(world.county, token, batch.SerializeToString())

    province.run(work(province.world))


def test_the_signer_is_away(cluster):
    async def work(world):
        token = await world.login(world.county)
        await world.kill_signer()
        begin = world.size()
        error = await refused(world.call(world.county, WHOAMI, b"", token=token))
        assert (error.code, error.reason) == ("UNAVAILABLE", "SIGNER_AWAY")
        upload_ = world.upload(
            world.county, token, a_batch(world, world.county).SerializeToString()
        )
        assert (await refused(upload_)).reason == "SIGNER_AWAY"
        assert (await refused(world.call(world.county, WHOAMI, b""))).reason == "SIGNER_AWAY"
        assert world.size() == begin
        await world.start_signer()
        await eventually(lambda: {"log.recover"} <= {leaf["kind"] for leaf in world.leaves(begin)})
        await world.call(world.county, WHOAMI, b"", token=token)
        # Three were refused, two of them without any other trace; each is counted once.
        await eventually(lambda: refused_by(world, begin) == 3)

    in_a_world(cluster, work)


def refused_by(world, begin):
    told = [leaf for leaf in world.leaves(begin) if leaf["kind"] == "log.recover"]
    return sum(sum(leaf["counts"].get(word, 0) for word in ("refused", "unknown")) for leaf in told)


def test_the_store_is_away(cluster):
    async def work(world):
        token = await world.login(world.county)
        world.take_store_away()
        error = await refused(world.call(world.county, WHOAMI, b"", token=token))
        assert error.code == "UNAVAILABLE"
        assert error.reason in ("STORE_AWAY", "AUDIT_DEGRADED")
        assert (await refused(world.login(world.county))).code == "UNAVAILABLE"
        world.give_store_back()

        async def serves():
            while True:
                try:
                    await world.call(world.county, WHOAMI, b"", token=token)
                except RefusedError:
                    await asyncio.sleep(0.05)
                else:
                    return

        await asyncio.wait_for(serves(), 20)

    in_a_world(cluster, work)


def test_a_cancel_while_a_refusal_is_recorded(province):
    """The refusal is on its way to the log: it is the call's one leaf."""

    async def work(world):
        channel = await world.channel(world.county, "identity")
        await channel.unary_unary(CHECK)(b"", timeout=10)
        guard, watch = world.doors["identity"].guard, Watch(world)
        with locked_head(world):
            call = channel.unary_unary(WHOAMI)(b"", timeout=10)
            await eventually(lambda: guard._running)
            await asyncio.sleep(0.05)
            call.cancel()
            await eventually(lambda: not guard._running)
        assert (await watch.only_leaf())["reason"] == "TOKEN_MISSING"

    province.run(work(province.world))


def test_a_cancel_that_cannot_be_recorded(cluster, capsys):
    async def work(world):
        token = await world.login(world.county)
        stream = await world.open_upload(world.county, token)
        await stream.write(a_batch(world, world.county).SerializeToString())
        await stream.read()
        await world.kill_signer()
        guard = world.doors["intake"].guard
        stream.cancel()
        await eventually(lambda: not guard._running)
        await guard.settle()
        begin = world.size()
        await world.start_signer()
        await eventually(lambda: refused_by(world, begin) == 1)

    in_a_world(cluster, work)
    assert "leaf.unrecorded" in capsys.readouterr().err


def test_a_stop_finishes_what_was_taken(cluster):
    async def work(world):
        token = await world.login(world.county)
        stream = await world.open_upload(world.county, token)
        await stream.write(a_batch(world, world.county).SerializeToString())
        await stream.read()
        intake = world.doors["intake"]
        begin = world.size()
        intake.guard.stop()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stream.read()
        assert RefusedError(raised.value).reason == "SHUTTING_DOWN"
        error = await refused(send(world, "intake", CHECK, world.county, [b""]))
        assert (error.code, error.reason) == ("UNAVAILABLE", "SHUTTING_DOWN")
        assert [leaf["reason"] for leaf in world.leaves(begin)] == ["SHUTTING_DOWN"] * 2

    in_a_world(cluster, work)


def test_a_call_that_does_not_finish_is_cut_at_a_stop(cluster):
    async def work(world):
        token = await world.login(world.county)
        reached = asyncio.Event()

        async def slow(*_):
            reached.set()
            await asyncio.sleep(60)

        door = world.doors.pop("identity")
        rpc, _ = door.guard._methods[WHOAMI]
        door.guard._methods[WHOAMI] = (rpc, slow)
        begin = world.size()
        call = asyncio.ensure_future(world.call(world.county, WHOAMI, b"", token=token))
        await reached.wait()
        await door.stop(0.05)
        assert (await refused(call)).code in ("UNAVAILABLE", "CANCELLED", "UNKNOWN")
        assert [leaf["reason"] for leaf in world.leaves(begin)] == ["SHUTTING_DOWN"]

    in_a_world(cluster, work)


def test_a_method_that_asked_no_policy_is_not_served(province, monkeypatch):
    async def work(world):
        monkeypatch.delitem(__import__("gateway.services.permits").services.permits.ABOUT, "WhoAmI")
        token = await world.login(world.county)
        watch = Watch(world)
        error = await refused(world.call(world.county, WHOAMI, b"", token=token))
        assert error.code == "INTERNAL"
        assert (await watch.only_leaf())["reason"] == "INTERNAL"

    province.run(work(province.world))


def test_an_event_that_is_unfit_for_the_log_is_no_reply(province, monkeypatch):
    async def work(world):
        guard = world.doors["identity"].guard
        monkeypatch.setattr(guard, "_base", Event(door="no door"))
        watch = Watch(world)
        error = await refused(world.call(world.county, CHECK, b"", door="identity"))
        assert error.code == "INTERNAL"
        assert (await watch.only_leaf())["decision"] == "error"

    province.run(work(province.world))


def test_unattributed(province):
    """Beyond grpc's own limit the peer's name may be gone before we ask: there is a leaf all the same."""

    class Context:
        code = None

        def peer(self):
            return ""

        def time_remaining(self):
            return 5.0

        def set_trailing_metadata(self, metadata):
            self.metadata = metadata

        def set_code(self, code):
            self.code = code

        def set_details(self, details):
            self.details = details

    async def work(world):
        watch = Watch(world)
        context = Context()
        await world.doors["intake"].guard._handle(UPLOAD, None, context)
        assert context.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        leaf = await watch.only_leaf()
        assert (leaf["kind"], leaf["reason"]) == ("unattributed", "MESSAGE_TOO_LARGE")
        assert "organisation" not in leaf

    province.run(work(province.world))


def test_login_has_one_text_for_every_cause(province):
    """Wrong password, unknown account, another organisation's account: the same answer but for the request id."""

    async def work(world):
        texts = set()
        for account, password in (
            ("uploader", "wrong"),
            ("nobody", PASSWORD),
            ("admin", PASSWORD),
            ("", ""),
        ):
            request = identity.LoginRequest(account_name=account, password=password)
            error = await refused(
                world.call(world.county, "/gateway.v1.IdentityService/Login", request)
            )
            told = error.detail(error_details_pb2.RequestInfo).request_id
            texts.add(str(error.status).replace(told, ""))
            assert error.reason == "LOGIN_FAILED"
        assert len(texts) == 1

    province.run(work(province.world))


def test_who_has_not_proven_who_he_is_waits_to_be_sent_away(province, monkeypatch):
    """A flood of logins asks again only after a pause; whoever has logged in is told at once."""

    async def work(world):
        token = await world.login(world.county)
        await world.call(world.county, WHOAMI, identity.WhoAmIRequest(), token=token)
        limits = world.doors["identity"].guard._checks.limits
        monkeypatch.setattr(limits._connections, "_rate", 0.001)
        monkeypatch.setattr(limits._accounts, "_rate", 0.001)
        monkeypatch.setattr(guard, "PAUSE_S", 3600)
        for level in (*limits._connections._levels.values(), *limits._accounts._levels.values()):
            level.tokens = 0
        watch = Watch(world)
        login = asyncio.ensure_future(world.login(world.county))
        await eventually(lambda: world.size() > watch._begin)
        whoami = world.call(world.county, WHOAMI, identity.WhoAmIRequest(), token=token)
        assert (await refused(whoami)).reason == "RATE_LIMITED"
        assert not login.done()
        login.cancel()
        with pytest.raises(asyncio.CancelledError):
            await login
        assert [leaf["reason"] for leaf in await watch.leaves()] == ["RATE_LIMITED"] * 2
        limits._connections._levels.clear()
        limits._accounts._levels.clear()
        monkeypatch.undo()
        await world.login(world.county)

    province.run(work(province.world))
