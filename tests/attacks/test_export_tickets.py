"""Attacks on tickets (reference/exports.md section 8, 1 to 38 as far as they are about plans, approvals and who may what).

Each through the live disclosure door: the reason, one leaf, no secret in what is said, and the next good call works.
"""

import asyncio

import pytest

from gateway.exports.ticket import Act
from gateway.services.export_tickets import TAMPERED_ALERT
from gateway.v1 import export_service_pb2 as pb
from gateway.v1.types_pb2 import Date
from tests.coverage.rpcs import Watch, refused
from tests.exports.cast import Cast, about, digest, encrypting, new_id
from tests.exports.planted import plant
from tests.world import CITY, COUNTY, OTHER_CITY, PASSWORD, PROVINCE, SECOND_COUNTY, held

HOUR = 3600


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        cast = stands.run(Cast.open(stands.world))
        yield lambda work: stands.run(work(cast))


@pytest.fixture(autouse=True)
def quiet(capfd):
    """No password on any process's output, whatever was tried."""
    yield
    assert PASSWORD not in "".join(capfd.readouterr())


async def caught(cast, name, rpc, request, **found):
    """Try a call that must be refused: its reason, its one leaf; nothing moved, and the next good call works."""
    person = cast[name]
    await cast.token(person)
    before = cast.world.sql("SELECT ticket_id, version FROM gateway.ticket ORDER BY 1")
    watch = Watch(cast.world)
    error = await refused(cast.ask(person, rpc, request, **found))
    leaf = await watch.only_leaf()
    assert (leaf["decision"], leaf["reason"]) == ("deny", error.reason)
    assert leaf["account"] == person.account
    assert cast.world.sql("SELECT ticket_id, version FROM gateway.ticket ORDER BY 1") == before
    await cast.ask(cast["lian"], "ListExports", pb.ListExportsRequest(page_size=1))
    return error.reason, leaf


async def approve(cast, ticket, name, **changes):
    """Try to approve a ticket two minutes later."""
    cast.world.clock.turn(seconds=121)
    person = cast[name]
    return await caught(cast, name, "ApproveExport", cast.signed(ticket, person, **changes))


def test_001_a_ticket_that_does_not_exist(province):
    async def work(cast):
        for ticket_id, why in (("EX-99999999", "NOT_FOUND"), ("EX-1; --", "FIELD_INVALID")):
            request = pb.GetExportRequest(ticket_id=ticket_id)
            assert (await caught(cast, "wang", "GetExport", request))[0] == why

    province(work)


def test_003_one_approval_is_not_two(province):
    async def work(cast):
        ticket = plant(cast, 2)
        reason, leaf = await approve(cast, ticket, "zhao")
        assert reason == "APPROVAL_SAME_PERSON"
        assert "f22-no-self-approval" in leaf["policies"]
        assert cast.state(ticket) == "once_approved"

    province(work)


def test_004_the_same_person_under_two_accounts(province):
    async def work(cast):
        ticket = plant(cast, 2)
        reason, leaf = await approve(cast, ticket, "zhao.other")
        assert reason == "APPROVAL_SAME_PERSON"
        assert leaf["account"] == "zhao.other"
        assert "f22-no-self-approval" in leaf["policies"]
        assert (await cast.approve(ticket, "qian")).state == pb.EXPORT_STATE_APPROVED

    province(work)


@pytest.mark.parametrize("part", ["requester", "recipient"])
def test_005_006_who_asks_or_takes_approves_under_another_account(province, part):
    """Whoever is in the plan approves it, with an account that is an approver's besides."""

    async def work(cast):
        account = f"suny.{part}"
        cast.second_account("suny", account)
        sql = "UPDATE gateway.account SET roles = %s WHERE name = %s"
        cast.world.sql(sql, [part], account)
        if part == "requester":
            ticket = await cast.submit(await cast.draft(by=account), by=account)
        else:
            second = encrypting(cast.world, cast["suny"].subject)
            await cast.register(second)
            ticket = await cast.submitted(
                recipient_organisation_code=PROVINCE,
                recipient_account_name=account,
                connection_certificate_sha256=digest(cast["suny"]),
                encryption_certificate_sha256=digest(second),
                tunnel_name=cast.origin(PROVINCE).tunnel,
            )
        reason, leaf = await approve(cast, ticket, "suny")
        assert reason == "APPROVAL_SAME_PERSON"
        assert "f22-no-self-approval" in leaf["policies"]
        assert (await cast.approve(ticket, "zhao")).state == pb.EXPORT_STATE_ONCE_APPROVED

    province(work)


def test_007_an_approver_of_a_city(province):
    async def work(cast):
        ticket = plant(cast, 1)
        reason, leaf = await approve(cast, ticket, "hang")
        assert reason == "NOT_FOUND"
        assert leaf["policies"] == ["default-deny"]
        assert (await cast.approve(ticket, "zhao")).state == pb.EXPORT_STATE_ONCE_APPROVED

    province(work)


@pytest.mark.parametrize(
    ("sql", "field"),
    [
        ("UPDATE gateway.account SET state = %s WHERE name = 'qian'", 2),
        ("UPDATE gateway.account SET roles = %s WHERE name = 'qian'", ["auditor"]),
        ("UPDATE gateway.system SET state = %s WHERE name = 'qian'", 2),
    ],
    ids=["disabled", "role-lost", "suspended"],
)
def test_008_009_an_approver_who_is_none_any_more(province, sql, field):
    """What was signed while he was one approves nothing now: facts are of this moment, not of the signing."""

    async def work(cast):
        ticket = plant(cast, 3)
        good = await cast.judged(ticket, "BuildExport")
        assert (good.allowed, good.policies) == (True, ("P23-build",))
        cast.world.sql(sql, field)
        cast.world.clock.turn(seconds=0.3)
        found = await cast.judged(ticket, "BuildExport")
        assert not found.allowed
        assert "F20-four-eyes" in found.policies
        cast.world.sql(
            "UPDATE gateway.account SET state = 1, roles = '{approver}' WHERE name = 'qian'"
        )
        cast.world.sql("UPDATE gateway.system SET state = 1 WHERE name = 'qian'")
        cast.world.clock.turn(seconds=0.3)
        assert (await cast.judged(ticket, "BuildExport")).allowed

    province(work)


def test_010_a_signature_over_another_plan(province):
    async def work(cast):
        ticket, other = plant(cast, 1), plant(cast, 1, row_cap_count=999)
        signature = cast.signed(other, cast["zhao"]).signature
        assert (await approve(cast, ticket, "zhao", signature=signature))[0] == "APPROVAL_SIGNATURE"
        changed = {"plan_sha256": other.plan_sha256}
        assert (await approve(cast, ticket, "zhao", **changed))[0] == "PLAN_CHANGED"
        assert (await cast.approve(ticket, "zhao")).state == pb.EXPORT_STATE_ONCE_APPROVED

    province(work)


@pytest.mark.parametrize(
    "signature", [b"", b"\x30\x06\x02\x01\x00\x02\x01\x00", b"x" * 64, b"\x30" * 3000]
)
def test_010_no_signature_at_all(province, signature):
    async def work(cast):
        ticket = plant(cast, 1)
        assert (await approve(cast, ticket, "zhao", signature=signature))[0] == "APPROVAL_SIGNATURE"

    province(work)


def test_010_the_signature_of_somebody_else(province):
    async def work(cast):
        ticket = plant(cast, 1)
        theirs = cast.signed(ticket, cast["qian"]).signature
        assert (await approve(cast, ticket, "zhao", signature=theirs))[0] == "APPROVAL_SIGNATURE"

    province(work)


def test_012_an_approval_replayed_on_another_ticket(province):
    """The same plan under another number takes another signature."""

    async def work(cast):
        plan = cast.plan()
        tickets = []
        for _ in range(2):
            plan.request_id = new_id()
            made = (await cast.ask(cast["lian"], "DraftExport", plan)).ticket
            tickets.append(await cast.submit(made))
        first, second = tickets
        assert first.plan_sha256 == second.plan_sha256
        signature = cast.signed(first, cast["zhao"]).signature
        assert (await approve(cast, second, "zhao", signature=signature))[0] == "APPROVAL_SIGNATURE"

    province(work)


def test_013_two_approvals_at_once(province):
    async def work(cast):
        ticket = plant(cast, 1)
        await cast.approve(ticket, "zhao")
        reason, leaf = await caught(
            cast, "qian", "ApproveExport", cast.signed(ticket, cast["qian"])
        )
        assert reason == "APPROVAL_TOO_SOON"
        assert "f23-no-pair-clicking" in leaf["policies"]
        assert (await cast.approve(ticket, "qian")).state == pb.EXPORT_STATE_APPROVED

    province(work)


def test_014_two_approvers_race_for_one_slot(province):
    """However they interleave, one is first and the other no second within two minutes."""

    async def work(cast):
        for _ in range(5):
            ticket = plant(cast, 1)
            people = [cast[name] for name in ("zhao", "qian", "suny")]
            for person in people:
                await cast.token(person)
            watch = Watch(cast.world)
            told = await asyncio.gather(
                *(cast.ask(one, "ApproveExport", cast.signed(ticket, one)) for one in people),
                return_exceptions=True,
            )
            reasons = sorted(getattr(one, "reason", "") for one in told)
            assert reasons[0] == ""
            assert set(reasons[1:]) <= {"REVISION_STALE", "APPROVAL_TOO_SOON"}
            assert cast.state(ticket) == "once_approved"
            assert sorted(one.get("reason", "") for one in await watch.calls()) == reasons
            rows = "SELECT person FROM gateway.ticket_approval WHERE ticket_id = %s"
            [(first,)] = cast.world.sql(rows, ticket.ticket_id)
            second = next(one.account for one in people if one.subject.name != first)
            assert (await cast.approve(ticket, second)).state == pb.EXPORT_STATE_APPROVED

    province(work)


def test_016_approved_after_expiry_with_the_clock_set_back(province):
    """The log's newest time is the floor: what it has seen pass does not come again."""

    async def work(cast):
        ticket = plant(cast, 2)
        clock = cast.world.clock
        clock.turn(seconds=73 * HOUR)
        await cast.token(cast["qian"])
        clock.turn(seconds=-73 * HOUR)
        cast.tokens.clear()
        request = cast.signed(ticket, cast["qian"])
        person = cast["qian"]
        await cast.token(person)
        watch = Watch(cast.world)
        error = await refused(cast.ask(person, "ApproveExport", request))
        leaf = await watch.only_leaf()
        assert error.reason == leaf["reason"] == "TICKET_EXPIRED"
        clock.turn(seconds=73 * HOUR)
        assert (await cast.submitted()).state == pb.EXPORT_STATE_SUBMITTED

    province(work)


SECOND = (
    "INSERT INTO gateway.ticket_approval SELECT ticket_id, 2, organisation, 'suny', account,"
    " certificate_sha256, signature, approved_us FROM gateway.ticket_approval WHERE ticket_id = %s"
)
FORGED = [
    "UPDATE gateway.ticket SET state = 'approved', version = 4 WHERE ticket_id = %s",
    "UPDATE gateway.ticket SET needed = 9 WHERE ticket_id = %s",
    "UPDATE gateway.ticket SET version = 9 WHERE ticket_id = %s",
    SECOND,
    "UPDATE gateway.ticket_approval SET person = 'suny' WHERE ticket_id = %s",
]


@pytest.mark.parametrize(
    "statement", FORGED, ids=["state", "needed", "version", "approval", "person"]
)
def test_011_017_019_a_row_changed_by_hand(province, statement):
    """Whoever writes into the table moves nothing: the ticket's MAC stands in the log. One person stops it."""

    async def work(cast):
        ticket = plant(cast, 2)
        cast.world.sql(statement, ticket.ticket_id)
        reason, leaf = await approve(cast, ticket, "qian")
        assert reason == "TICKET_TAMPERED"
        assert leaf["detail"]["alert"] == TAMPERED_ALERT
        await cast.ask(cast["zhao"], "RevokeExport", about(pb.RevokeExportRequest, ticket))
        assert cast.state(ticket) == "revoked"

    province(work)


def test_011_a_plan_edited_in_its_row(province):
    async def work(cast):
        ticket = plant(cast, 2)
        cast.world.sql(
            "UPDATE gateway.ticket SET plan = o.plan, plan_sha256 = sha256(o.plan) FROM (SELECT convert_to("
            "replace(convert_from(plan, 'UTF8'), '\"row_cap\":1000', '\"row_cap\":1001'), 'UTF8') AS plan"
            " FROM gateway.ticket WHERE ticket_id = %s) AS o WHERE ticket_id = %s",
            *(ticket.ticket_id, ticket.ticket_id),
        )
        assert (await approve(cast, ticket, "qian"))[0] == "TICKET_TAMPERED"

    province(work)


def test_017_a_row_that_no_leaf_knows(province):
    async def work(cast):
        ticket = plant(cast, 3)
        cast.world.sql(
            'INSERT INTO gateway.ticket SELECT (jsonb_populate_record(t, \'{"ticket_id": "EX-00990001"}\')).*'
            " FROM gateway.ticket AS t WHERE ticket_id = %s",
            ticket.ticket_id,
        )
        request = pb.GetExportRequest(ticket_id="EX-00990001")
        assert (await caught(cast, "zhao", "GetExport", request))[0] == "TICKET_TAMPERED"

    province(work)


def test_018_an_old_row_put_back(province):
    """A ticket that was stopped does not come back with its row of yesterday."""

    async def work(cast):
        ticket = plant(cast, 3)
        cast.world.sql(
            "CREATE TEMP TABLE yesterday AS SELECT * FROM gateway.ticket WHERE ticket_id = %s",
            ticket.ticket_id,
        )
        await cast.ask(cast["suny"], "RevokeExport", about(pb.RevokeExportRequest, ticket))
        cast.world.sql(
            "UPDATE gateway.ticket AS t SET state = y.state, version = y.version, moved_us = y.moved_us"
            " FROM yesterday AS y WHERE t.ticket_id = y.ticket_id"
        )
        cast.world.sql("DROP TABLE yesterday")
        assert cast.state(ticket) == "approved"
        reason, leaf = await caught(
            cast, "zhao", "GetExport", pb.GetExportRequest(ticket_id=ticket.ticket_id)
        )
        assert reason == "TICKET_TAMPERED"
        assert leaf["detail"]["alert"] == TAMPERED_ALERT

    province(work)


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({"purpose": "marketing"}, {"EX-PURPOSE"}),  # 20, 21
        ({"purpose": ""}, {"EX-FORM"}),
        ({"purpose": "survey\n"}, {"EX-FORM"}),
        ({"legal_basis": "somebody-said-so"}, {"EX-BASIS"}),
        ({"division_codes": [SECOND_COUNTY, "140212"]}, {"EX-TERRITORY"}),  # 22
        ({"division_codes": [OTHER_CITY]}, {"EX-TERRITORY"}),
        ({"division_codes": ["999999"]}, {"EX-DIVISION"}),
        ({"division_codes": []}, {"EX-FORM"}),  # 26
        ({"division_codes": [""]}, {"EX-FORM"}),
        ({"division_codes": [COUNTY, COUNTY]}, {"EX-FORM"}),
        ({"division_codes": ["14%"]}, {"EX-FORM"}),
        ({"division_codes": ["../../../etc"]}, {"EX-FORM"}),  # 27
        ({"unit_codes": [""]}, {"EX-FORM"}),
        ({"unit_codes": ["1401059999"]}, {"EX-UNIT"}),
        ({"vaccine_codes": [""]}, {"EX-FORM"}),
        ({"vaccine_codes": ["0000"]}, {"EX-VACCINE"}),
        ({"columns": []}, {"EX-FORM"}),
        ({"columns": ["vaccinated_date", "name"]}, {"EX-COLUMN"}),
        ({"columns": ["na\u200bme"]}, {"EX-FORM"}),
        ({"dataset": 99}, {"EX-FORM"}),
        ({"format": 0}, {"EX-FORM"}),
        (
            {
                "born_from_date": Date(year=2025, month=1, day=2),
                "born_until_date": Date(year=2025, month=1, day=1),
            },
            {"EX-FORM"},
        ),
        ({"born_from_date": Date(year=2025, month=2, day=30)}, {"DATE"}),
        ({"row_cap_count": 0}, {"EX-FORM"}),
        ({"row_cap_count": 50_001}, {"EX-ROWS"}),  # 28
        (
            {"row_cap_count": 2**32 - 1, "child_cap_count": 2**32 - 1},
            {"EX-ROWS", "EX-CHILDREN"},
        ),  # 38
        ({"child_cap_count": 0}, {"EX-CHILDREN"}),
        ({"recipient_account_name": "nobody"}, {"EX-RECIPIENT"}),
        ({"recipient_account_name": "hang"}, {"EX-RECIPIENT"}),
        ({"connection_certificate_sha256": "ab" * 32}, {"EX-CERTIFICATE"}),
        ({"encryption_certificate_sha256": "x"}, {"EX-FORM"}),
        ({"tunnel_name": "listen/127.0.0.1"}, {"EX-TUNNEL"}),
        ({"destroy_by_date": Date(year=2099, month=1, day=1)}, {"EX-DESTROY"}),
    ],
)
def test_020_to_038_a_plan_that_asks_for_what_there_is_not(province, changes, rules):
    """Refused whole: nothing is left out, cut short or set right."""

    async def work(cast):
        await cast.token(cast["lian"])
        watch = Watch(cast.world)
        error = await refused(cast.ask(cast["lian"], "DraftExport", cast.plan(**changes)))
        leaf = await watch.only_leaf()
        assert error.reason == leaf["reason"] == "FIELD_INVALID"
        assert cast.rules(error) == rules
        assert (await cast.draft()).state == pb.EXPORT_STATE_DRAFT

    province(work)


def test_022_024_a_county_asks_for_its_neighbour_and_for_its_city(province):
    async def work(cast):
        for code in (SECOND_COUNTY, CITY, PROVINCE):
            request = cast.plan_of_county(division_codes=[code])
            await cast.token(cast["chen"])
            watch = Watch(cast.world)
            error = await refused(cast.ask(cast["chen"], "DraftExport", request))
            assert cast.rules(error) == {"EX-TERRITORY"}
            assert (await watch.only_leaf())["reason"] == "FIELD_INVALID"
        await cast.ask(cast["chen"], "DraftExport", cast.plan_of_county())

    province(work)


def test_023_a_recipient_in_a_sibling_county(province):
    """A city may ask for its counties; what is of one goes to no other."""

    async def work(cast):
        theirs = cast.plan_of_county(division_codes=[SECOND_COUNTY])
        reason, leaf = await caught(cast, "lian", "DraftExport", theirs)
        assert reason == "POLICY_DENIED"
        assert "f37-others-children" in leaf["policies"]

    province(work)


def test_028_more_rows_than_the_cap(province):
    async def work(cast):
        ticket = plant(cast, 0, row_cap_count=50)
        cast.world.sql("DELETE FROM gateway.export_count")
        request = about(pb.SubmitExportRequest, ticket, plan_sha256=ticket.plan_sha256)
        assert (await caught(cast, "lian", "SubmitExport", request))[0] == "COUNT_TOO_LARGE"

    province(work)


def test_033_the_count_tells_of_nobody_and_comes_seldom(province):
    """None and one are a hundred both, and the next count waits ten minutes, whatever ticket it is of."""

    async def work(cast):
        first, second = plant(cast, 0), plant(cast, 0)
        told = await cast.submit(first)
        assert (told.counted_row_count, told.counted_child_count) == (100, 100)
        request = about(pb.SubmitExportRequest, second, plan_sha256=second.plan_sha256)
        assert (await caught(cast, "lian", "SubmitExport", request))[0] == "COUNT_TOO_SOON"
        cast.world.clock.turn(seconds=600)
        await cast.ask(
            cast["lian"],
            "SubmitExport",
            about(pb.SubmitExportRequest, second, plan_sha256=second.plan_sha256),
        )

    province(work)


def test_033_nobody_has_a_plan_counted_that_he_may_not_submit(province):
    async def work(cast):
        ticket = plant(cast, 0)
        cast.world.sql("DELETE FROM gateway.export_count")
        request = about(pb.SubmitExportRequest, ticket, plan_sha256=ticket.plan_sha256)
        assert (await caught(cast, "chen", "SubmitExport", request))[0] == "NOT_FOUND"
        assert cast.world.sql("SELECT count(*) FROM gateway.export_count") == [(0,)]
        other = about(pb.SubmitExportRequest, ticket, plan_sha256="0" * 64)
        assert (await caught(cast, "lian", "SubmitExport", other))[0] == "PLAN_CHANGED"

    province(work)


def test_one_person_stops_and_a_stopped_ticket_stays_stopped(province):
    async def work(cast):
        for name in ("lian", "suny", "song"):
            ticket = plant(cast, 3)
            await cast.ask(cast[name], "RevokeExport", about(pb.RevokeExportRequest, ticket))
            assert cast.state(ticket) == "revoked"
            assert (await approve(cast, ticket, "suny"))[0] == "TICKET_REVOKED"

    province(work)


def test_who_is_not_in_a_ticket_learns_and_moves_nothing(province):
    """A requester or recipient of another organisation, a city's approver: of what there is, and what there is not, alike."""

    async def work(cast):
        ticket = plant(cast, 3)
        none = pb.ExportTicket(ticket_id="EX-99999998", plan_sha256=ticket.plan_sha256)
        for name, rpc, more in (
            ("chen", "RevokeExport", {}),
            ("hang", "RevokeExport", {}),
            ("hang", "DenyExport", {}),
            ("chen", "WithdrawExport", {}),
            ("chen", "SubmitExport", {"plan_sha256": "0" * 64}),
            ("hang", "ApproveExport", {"plan_sha256": "0" * 64, "signature": b"none"}),
            ("yang", "ReceiveExport", {"payload_sha256": "0" * 64, "signature": b"none"}),
            ("yang", "ReleaseExport", {}),
            ("yang", "AcknowledgeExport", {"manifest_sha256": "0" * 64}),
            ("yang", "AttestDestruction", {"signature": b"none"}),
            *((name, "GetExport", None) for name in ("chen", "yang", "hang")),
        ):
            kind = getattr(pb, f"{rpc}Request")
            answers = []
            for one in (ticket, none):
                bare = more is None
                request = kind(ticket_id=one.ticket_id) if bare else about(kind, one, **more)
                person = cast[name]
                await cast.token(person)
                watch = Watch(cast.world)
                error = await refused(cast.ask(person, rpc, request))
                leaf = await watch.only_leaf()
                assert leaf["reason"] == error.reason == "NOT_FOUND"
                # Who looks at the log sees which of them there is.
                assert ("plan_sha256" in leaf["detail"]) is (one is ticket)
                answers.append((error.code, error.message))
            assert answers[0] == answers[1]
        for name in ("chen", "yang", "hang"):
            listed = await cast.ask(cast[name], "ListExports", pb.ListExportsRequest())
            assert ticket.ticket_id not in {one.ticket_id for one in listed.tickets}

    province(work)


def test_a_held_ticket_is_let_go_by_two_others_alone(province):
    async def work(cast):
        ticket = plant(cast, 2, held=True)
        assert (await approve(cast, ticket, "qian"))[0] == "TICKET_HELD"
        unhold = pb.UnholdExportRequest
        await cast.ask(cast["zhao"], "UnholdExport", about(unhold, ticket))
        again = about(unhold, ticket)
        reason, leaf = await caught(cast, "zhao.other", "UnholdExport", again)
        assert reason == "APPROVAL_SAME_PERSON"
        assert "f47-unhold-four-eyes" in leaf["policies"]
        moved = await cast.ask(cast["qian"], "UnholdExport", about(unhold, ticket))
        assert not moved.ticket.held
        assert (await cast.approve(ticket, "qian")).state == pb.EXPORT_STATE_APPROVED

    province(work)


def test_the_gateway_itself_builds_nothing_that_one_person_approved(province):
    async def work(cast):
        mover, ticket = cast.mover(), await cast.value(plant(cast, 2))
        watch = Watch(cast.world)
        refusal = await cast.refusal(mover.move(ticket, Act.BUILD, cast.base()))
        [leaf] = await watch.leaves()
        assert refusal.reason.value == leaf["reason"] == "TICKET_NOT_APPROVED"
        assert leaf["kind"] == "export.build.begin"

    province(work)
