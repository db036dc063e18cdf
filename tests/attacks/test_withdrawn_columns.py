"""A column that the contract withdrew: its tickets go no further, and everything that stops them still does."""

import pytest

from gateway.exports import payloads
from gateway.exports.keeping import WITHDRAWN_CAUSE
from gateway.v1 import export_service_pb2 as pb
from tests.coverage.rpcs import Watch, refused
from tests.exports.cast import Cast, about
from tests.exports.fetching import DOOR, WIDE, chore, destroyed, download, received_for
from tests.exports.planted import plant
from tests.world import held

COLUMNS = ["child_token", "lot.vaccine_code", "lot.forgotten"]


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        cast = stands.run(Cast.open(stands.world))
        yield lambda work: stands.run(work(cast))


def withdrawn(cast, steps, **given):
    return plant(cast, steps, columns=COLUMNS, **WIDE, **given)


async def onward(cast, ticket, rpc):
    """An act that would bring the ticket nearer to its release."""
    kind = getattr(pb, f"{rpc}Request")
    if rpc == "SubmitExport":
        asked = about(kind, ticket, plan_sha256=ticket.plan_sha256)
        return await cast.ask(cast["lian"], rpc, asked)
    if rpc == "ApproveExport":
        return await cast.ask(cast["suny"], rpc, cast.signed(ticket, cast["suny"]))
    if rpc == "UnholdExport":
        return await cast.ask(cast["suny"], rpc, about(kind, ticket))
    if rpc == "ReceiveExport":
        return await received_for(cast, ticket)
    return await cast.ask(cast["wang"], rpc, about(kind, ticket))


@pytest.mark.parametrize(
    ("steps", "rpc"),
    [
        (0, "SubmitExport"),
        (1, "ApproveExport"),
        (5, "UnholdExport"),
        (6, "ReceiveExport"),
        (7, "ReleaseExport"),
    ],
)
def test_a_ticket_with_a_withdrawn_column_goes_no_further(province, steps, rpc):
    """One leaf with its reason and the policies; the plain ticket beside it goes on."""

    async def work(cast):
        frozen = rpc == "UnholdExport"
        ticket = withdrawn(cast, steps, held=frozen)
        plain = plant(cast, steps, held=frozen, **WIDE)
        for name in ("lian", "suny", "wang", "song"):
            await cast.token(cast[name])
        state = cast.state(ticket)
        watch = Watch(cast.world)
        error = await refused(onward(cast, ticket, rpc))
        leaf = await watch.only_leaf()
        assert (error.reason, leaf["reason"]) == ("COLUMN_WITHDRAWN", "COLUMN_WITHDRAWN")
        assert leaf["policies"]
        assert "forgotten" not in str(leaf)
        assert cast.state(ticket) == state
        cast.world.clock.turn(seconds=121)
        if rpc == "SubmitExport":
            cast.world.sql("DELETE FROM gateway.export_count")
        if rpc == "ReleaseExport":
            plain = plant(cast, 1, **WIDE)
            await onward(cast, plain, "ApproveExport")
        else:
            await onward(cast, plain, rpc)

    province(work)


def test_nothing_of_it_is_downloaded(province):
    async def work(cast):
        ticket = withdrawn(cast, 5)
        payloads.path(cast.world.home.exports, ticket.ticket_id).write_bytes(b"noise")
        fetched = await download(cast, ticket)
        assert fetched.refused.reason == "COLUMN_WITHDRAWN"
        assert (fetched.payload, cast.state(ticket)) == (b"", "sealed")

    province(work)


def test_it_is_seen_and_stopped_and_what_is_out_is_called_back_and_accounted_for(province):
    async def work(cast):
        standing, out, plain = withdrawn(cast, 5), withdrawn(cast, 8), withdrawn(cast, 1)
        seen = await cast.ask(
            cast["song"], "GetExport", pb.GetExportRequest(ticket_id=standing.ticket_id)
        )
        assert seen.ticket.ticket_id == standing.ticket_id
        listed = await cast.ask(cast["song"], "ListExports", pb.ListExportsRequest())
        assert standing.ticket_id in {one.ticket_id for one in listed.tickets}
        for person, rpc, ticket, state in (
            ("song", "HoldExport", standing, "sealed"),
            ("song", "RevokeExport", standing, "revoked"),
            ("lian", "WithdrawExport", plain, "withdrawn"),
            ("song", "RecallExport", out, "recalled"),
        ):
            kind = getattr(pb, f"{rpc}Request")
            await cast.ask(cast[person], rpc, about(kind, ticket))
            assert cast.state(ticket) == state, rpc
        await cast.ask(cast["wang"], "AttestDestruction", destroyed(cast, out))
        assert cast.state(out) == "destroyed"

    province(work)


def test_the_gateway_stops_it_by_itself_and_looks_after_the_others(province):
    async def work(cast):
        approved, sealed = withdrawn(cast, 3), withdrawn(cast, 5)
        plain = plant(cast, 5, **WIDE)
        await cast.tickets._current.renew()
        watch = Watch(cast.world)
        await chore(cast, "Builder").look(DOOR)
        await chore(cast, "Keeper").look(DOOR)
        stopped = [one for one in await watch.leaves() if one["kind"] == "export.stop"]
        mine = {approved.ticket_id, sealed.ticket_id}
        told = [one for one in stopped if one["detail"]["ticket"] in mine]
        assert [one["detail"]["cause"] for one in told] == [WITHDRAWN_CAUSE] * 2
        assert all(one["policies"] and one["bundle"] for one in told)
        assert [cast.state(one) for one in (approved, sealed)] == ["revoked"] * 2
        assert cast.state(plain) == "sealed"

    province(work)
