import asyncio
from types import SimpleNamespace

import pytest

from gateway.audit.event import Event
from gateway.errors import Reason, Refusal, refuse
from gateway.services.call import Call, new_id, on_log, told
from tests.coverage.rpcs import Watch


def a_call(world):
    return Call(world.doors["identity"].recorder, Event(kind="health.check", door="identity"), None)


def test_a_call_has_one_leaf(province):
    async def work(world):
        call, watch = a_call(world), Watch(world)
        assert not call.recorded
        entry = await call.record(decision="deny", reason="RATE_LIMITED")
        assert call.recorded
        with pytest.raises(RuntimeError):
            await call.record()
        leaf = await watch.only_leaf()
        assert leaf["index"] == entry.index
        assert leaf["request_id"] == call.request_id
        assert leaf["reason"] == "RATE_LIMITED"

    province.run(work(province.world))


def test_a_cancel_parts_no_effect_from_its_leaf(province):
    async def work(world):
        call, watch = a_call(world), Watch(world)
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def effect(tx):
            begun.set()
            await go_on.wait()
            assert await tx.fetch_one("SELECT 1") == (1,)
            return call.event

        task = asyncio.create_task(call.record(effect))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert call.recorded
        go_on.set()
        await call._append
        assert (await watch.only_leaf())["decision"] == "allow"

    province.run(work(province.world))


def test_an_effects_result_and_what_it_tells(province):
    async def work(world):
        call, watch = a_call(world), Watch(world)

        async def effect(tx):
            return (await tx.fetch_one("SELECT 3"))[0]

        assert await call.effect(effect, lambda n, event: told(event, counts={"rows": n})) == 3
        assert (await watch.only_leaf())["counts"] == {"rows": 3}

    province.run(work(province.world))


def test_the_leaf_of_an_effect_that_is_refused_tells_what_it_found_last(province):
    async def work(world):
        call, watch = a_call(world), Watch(world)
        call.note(policies=("p1-first",))

        async def effect(tx):
            assert await tx.fetch_one("SELECT 1") == (1,)
            call.note(policies=("f1-last",))
            raise refuse(Reason.POLICY_DENIED)

        with pytest.raises(Refusal):
            await call.effect(effect)
        leaf = await watch.only_leaf()
        assert (leaf["reason"], leaf["policies"]) == ("POLICY_DENIED", ["f1-last"])

    province.run(work(province.world))


def test_notes_add_up():
    event = told(Event(), counts={"rows": 1}, detail={"size": 1})
    event = told(event, counts={"units": 2}, detail={"size": 2}, kind="x")
    assert event.counts == {"rows": 1, "units": 2}
    assert event.detail == {"size": 2}
    assert event.kind == "x"


def test_nothing_is_asked_before_it_is_established(province):
    call = a_call(province.world)
    for name in ("known", "action", "link", "caller", "claims"):
        with pytest.raises(RuntimeError):
            getattr(call, name)


def test_a_batch_has_an_id_of_its_own(province):
    call = a_call(province.world)
    one = call.batch(b"x")
    assert one.request_id != call.request_id
    assert one.event.request_id == one.request_id
    assert one.raw == b"x"
    refusal = refuse(Reason.POLICY_DENIED)
    assert call.blamed(refusal) == call.request_id
    call.blame(refusal, one)
    assert call.blamed(refusal) == one.request_id


def test_what_needs_no_leaf_any_more():
    assert not on_log(refuse(Reason.POLICY_DENIED))
    assert on_log(refuse(Reason.AUDIT_DEGRADED))
    assert on_log(refuse(Reason.SIGNER_AWAY))
    refusal = refuse(Reason.POLICY_DENIED)
    refusal.leaf_index = 0
    assert on_log(refusal)


def test_ids_are_random():
    assert len({new_id() for _ in range(100)}) == 100
    assert new_id()[14] == "4"


@pytest.mark.parametrize(
    ("peer", "source"),
    [
        ("10.8.0.7:4711", "10.8.0.7/32"),
        ("[fd00:1:2:3:4:5:6:7]:4711", "fd00:1:2:3::/64"),
        (None, "0.0.0.0/0"),
    ],
)
def test_floods_are_counted_by_the_peers_network(province, peer, source):
    call = a_call(province.world)
    call._connection = None if peer is None else SimpleNamespace(peer=peer, name="n")
    assert call.source == source
    assert call.connection == (None if peer is None else "n")


def test_a_batch_is_charged_to_whom_its_stream_was(province):
    call = a_call(province.world)
    assert call.batch(b"").charged is None
    call.charged = "account"
    assert call.batch(b"").charged == "account"
