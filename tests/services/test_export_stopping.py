"""Stopping, and meeting a duty, need no rules of exports; getting does."""

import pytest

from gateway.clock import US_PER_S
from gateway.exports import duties
from gateway.v1 import export_service_pb2 as pb
from tests.coverage.rpcs import Watch, refused
from tests.exports.cast import Cast, about
from tests.exports.fetching import DOOR, WIDE, a_release, chore, destroyed
from tests.exports.planted import plant
from tests.world import held


@pytest.fixture
def province(cluster):
    with held(cluster) as stands:
        cast = stands.run(Cast.open(stands.world))
        yield lambda work: stands.run(work(cast))


@pytest.fixture
def unruled(monkeypatch):
    """Let a bundle without exports.toml be in force."""

    def take(cast):
        monkeypatch.setattr(cast.tickets._current, "_export_rules", None)

    return take


ACTS = [
    ("song", "RevokeExport", 5, "revoked"),
    ("lian", "RevokeExport", 5, "revoked"),
    ("song", "RecallExport", 8, "recalled"),
    ("song", "HoldExport", 5, "sealed"),
    ("zhao", "DenyExport", 1, "denied"),
    ("lian", "WithdrawExport", 1, "withdrawn"),
    ("wang", "AcknowledgeExport", 8, "acknowledged"),
    ("wang", "AttestDestruction", 9, "destroyed"),
]


def test_while_no_rules_are_in_force_it_is_stopped_and_accounted_for_and_nothing_leaves(
    province, unruled
):
    async def work(cast):
        planted = [plant(cast, steps, **WIDE) for _, _, steps, _ in ACTS]
        spoiled, asked, sealed = plant(cast, 7, **WIDE), a_release(cast), plant(cast, 5, **WIDE)
        cast.world.sql(
            "UPDATE gateway.ticket SET needed = 9 WHERE ticket_id = %s", spoiled.ticket_id
        )
        for name in ("song", "lian", "zhao", "wang"):
            await cast.token(cast[name])
        unruled(cast)
        for (name, rpc, _, state), ticket in zip(ACTS, planted, strict=True):
            watch = Watch(cast.world)
            await cast.ask(cast[name], rpc, asked_for(cast, rpc, ticket))
            assert (await watch.only_leaf())["decision"] == "allow"
            assert cast.state(ticket) == state, rpc
        await cast.ask(cast["song"], "RevokeExport", about(pb.RevokeExportRequest, spoiled))
        assert cast.state(spoiled) == "revoked"
        watch = Watch(cast.world)
        error = await refused(cast.ask(cast["wang"], "ReleaseExport", asked))
        assert error.reason == (await watch.only_leaf())["reason"] == "POLICIES_UNUSABLE"
        # The gateway itself stops what may not stand, too.
        cast.world.sql("UPDATE gateway.account SET state = 2 WHERE name = 'zhao'")
        cast.world.clock.turn(seconds=1)
        await chore(cast, "Keeper").look(DOOR)
        assert cast.state(sealed) == "revoked"

    province(work)


def asked_for(cast, rpc, ticket):
    """What an act about a ticket asks for."""
    if rpc == "AttestDestruction":
        return destroyed(cast, ticket)
    more = {"manifest_sha256": "34" * 32} if rpc == "AcknowledgeExport" else {}
    return about(getattr(pb, f"{rpc}Request"), ticket, **more)


def test_a_recall_without_rules_is_due_with_the_day(province, unruled):
    async def work(cast):
        ticket = plant(cast, 8, **WIDE)
        unruled(cast)
        request = about(pb.RecallExportRequest, ticket)
        answer = await cast.ask(cast["song"], "RecallExport", request)
        due_us = answer.ticket.recall_due_time.ToMicroseconds()
        now_us = cast.world.clock.now_us()
        assert due_us == duties.recall_due_us(now_us, 0)
        assert 0 < due_us - now_us <= 86_400 * US_PER_S

    province(work)
