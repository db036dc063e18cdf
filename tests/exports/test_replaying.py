"""Decisions on tickets in a real log, asked again of a bundle that dropped one condition of exports."""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gateway.exports.facts import Around
from gateway.exports.replaying import Past
from gateway.policy import bundle, cases, history
from gateway.policy.engine import Engine
from gateway.store import roles
from gateway.store.database import Database
from gateway.v1 import export_service_pb2 as pb
from tests.coverage.rpcs import refused
from tests.exports.cast import Cast, about, new_id
from tests.exports.fetching import DOOR, WIDE, a_release, chore
from tests.exports.planted import plant
from tests.policies import SHIPPED
from tests.policy.test_activation import trust
from tests.policy.test_replay import without
from tests.world import CITY, held


@pytest.fixture
def province(cluster):
    with held(cluster) as stands:
        cast = stands.run(Cast.open(stands.world))
        yield lambda work: stands.run(work(cast))


@asynccontextmanager
async def opened(world, role):
    conninfo = roles.conninfo(world.home, world.settings, role)
    database = await Database.open(conninfo, application="replaying", size=1)
    try:
        yield database
    finally:
        await database.close()


async def around(cast, database) -> Around:
    async with database.transaction() as tx:
        return await cast.tickets.around(tx)


async def simulated(cast, files):
    weak = cast.world.settings.origin.allow_weak_origin
    async with (
        opened(cast.world, "administration") as log,
        opened(cast.world, "disclosure") as tickets,
    ):
        past = Past(tickets, await around(cast, tickets), weak=weak)
        return await history.simulate(
            log,
            trust(cast.world),
            Engine(bundle.of_files(files)),
            cases.of_files(SHIPPED),
            past.request,
            weak=weak,
            tell=lambda _done, _size: None,
        )


def decisions(cast) -> int:
    """Leaves about a ticket that name who decided."""
    return sum(
        1
        for leaf in cast.world.leaves()
        if leaf.get("policies") and "facts_sha256" in leaf.get("detail", {})
    )


def test_the_ticket_that_was_refused_is_newly_allowed(province):
    """Without F33 another tunnel would do: the very ticket, refused on the log, is named."""

    async def work(cast):
        elsewhere = replace(cast.origin(CITY), tunnel="listen/127.0.0.99")
        refusal = await refused(
            cast.ask(cast["wang"], "ReleaseExport", a_release(cast), origin=elsewhere)
        )
        assert refusal.reason == "RECIPIENT_MISMATCH"
        ticket = [one for one in cast.world.leaves() if one["kind"] == "export.release"][-1]
        number = ticket["detail"]["ticket"]
        assert ticket["policies"] == ["f33-recipient-bound"]
        found = await simulated(cast, without("F33-recipient-bound"))
        line = f"ReleaseExport by recipient of 140100 on ExportTicket {number}: P26-release (1)"
        assert line in found.change.newly_allowed
        same = await simulated(cast, SHIPPED)
        assert (same.change.newly_allowed, same.change.newly_denied) == ((), ())

    province(work)


def test_every_step_of_a_ticket_is_found_again(province):
    """From the submission on; also what was refused, what the gateway did, what is repeated."""

    async def work(cast):
        ticket = await cast.submitted()
        await refused(
            cast.ask(
                cast["lian"],
                "SubmitExport",
                pb.SubmitExportRequest(
                    request_id=new_id(), ticket_id=ticket.ticket_id, plan_sha256=ticket.plan_sha256
                ),
            )
        )
        await cast.approve(ticket, "zhao")
        await refused(cast.approve(ticket, "zhao.other"))
        await cast.approve(ticket, "qian")
        await chore(cast, "Builder").look(DOOR)
        await cast.ask(cast["song"], "HoldExport", about(pb.HoldExportRequest, ticket))
        again = about(pb.RevokeExportRequest, ticket)
        for _ in range(2):
            await cast.ask(cast["song"], "RevokeExport", again)
        standing = plant(cast, 5, **WIDE)
        cast.world.sql("UPDATE gateway.account SET state = 2 WHERE name = 'zhao'")
        cast.world.clock.turn(seconds=1)
        await cast.tickets._current.renew()
        await chore(cast, "Keeper").look(DOOR)
        assert cast.state(standing) == "revoked"
        cast.world.sql("UPDATE gateway.account SET state = 1 WHERE name = 'zhao'")
        found = await simulated(cast, SHIPPED)
        asked = found.change.replayed
        assert found.not_replayed.get("not-reproduced", 0) == 0, found.not_replayed
        assert asked >= decisions(cast)

    province(work)


def test_what_cannot_be_found_again_is_counted(province):
    """A refused draft has no ticket; whose role is another today is not what was asked."""

    async def work(cast):
        await cast.draft()
        before = await simulated(cast, SHIPPED)
        await refused(cast.ask(cast["zhao"], "DraftExport", cast.plan()))
        ticket = plant(cast, 3, **WIDE)
        await cast.ask(cast["song"], "GetExport", pb.GetExportRequest(ticket_id=ticket.ticket_id))
        cast.world.sql("UPDATE gateway.account SET roles = '{auditor}' WHERE name = 'lian'")
        after = await simulated(cast, SHIPPED)
        assert sum(after.not_replayed.values()) > sum(before.not_replayed.values())
        assert after.not_replayed["not-reproduced"] >= 1

    province(work)
