"""What every rpc about a ticket goes through: an id of the form, the log's ticket, the policy, one move."""

import asyncio

import pytest

from gateway.services.export_tickets import calling
from gateway.v1 import export_service_pb2 as pb
from tests.coverage.rpcs import Watch, refused
from tests.exports.cast import Cast, about
from tests.exports.planted import plant
from tests.world import held


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster, doors=("identity", "disclosure")) as stands:
        cast = stands.run(Cast.open(stands.world))
        yield lambda work: stands.run(work(cast))


@pytest.mark.parametrize("ticket_id", ["", "EX-1", "EX-000000001", "ex-00000001", "EX-00000001\n"])
def test_an_id_of_another_form_is_no_ticket(province, ticket_id):
    async def work(cast):
        request = pb.GetExportRequest(ticket_id=ticket_id)
        watch = Watch(cast.world)
        error = await refused(cast.ask(cast["lian"], "GetExport", request))
        assert error.reason == "FIELD_INVALID"
        leaves = [leaf for leaf in await watch.leaves() if leaf["kind"] == "export.get"]
        assert "ticket" not in leaves[0].get("detail", {})

    province(work)


def test_a_move_sent_again_moves_once_and_shows_the_ticket(province):
    async def work(cast):
        ticket = plant(cast, 1)
        request = about(pb.WithdrawExportRequest, ticket)
        first = await cast.ask(cast["lian"], "WithdrawExport", request)
        watch = Watch(cast.world)
        again = await cast.ask(cast["lian"], "WithdrawExport", request)
        leaf = await watch.only_leaf()
        assert first.ticket == again.ticket
        assert first.ticket.state == pb.EXPORT_STATE_WITHDRAWN
        assert "p31-see" in leaf["policies"]

    province(work)


def test_of_calls_at_once_one_moves_and_each_has_its_leaf(province):
    async def work(cast):
        ticket = plant(cast, 3)
        people = [cast[name] for name in ("lian", "zhao", "song")]
        for person in people:
            await cast.token(person)
        watch = Watch(cast.world)
        told = await asyncio.gather(
            *(
                cast.ask(one, "RevokeExport", about(pb.RevokeExportRequest, ticket))
                for one in people
            ),
            return_exceptions=True,
        )
        reasons = sorted(getattr(one, "reason", "") for one in told)
        assert reasons[0] == ""
        assert set(reasons[1:]) <= {"REVISION_STALE", "TICKET_REVOKED"}
        assert len(await watch.leaves()) == len(people)
        assert cast.state(ticket) == "revoked"

    province(work)


def test_a_reason_is_needed_and_stays_out_of_the_log(province):
    async def work(cast):
        ticket = plant(cast, 3)
        empty = about(pb.RevokeExportRequest, ticket, reason=" ")
        assert (
            await refused(cast.ask(cast["lian"], "RevokeExport", empty))
        ).reason == "FIELD_INVALID"
        words = "because of what the guardians said"
        await cast.ask(
            cast["lian"], "RevokeExport", about(pb.RevokeExportRequest, ticket, reason=words)
        )
        assert words not in str(cast.world.leaves())

    province(work)


def test_the_circumstances_are_the_connections(province):
    async def work(cast):
        seen = []
        tickets = cast.tickets
        permits, ask = tickets._permits, tickets._permits.ask

        def spy(call, action, resources, registry, circumstances=None):
            seen.append((action, circumstances, calling(call, circumstances.now_us)))
            return ask(call, action, resources, registry, circumstances)

        permits.ask = spy
        try:
            ticket = plant(cast, 1)
            await cast.ask(
                cast["zhao"], "GetExport", pb.GetExportRequest(ticket_id=ticket.ticket_id)
            )
            await cast.approve(ticket, "zhao")
        finally:
            permits.ask = ask
        [(_, shown, again), (action, signing, _)] = seen
        assert shown == again
        assert not shown.confirmed  # the rpc asks for none, so none counts
        assert (action, signing.confirmed) == ("ApproveExport", True)
        assert signing.person == str(cast["zhao"].subject)
        assert signing.tunnel == cast.origin("140000").tunnel

    province(work)


def test_many_at_once_wait_for_no_connection_that_they_hold_themselves(province):
    """The pool has six connections; what is known of the register is old when all of them ask."""

    async def work(cast):
        ticket = plant(cast, 1)
        people = [cast[name] for name in ("lian", "zhao", "qian", "suny", "song")]
        for person in people:
            await cast.token(person)
        request = pb.GetExportRequest(ticket_id=ticket.ticket_id)
        for _ in range(5):
            cast.world.clock.turn(seconds=1)
            told = await asyncio.gather(
                *(cast.ask(one, "GetExport", request) for one in people * 6)
            )
            assert {one.ticket.ticket_id for one in told} == {ticket.ticket_id}

    province(work)
