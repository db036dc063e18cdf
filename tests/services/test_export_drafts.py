"""How a ticket begins: once per request id, counted seldom, and with three persons where it is unusual."""

from datetime import timedelta

import pytest

from gateway.clock import civil_day
from gateway.exports import parquet
from gateway.v1 import export_service_pb2 as pb
from gateway.v1.types_pb2 import Date
from tests.coverage.rpcs import Watch, refused
from tests.exports.cast import Cast, about
from tests.exports.fetching import destroyed
from tests.exports.planted import plant, retold
from tests.world import SECOND_COUNTY, held

DAY = 86_400


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster, doors=("identity", "disclosure")) as stands:
        cast = stands.run(Cast.open(stands.world))
        yield lambda work: stands.run(work(cast))


def test_a_draft_sent_again_is_one_ticket_and_under_another_plan_refused(province):
    async def work(cast):
        request = cast.plan()
        first = await cast.ask(cast["lian"], "DraftExport", request)
        again = await cast.ask(cast["lian"], "DraftExport", request)
        assert again.ticket.ticket_id == first.ticket.ticket_id
        request.row_cap_count = 999
        error = await refused(cast.ask(cast["lian"], "DraftExport", request))
        assert error.reason == "REQUEST_ID_REUSED"

    province(work)


def test_a_submission_sent_again_counts_once(province):
    async def work(cast):
        ticket = plant(cast, 0)
        cast.world.sql("DELETE FROM gateway.export_count")
        request = about(pb.SubmitExportRequest, ticket, plan_sha256=ticket.plan_sha256)
        first = await cast.ask(cast["lian"], "SubmitExport", request)
        watch = Watch(cast.world)
        again = await cast.ask(cast["lian"], "SubmitExport", request)
        leaf = await watch.only_leaf()
        assert again.ticket == first.ticket
        assert "to_state" not in leaf["detail"]
        assert first.ticket.state == pb.EXPORT_STATE_SUBMITTED

    province(work)


def test_the_leaf_of_a_submission_counts_in_hundreds(province):
    async def work(cast):
        watch = Watch(cast.world)
        await cast.submitted()
        leaf = (await watch.leaves())[-1]
        assert (leaf["counts"]["rows"], leaf["counts"]["children"]) == (100, 100)
        assert leaf["counts"]["confirmations"] >= 2

    province(work)


def test_a_format_that_the_gateway_cannot_write_is_not_taken(province, monkeypatch):
    """Told to the requester, not to two approvers' signatures later."""

    async def work(cast):
        asked = cast.plan(format=pb.EXPORT_FORMAT_PARQUET)
        with monkeypatch.context() as patch:
            patch.setattr(parquet, "available", lambda: False)
            error = await refused(cast.ask(cast["lian"], "DraftExport", asked))
        assert error.reason == "FIELD_INVALID"
        assert (await cast.draft(format=pb.EXPORT_FORMAT_PARQUET)).ticket_id

    province(work)


def test_what_is_new_of_a_requester_takes_three_persons_or_is_refused(province):
    async def work(cast):
        plant(cast, 8)
        usual = await cast.submitted()
        assert usual.needed_count == 2
        other = await cast.submitted(purpose="programme-review")
        assert other.needed_count == 3
        for name in ("zhao", "qian"):
            other = await cast.approve(other, name)
            assert other.state == pb.EXPORT_STATE_ONCE_APPROVED
        assert (await cast.approve(other, "suny")).state == pb.EXPORT_STATE_APPROVED
        cast.world.clock.turn(seconds=DAY / 2)
        strange = await cast.draft(purpose="programme-review", division_codes=[SECOND_COUNTY])
        shown = await cast.submit(strange)
        assert shown.needed_count == 3
        cast.world.sql("UPDATE gateway.ticket SET counted_rows = 10 WHERE releases > 0")
        for (number,) in cast.world.sql("SELECT ticket_id FROM gateway.ticket WHERE releases > 0"):
            retold(cast, number)
        last = await cast.draft(purpose="outbreak", division_codes=[SECOND_COUNTY])
        watch = Watch(cast.world)
        error = await refused(cast.submit(last))
        assert error.reason == "TICKET_UNUSUAL"
        assert [leaf.get("reason") for leaf in await watch.leaves()] == ["TICKET_UNUSUAL"]

    province(work)


def test_a_first_request_takes_three_persons(province):
    """Whoever had nothing released yet is judged as one who asks for something new."""

    async def work(cast):
        assert (await cast.submitted_of_county()).needed_count == 3

    province(work)


def test_a_person_has_so_many_drafts_and_no_more(province):
    async def work(cast):
        most = cast.tickets.rules.bounds.drafts
        cast.world.sql("DELETE FROM gateway.ticket WHERE state = 'draft'")
        drafts = [plant(cast, 0) for _ in range(most)]
        await cast.token(cast["lian"])
        watch = Watch(cast.world)
        error = await refused(cast.ask(cast["lian"], "DraftExport", cast.plan()))
        leaf = await watch.only_leaf()
        assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "DRAFTS_TOO_MANY")
        assert (leaf["decision"], leaf["reason"]) == ("deny", "DRAFTS_TOO_MANY")
        # Another person's are another's.
        await cast.ask(cast["chen"], "DraftExport", cast.plan_of_county())
        withdrawn = about(pb.WithdrawExportRequest, drafts[0])
        await cast.ask(cast["lian"], "WithdrawExport", withdrawn)
        assert (await cast.ask(cast["lian"], "DraftExport", cast.plan())).ticket.ticket_id
        # So that they stand in no other test's way.
        cast.world.sql("DELETE FROM gateway.ticket WHERE state = 'draft'")

    province(work)


def test_nobody_asks_for_what_goes_to_himself(province):
    """Under another account, too: who asks and who takes are two persons."""

    async def work(cast):
        cast.second_account("wang", "wang.asks")
        cast.world.sql("UPDATE gateway.account SET roles = '{requester}' WHERE name = 'wang.asks'")
        person = cast["wang.asks"]
        await cast.token(person)
        watch = Watch(cast.world)
        error = await refused(cast.ask(person, "DraftExport", cast.plan()))
        assert (error.reason, cast.rules(error)) == ("FIELD_INVALID", {"EX-APART"})
        assert (await watch.only_leaf())["reason"] == "FIELD_INVALID"
        assert (await cast.draft()).ticket_id

    province(work)


def test_who_owes_a_destruction_gets_nothing_new(province):
    async def work(cast):
        day = civil_day(cast.world.clock.now_us()) - timedelta(days=1)
        owed = Date(year=day.year, month=day.month, day=day.day)
        late, waiting = plant(cast, 8, destroy_by_date=owed), plant(cast, 1)
        error = await refused(cast.draft())
        assert error.reason == "RECIPIENT_OVERDUE"
        cast.world.clock.turn(seconds=121)
        request = cast.signed(waiting, cast["zhao"])
        watch = Watch(cast.world)
        error = await refused(cast.ask(cast["zhao"], "ApproveExport", request))
        assert error.reason == "RECIPIENT_OVERDUE"
        assert "f41-overdue" in (await watch.leaves())[-1]["policies"]
        await cast.ask(cast["wang"], "AttestDestruction", destroyed(cast, late))
        assert (await cast.draft()).ticket_id

    province(work)
