"""Attacks on exports by who owns the database, or another door's role: rows and leaves that say what nobody signed.

Each leaves one leaf with its reason, opens nothing, and the next good export goes its way; whatever was spoiled can be stopped.
"""

import asyncio
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from gateway.audit.event import Event
from gateway.clock import SYSTEM
from gateway.exports import duties, ticket_rows
from gateway.exports.marks import Marks
from gateway.exports.moving import TAMPERED_ALERT
from gateway.exports.seal import TicketSeal
from gateway.exports.ticket import OUT
from gateway.pki import issue
from gateway.store import roles
from gateway.v1 import export_service_pb2 as pb
from tests.coverage.rpcs import Watch, refused
from tests.exports.cast import Cast, about, digest, encrypting
from tests.exports.fetching import (
    DOOR,
    WIDE,
    a_release,
    chore,
    destroyed,
    opened,
    received,
    release,
    uploaded,
)
from tests.exports.planted import plant
from tests.people import newcomer
from tests.world import CITY, OTHER_CITY, PASSWORD, PROVINCE, held

ROLES = ("owner", "identity", "intake", "administration", "front")
APPEND = "SELECT size FROM gateway.audit_append(%s, (SELECT size FROM gateway.audit_head))"


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        cast = stands.run(Cast.open(stands.world))
        stands.run(uploaded(cast))
        yield lambda work: stands.run(work(cast))


@pytest.fixture(autouse=True)
def quiet(capfd):
    """No password on any process's output, whatever was tried."""
    yield
    assert PASSWORD not in "".join(capfd.readouterr())


def thief(name="province"):
    """An authority that nobody trusts, under the name of ours."""
    now_us = SYSTEM.now_us()
    return issue.make_authority("client-authority", name, issue.make_root(name, now_us), now_us)


async def forged(cast, name):
    """Somebody's certificate by the thief's authority, written into the register by the database's owner."""
    owner = roles.conninfo(cast.world.home, cast.world.settings, "owner")
    person = await newcomer(owner, thief(), cast[name].subject)
    cast.world.clock.turn(seconds=0.3)
    return person


@contextmanager
def signing(cast, person):
    """Let this one sign for whom it names while tickets are planted."""
    key = (person.organisation, person.subject.name)
    kept, cast.world.people[key] = cast.world.people[key], person
    yield
    cast.world.people[key] = kept


async def caught(cast, person, rpc, request):
    """Try a call that must be refused: its reason, and its one leaf."""
    person = cast[person] if isinstance(person, str) else person
    await cast.token(person)
    watch = Watch(cast.world)
    error = await refused(cast.ask(person, rpc, request))
    leaf = await watch.only_leaf()
    assert (leaf["decision"], leaf["reason"]) == ("deny", error.reason)
    return error.reason, leaf


async def tampered(cast, person, rpc, request):
    reason, leaf = await caught(cast, person, rpc, request)
    assert reason == "TICKET_TAMPERED"
    return leaf


async def stopped(cast, ticket, rpc="RevokeExport", state="revoked"):
    """One person ends it all the same; its leaf counts, whatever row and log said before."""
    request = about(getattr(pb, f"{rpc}Request"), ticket)
    await cast.token(cast["song"])
    watch = Watch(cast.world)
    answer = await cast.ask(cast["song"], rpc, request)
    leaf = await watch.only_leaf()
    assert (leaf["decision"], leaf["detail"]["to_state"]) == ("allow", state)
    assert leaf["detail"].get("alert") == TAMPERED_ALERT
    assert answer.ticket.state == pb.ExportState.Value(f"EXPORT_STATE_{state.upper()}")
    sql = "SELECT 1 FROM gateway.export_header WHERE ticket_id = %s"
    assert cast.world.sql(sql, ticket.ticket_id) == []
    # Asked again, it is what the log says now, and goes nowhere.
    seen = await cast.ask(
        cast["song"], "GetExport", pb.GetExportRequest(ticket_id=ticket.ticket_id)
    )
    assert seen.ticket.state == answer.ticket.state


def debits(cast, ticket):
    sql = "SELECT count(*) FROM gateway.export_debit WHERE ticket_id = %s"
    return cast.world.sql(sql, ticket.ticket_id)[0][0]


async def good(cast):
    """The next good export goes all its way."""
    ticket, fetched = await received(cast)
    assert opened(cast, ticket, fetched, (await release(cast, ticket)).header)[0]


# A certificate of one's own in the register.


def test_a_certificate_that_no_authority_of_ours_issued_approves_nothing(province):
    """Not even over a connection that the front had let in by mistake."""

    async def work(cast):
        false = await forged(cast, "qian")
        ticket = plant(cast, 2)
        cast.tokens.pop("qian", None)
        cast.world.clock.turn(seconds=121)
        request = cast.signed(ticket, false)
        reason, _ = await caught(cast, false, "ApproveExport", request)
        assert reason == "APPROVAL_SIGNATURE"
        cast.tokens.pop("qian", None)
        assert (await cast.approve(ticket, "qian")).state == pb.EXPORT_STATE_APPROVED

    province(work)


def test_approvals_by_forged_certificates_release_nothing(province):
    """As who has the ticket key, too, would write them: row, certificate, signature, leaf and MAC agree."""

    async def work(cast):
        false = await forged(cast, "qian")
        with signing(cast, false):
            release_it = a_release(cast)
            fetching, approved = plant(cast, 5, **WIDE), plant(cast, 3, **WIDE)
        ticket = pb.ExportTicket(ticket_id=release_it.ticket_id)
        leaf = await tampered(cast, "wang", "ReleaseExport", release_it)
        assert leaf["detail"]["alert"] == TAMPERED_ALERT
        assert "f20-four-eyes" in leaf["policies"]
        assert debits(cast, ticket) == 0
        # Who looks at it is told whose approvals these are not.
        request = pb.GetExportRequest(ticket_id=ticket.ticket_id)
        seen = await cast.ask(cast["zhao"], "GetExport", request)
        standings = [one.standing for one in seen.ticket.approvals]
        assert standings == [pb.APPROVAL_STANDING_GENUINE, pb.APPROVAL_STANDING_FALSE]
        # The gateway itself builds nothing of it, and ends what waits.
        watch = Watch(cast.world)
        await chore(cast, "Builder").look(DOOR)
        [leaf] = [
            one for one in await watch.leaves() if one["detail"]["ticket"] == approved.ticket_id
        ]
        assert (leaf["kind"], cast.state(approved)) == ("export.stop", "revoked")
        await cast.ask(cast["song"], "RevokeExport", about(pb.RevokeExportRequest, fetching))
        assert cast.state(fetching) == "revoked"
        await good(cast)

    province(work)


def test_a_genuine_certificate_of_somebody_else_is_no_approvers(province):
    """The register's row says qian; the certificate, ours, says suny."""

    async def work(cast):
        suny = cast["suny"]
        rename = "UPDATE gateway.certificate SET subject_name = %s WHERE serial = %s"
        with signing(cast, suny):
            ticket = plant(cast, 2)
        cast.world.sql(rename, "qian", suny.serial)
        try:
            request = cast.signed(ticket, suny)
            cast.world.clock.turn(seconds=121)
            cast.tokens.pop("suny", None)
            assert (await caught(cast, suny, "ApproveExport", request))[0] == "APPROVAL_SIGNATURE"
        finally:
            cast.world.sql(rename, "suny", suny.serial)
        assert (await cast.approve(ticket, "suny")).state == pb.EXPORT_STATE_APPROVED

    province(work)


def test_a_file_is_not_encrypted_to_a_certificate_of_nobodys(province):
    """The recipient's encryption certificate, written into the register beside the real one."""

    async def work(cast):
        real = cast.world.authority
        cast.world.authority = thief()
        try:
            false = encrypting(cast.world, cast["wang"].subject)
        finally:
            cast.world.authority = real
        await cast.register(false)
        request = cast.plan(encryption_certificate_sha256=digest(false))
        reason, _ = await caught(cast, "lian", "DraftExport", request)
        assert reason == "FIELD_INVALID"
        assert (await cast.draft()).state == pb.EXPORT_STATE_DRAFT
        sql = "UPDATE gateway.certificate SET state = 2, revoked_us = 9 WHERE serial = %s"
        cast.world.sql(sql, false.serial)

    province(work)


# Leaves that somebody else writes.


@pytest.mark.parametrize("role", ROLES)
def test_nobody_else_tells_the_log_of_exports(province, role):
    async def work(cast):
        ticket = plant(cast, 3)
        detail = {"ticket": ticket.ticket_id, "ticket_mac": "00" * 32, "ticket_version": 99}
        leaf = Event(kind="export.approve", detail=detail).to_leaf(cast.world.clock.now_us())
        before = cast.world.size()
        conninfo = roles.conninfo(cast.world.home, cast.world.settings, role)
        with (
            closing(psycopg.connect(conninfo, autocommit=True)) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="only the disclosure door"),
        ):
            connection.execute(APPEND, [[leaf]])
        assert cast.world.size() == before
        await cast.ask(cast["song"], "RevokeExport", about(pb.RevokeExportRequest, ticket))
        assert cast.state(ticket) == "revoked"

    province(work)


@contextmanager
def without_the_guard(cast):
    """As the owner of the tables, who may take triggers away."""
    cast.world.sql("ALTER TABLE gateway.audit_entry DISABLE TRIGGER audit_entry_export")
    yield
    cast.world.sql("ALTER TABLE gateway.audit_entry ENABLE TRIGGER audit_entry_export")


def append(cast, leaf):
    with without_the_guard(cast):
        cast.world.sql(APPEND, [leaf])


def newest_leaf(cast, ticket):
    sql = (
        "SELECT leaf FROM gateway.audit_entry WHERE kind LIKE 'export.%%' AND decision = 'allow'"
        " AND gateway.moved_ticket(leaf) = %s ORDER BY idx DESC LIMIT 1"
    )
    return bytes(cast.world.sql(sql, ticket.ticket_id)[0][0])


def test_a_stopped_ticket_is_not_raised_by_its_old_leaf(province):
    """Row and leaf of yesterday, MAC and all, put back and appended again by the database's owner."""

    async def work(cast):
        ticket = plant(cast, 3)
        leaf = newest_leaf(cast, ticket)
        await cast.ask(cast["suny"], "RevokeExport", about(pb.RevokeExportRequest, ticket))
        cast.world.sql(
            "UPDATE gateway.ticket SET state = 'approved', version = version - 1, moved_us = %s"
            " WHERE ticket_id = %s",
            *((await cast.value(ticket)).moved_us, ticket.ticket_id),
        )
        append(cast, leaf)
        request = pb.GetExportRequest(ticket_id=ticket.ticket_id)
        await tampered(cast, "zhao", "GetExport", request)
        await chore(cast, "Builder").look(DOOR)
        assert cast.state(ticket) == "approved"
        await stopped(cast, ticket)
        await good(cast)

    province(work)


@contextmanager
def beside(cast, ticket, column, value):
    """Write another word beside the ticket's newest leaf, whose bytes the tree covers."""
    where = f"SET {column} = %s WHERE leaf = %s"
    leaf = newest_leaf(cast, ticket)
    sql = f"SELECT {column} FROM gateway.audit_entry WHERE leaf = %s"
    [(kept,)] = cast.world.sql(sql, leaf)
    off = "ALTER TABLE gateway.audit_entry {} TRIGGER audit_entry_append_only"
    cast.world.sql(off.format("DISABLE"))
    try:
        cast.world.sql(f"UPDATE gateway.audit_entry {where}", value, leaf)
        yield
    finally:
        cast.world.sql(f"UPDATE gateway.audit_entry {where}", kept, leaf)
        cast.world.sql(off.format("ENABLE"))


def row_of_before(cast, ticket, moved_us):
    """Put the row of before its last move, a revocation, back."""
    sql = (
        "UPDATE gateway.ticket SET state = 'approved', version = version - 1, moved_us = %s"
        " WHERE ticket_id = %s"
    )
    cast.world.sql(sql, moved_us, ticket.ticket_id)


@pytest.mark.parametrize(("column", "value"), [("kind", "noted"), ("decision", "deny")])
def test_a_stopped_ticket_is_not_raised_by_the_columns_beside_its_leaf(province, column, value):
    """The leaf of the stop is found by its bytes, whatever the row of the log says beside them."""

    async def work(cast):
        ticket = plant(cast, 3)
        moved_us = (await cast.value(ticket)).moved_us
        await cast.ask(cast["suny"], "RevokeExport", about(pb.RevokeExportRequest, ticket))
        sql = "SELECT mac, version FROM gateway.ticket_leaf(%s)"
        told = cast.world.sql(sql, ticket.ticket_id)
        with beside(cast, ticket, column, value):
            assert cast.world.sql(sql, ticket.ticket_id) == told
            row_of_before(cast, ticket, moved_us)
            request = pb.GetExportRequest(ticket_id=ticket.ticket_id)
            await tampered(cast, "zhao", "GetExport", request)
            await chore(cast, "Builder").look(DOOR)
            assert cast.state(ticket) == "approved"
        await stopped(cast, ticket)
        await good(cast)

    province(work)


@contextmanager
def forgetful(cast, ticket):
    """As if the ticket's newest leaf were deleted: the function that finds it passes it over."""
    name = "gateway.ticket_leaf(text)"
    [(own,)] = cast.world.sql("SELECT pg_get_functiondef(%s::regprocedure)", name)
    version = (
        f"(SELECT t.version FROM gateway.ticket AS t WHERE t.ticket_id = '{ticket.ticket_id}')"
    )
    passed = own.replace(
        "ORDER BY 2",
        f"AND (wanted <> '{ticket.ticket_id}' OR (l.detail ->>"
        f" 'ticket_version')::bigint <= {version}) ORDER BY 2",
    )
    assert passed != own
    cast.world.sql(passed.replace("%", "%%"))
    yield
    cast.world.sql(own.replace("%", "%%"))


def test_a_stopped_ticket_is_not_raised_where_its_newer_leaves_are_gone(province):
    """Row and leaf of before agree, MAC and all; the door knows that the ticket had come further."""

    async def work(cast):
        ticket = plant(cast, 3)
        value = await cast.value(ticket)
        await cast.ask(cast["suny"], "RevokeExport", about(pb.RevokeExportRequest, ticket))
        assert Marks(cast.world.home.exports).of(ticket.ticket_id) == value.version + 1
        with forgetful(cast, ticket):
            row_of_before(cast, ticket, value.moved_us)
            seal = cast.tickets.ground.seal
            [(mac,)] = cast.world.sql("SELECT mac FROM gateway.ticket_leaf(%s)", ticket.ticket_id)
            assert seal.fits(await cast.value(ticket), mac)
            request = pb.GetExportRequest(ticket_id=ticket.ticket_id)
            await tampered(cast, "zhao", "GetExport", request)
            await chore(cast, "Builder").look(DOOR)
            assert cast.state(ticket) == "approved"
        await stopped(cast, ticket)
        await good(cast)

    province(work)


# No ticket moves so often: a leaf that says so is passed over, and no move needs to follow it.
BEYOND = 10**9


@pytest.mark.parametrize("version", [3, 99, BEYOND])
def test_a_leaf_with_a_made_up_mac_proves_nothing_and_keeps_nobody_from_stopping(province, version):
    async def work(cast):
        ticket = plant(cast, 5, **WIDE)
        value = await cast.value(ticket)
        raised = TicketSeal(b"\x01" * 32, Marks(Path("nowhere"))).of(value)
        detail = {"ticket": ticket.ticket_id, "ticket_mac": raised, "ticket_version": version}
        event = Event(kind="export.build.end", detail=detail)
        append(cast, event.to_leaf(cast.world.clock.now_us()))
        request = pb.GetExportRequest(ticket_id=ticket.ticket_id)
        if not value.version < version < BEYOND:
            await cast.ask(cast["zhao"], "GetExport", request)
            await cast.ask(cast["song"], "RevokeExport", about(pb.RevokeExportRequest, ticket))
            return
        await tampered(cast, "zhao", "GetExport", request)
        await stopped(cast, ticket)
        await good(cast)

    province(work)


@pytest.mark.parametrize(
    ("statement", "rpc", "state"),
    [
        ("UPDATE gateway.ticket SET needed = 9 WHERE ticket_id = %s", "RevokeExport", "revoked"),
        (
            "UPDATE gateway.ticket SET state = 'draft' WHERE ticket_id = %s",
            *("RevokeExport", "revoked"),
        ),
        (
            "UPDATE gateway.ticket SET state = 'released' WHERE ticket_id = %s",
            *("RecallExport", "recalled"),
        ),
    ],
    ids=["needed", "draft", "released"],
)
def test_what_was_tampered_with_is_stopped_by_one_person(province, statement, rpc, state):
    async def work(cast):
        ticket = plant(cast, 7, **WIDE)
        cast.world.sql(statement, ticket.ticket_id)
        request = about(pb.ReleaseExportRequest, ticket)
        await tampered(cast, "wang", "ReleaseExport", request)
        # Not by anybody, and not by the act that does not fit.
        reason, _ = await caught(
            cast, "hang", "RevokeExport", about(pb.RevokeExportRequest, ticket)
        )
        assert reason in {"TICKET_TAMPERED", "NOT_FOUND", "TICKET_NOT_YOURS"}
        other = pb.RecallExportRequest if rpc == "RevokeExport" else pb.RevokeExportRequest
        name = other.DESCRIPTOR.name.removesuffix("Request")
        assert (await caught(cast, "song", name, about(other, ticket)))[0] == "TICKET_STATE"
        await stopped(cast, ticket, rpc, state)

    province(work)


def test_a_row_with_another_recipient_beside_its_plan_is_stopped_too(province):
    async def work(cast):
        ticket = plant(cast, 5, **WIDE)
        sql = "UPDATE gateway.ticket SET recipient_person = 'yang' WHERE ticket_id = %s"
        cast.world.sql(sql, ticket.ticket_id)
        request = about(pb.RevokeExportRequest, ticket)
        await cast.ask(cast["song"], "RevokeExport", request)
        assert cast.state(ticket) == "revoked"

    province(work)


def test_who_has_no_part_in_a_spoiled_ticket_is_told_what_of_a_number_that_is_none(province):
    async def work(cast):
        ticket = plant(cast, 5, **WIDE)
        cast.world.sql(
            "UPDATE gateway.ticket SET needed = 9 WHERE ticket_id = %s", ticket.ticket_id
        )
        for number in (ticket.ticket_id, "EX-99999999"):
            request = pb.GetExportRequest(ticket_id=number)
            assert (await caught(cast, "hang", "GetExport", request))[0] == "NOT_FOUND"
        request = about(pb.RevokeExportRequest, ticket)
        assert (await caught(cast, "hang", "RevokeExport", request))[0] == "NOT_FOUND"
        await stopped(cast, ticket)

    province(work)


UNREADABLE = (
    "UPDATE gateway.ticket SET plan = '\\x7b7d', plan_sha256 = sha256('\\x7b7d')"
    " WHERE ticket_id = %s"
)


@pytest.mark.parametrize(
    ("steps", "rpc", "state"), [(5, "RevokeExport", "revoked"), (8, "RecallExport", "recalled")]
)
def test_a_plan_that_nobody_can_read_is_stopped_and_owed_by_nobody(province, steps, rpc, state):
    async def work(cast):
        ticket, sound = plant(cast, steps, **WIDE), plant(cast, 3)
        cast.world.sql(UNREADABLE, ticket.ticket_id)
        await tampered(cast, "zhao", "GetExport", pb.GetExportRequest(ticket_id=ticket.ticket_id))
        # It stops nothing that the gateway does of the others.
        await chore(cast, "Builder").look(DOOR)
        await chore(cast, "Keeper").look(DOOR)
        assert cast.state(sound) == "sealed"
        await cast.token(cast["song"])
        watch = Watch(cast.world)
        await cast.ask(cast["song"], rpc, about(getattr(pb, f"{rpc}Request"), ticket))
        leaf = await watch.only_leaf()
        assert (leaf["decision"], leaf["detail"]["to_state"]) == ("allow", state)
        assert cast.state(ticket) == state
        assert ticket.ticket_id not in await owing(cast, CITY)
        await good(cast)

    province(work)


async def owing(cast, organisation):
    """All that an organisation owes when every day is over; the oldest is what bars it."""
    tickets = cast.tickets
    far_us = cast.world.clock.now_us() + 90 * 86_400_000_000
    async with tickets.database.transaction() as tx:
        every = [row[0] for row in await tx.fetch("SELECT ticket_id FROM gateway.ticket")]
        proven = await ticket_rows.proven(tx, every, tickets.ground.seal)
        oldest = await duties.owed(tx, organisation, "", far_us, tickets.ground.seal)
    theirs = [one for one in proven if one.plan.recipient.organisation == organisation]
    found = [one.ticket_id for one in theirs if one.state in OUT]
    assert oldest == (found[0] if found else "")
    return found


def test_what_is_out_is_owed_by_whom_its_plan_names(province):
    """Another organisation beside the plan: it is not barred, and the recipient attests."""

    async def work(cast):
        ticket = plant(cast, 9, **WIDE)
        sql = "UPDATE gateway.ticket SET recipient_organisation = %s WHERE ticket_id = %s"
        cast.world.sql(sql, OTHER_CITY, ticket.ticket_id)
        assert (await owing(cast, OTHER_CITY), ticket.ticket_id in await owing(cast, CITY)) == (
            [],
            True,
        )
        await cast.ask(cast["wang"], "AttestDestruction", destroyed(cast, ticket))
        assert cast.state(ticket) == "destroyed"

    province(work)


def test_a_row_that_the_log_does_not_know_bars_nobody_and_is_owed_again_when_called_back(province):
    """The gateway tells of it, once; the recall puts the duty back, and it can be met."""

    async def work(cast):
        ticket = plant(cast, 9, **WIDE)
        cast.world.sql(
            "UPDATE gateway.ticket SET releases = 3, state = 'overdue' WHERE ticket_id = %s",
            ticket.ticket_id,
        )
        watch = Watch(cast.world)
        for _ in range(2):
            await chore(cast, "Keeper").look(DOOR)
        told = [one for one in await watch.leaves() if one["detail"]["ticket"] == ticket.ticket_id]
        assert [one["reason"] for one in told] == ["TICKET_TAMPERED"]
        assert told[0]["detail"]["alert"] == TAMPERED_ALERT
        assert (await cast.draft()).state == pb.EXPORT_STATE_DRAFT
        await cast.ask(cast["song"], "RecallExport", about(pb.RecallExportRequest, ticket))
        assert ticket.ticket_id in await owing(cast, CITY)
        await cast.ask(cast["wang"], "AttestDestruction", destroyed(cast, ticket))
        assert cast.state(ticket) == "destroyed"

    province(work)


def test_a_certificate_row_that_cannot_be_read_stops_neither_others_nor_their_stopping(province):
    async def work(cast):
        taken = cast.taken_by("wuhe")
        building, stopping, sound = plant(cast, 3, **taken), plant(cast, 5, **taken), plant(cast, 3)
        where = "WHERE certificate_sha256 = decode(%s, 'hex')"
        false = digest(cast.encryption["wuhe"])
        [(pem,)] = cast.world.sql(f"SELECT pem FROM gateway.certificate {where}", false)
        cast.world.sql(f"UPDATE gateway.certificate SET pem = 'nothing' {where}", false)
        await cast.token(cast["song"])
        try:
            watch = Watch(cast.world)
            await cast.ask(cast["song"], "RevokeExport", about(pb.RevokeExportRequest, stopping))
            assert (await watch.only_leaf())["decision"] == "allow"
            assert cast.state(stopping) == "revoked"
            await chore(cast, "Builder").look(DOOR)
            await chore(cast, "Keeper").look(DOOR)
            assert (cast.state(building), cast.state(sound)) == ("revoked", "sealed")
        finally:
            cast.world.sql(f"UPDATE gateway.certificate SET pem = %s {where}", pem, false)
        await good(cast)

    province(work)


# What a release hangs on beside its ticket.


@pytest.mark.parametrize("struck", ["one", "all", "more", "swapped"])
def test_children_struck_from_the_list_or_added_are_not_released(province, struck):
    async def work(cast):
        ticket, fetched = await received(cast)
        where = "WHERE ticket_id = %s"
        rows = f"SELECT child_tag FROM gateway.export_child {where}"
        tags = [bytes(tag) for (tag,) in cast.world.sql(rows, ticket.ticket_id)]
        assert len(tags) == 2
        enter = "INSERT INTO gateway.export_child (ticket_id, child_tag) VALUES (%s, %s)"
        gone = {"one": tags[:1], "all": tags, "more": [], "swapped": tags[:1]}[struck]
        for tag in gone:
            delete = f"DELETE FROM gateway.export_child {where} AND child_tag = %s"
            cast.world.sql(delete, ticket.ticket_id, tag)
        if struck in {"more", "swapped"}:
            cast.world.sql(enter, ticket.ticket_id, b"\x01" * 32)
        await tampered(cast, "wang", "ReleaseExport", about(pb.ReleaseExportRequest, ticket))
        assert (debits(cast, ticket), cast.state(ticket)) == (0, "received")
        for tag in gone:
            cast.world.sql(enter, ticket.ticket_id, tag)
        if struck in {"more", "swapped"}:
            delete = f"DELETE FROM gateway.export_child {where} AND child_tag = %s"
            cast.world.sql(delete, ticket.ticket_id, b"\x01" * 32)
        assert opened(cast, ticket, fetched, (await release(cast, ticket)).header)[0]
        assert debits(cast, ticket) == 2

    province(work)


_QIANS = f"WHERE organisation = '{PROVINCE}' AND subject_name = 'qian'"
SUSPENSIONS = {
    "approver": (
        "UPDATE gateway.system SET state = 2 WHERE name = 'qian'",
        "UPDATE gateway.system SET state = 1 WHERE name = 'qian'",
        "POLICY_DENIED",
    ),
    "account": (
        "UPDATE gateway.account SET state = 2 WHERE name = 'qian'",
        "UPDATE gateway.account SET state = 1 WHERE name = 'qian'",
        "POLICY_DENIED",
    ),
    "organisation": (
        f"UPDATE gateway.organisation SET state = 2 WHERE code = '{CITY}'",
        f"UPDATE gateway.organisation SET state = 1 WHERE code = '{CITY}'",
        "POLICY_DENIED",
    ),
    "certificate": (
        f"UPDATE gateway.lineage SET locked_us = 9 {_QIANS}",
        f"UPDATE gateway.lineage SET locked_us = NULL {_QIANS}",
        "POLICY_DENIED",
    ),
    "policies": (
        "UPDATE gateway.epoch SET value = value + 1 WHERE name = 'policies'",
        "SELECT 1",
        "REVISION_STALE",
    ),
}


async def waits(cast, blocker):
    """Return once somebody waits for a lock of this connection's."""
    sql = "SELECT 1 FROM pg_locks WHERE NOT granted AND %s = ANY(pg_blocking_pids(pid))"
    while not cast.world.sql(sql, blocker.info.backend_pid):  # noqa: ASYNC110  the server tells nobody
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("what", SUSPENSIONS)
def test_no_release_has_its_leaf_after_the_leaf_of_a_suspension(province, what):
    """The suspension holds the log; the release, judged before, waits for it, and is judged by what it then sees."""

    async def work(cast):
        suspend, resume, expected = SUSPENSIONS[what]
        ticket, fetched = await received(cast)
        await cast.token(cast["wang"])
        watch = Watch(cast.world)
        owner = roles.conninfo(cast.world.home, cast.world.settings, "owner")
        told = Event(kind="system.suspend").to_leaf(cast.world.clock.now_us())
        with closing(psycopg.connect(owner)) as other:
            other.execute("SELECT 1 FROM gateway.audit_head WHERE id = 1 FOR UPDATE")
            asked = asyncio.create_task(release(cast, ticket))
            await waits(cast, other)
            other.execute(suspend)
            other.execute(APPEND, [[told]])
            other.commit()
        error = await refused(asked)
        first, second = await watch.calls()
        assert (first["kind"], second["kind"]) == ("system.suspend", "export.release")
        assert (second["decision"], second["reason"]) == ("deny", expected)
        assert error.reason == expected
        if expected == "POLICY_DENIED":
            # The leaf names who decided last.
            assert second["policies"]
            assert not [one for one in second["policies"] if one.startswith("p")]
        assert (debits(cast, ticket), cast.state(ticket)) == (0, "received")
        cast.world.sql(resume)
        cast.world.clock.turn(seconds=0.3)
        cast.tokens.clear()
        assert opened(cast, ticket, fetched, (await release(cast, ticket)).header)[0]

    province(work)
