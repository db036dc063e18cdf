"""The key comes last: after the receipt, the final decision, the debit and the leaf; and once more where it was lost."""

import hashlib

import pytest

from gateway.exports.marks import Marks
from gateway.v1 import export_service_pb2 as pb
from tests.coverage.rpcs import Watch
from tests.exports.cast import Cast, about
from tests.exports.fetching import (
    DOOR,
    chore,
    destroyed,
    download,
    opened,
    receipt_for,
    received,
    release,
    sealed,
    uploaded,
)
from tests.world import RefusedError, held


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        cast = stands.run(Cast.open(stands.world))
        stands.run(uploaded(cast))
        yield lambda work: stands.run(work(cast))


def debits(cast, ticket):
    sql = "SELECT count(*) FROM gateway.export_debit WHERE ticket_id = %s"
    return cast.world.sql(sql, ticket.ticket_id)[0][0]


async def refused(awaitable):
    with pytest.raises(RefusedError) as raised:
        await awaitable
    return raised.value.reason


def test_downloaded_signed_for_released_opened_acknowledged_destroyed(province):
    async def work(cast):
        ticket = await sealed(cast)
        watch = Watch(cast.world)
        fetched = await download(cast, ticket)
        assert fetched.refused is None
        assert fetched.tail.sent_bytes == fetched.head.payload_bytes == len(fetched.payload)
        assert hashlib.sha256(fetched.payload).hexdigest() == fetched.head.payload_sha256
        await cast.ask(cast["wang"], "ReceiveExport", receipt_for(cast, ticket, fetched.payload))
        assert debits(cast, ticket) == 0
        answer = await release(cast, ticket)
        assert debits(cast, ticket) == 2
        # No row of before is believed from here on, whatever fits it (decision 0025).
        marks = Marks(cast.world.home.exports)
        assert marks.of(ticket.ticket_id) == (await cast.value(ticket)).version
        rows, _made = opened(cast, ticket, fetched, answer.header)
        assert rows.count(b"\r\n") == 3
        manifest = (await cast.value(ticket)).built.manifest_sha256
        told = about(pb.AcknowledgeExportRequest, ticket, manifest_sha256=manifest)
        await cast.ask(cast["wang"], "AcknowledgeExport", told)
        await cast.ask(cast["wang"], "AttestDestruction", destroyed(cast, ticket))
        assert cast.state(ticket) == "destroyed"
        leaves = [one for one in await watch.leaves() if one["kind"].startswith("export.")]
        assert [one["kind"] for one in leaves] == [
            *("export.begin", "export.end", "export.receipt", "export.release"),
            *("export.acknowledge", "export.destroyed"),
        ]
        assert leaves[0]["policies"] == ["p25-download"]
        assert leaves[3]["policies"] == ["p26-release"]
        assert leaves[3]["counts"] == {"children": 2}
        assert leaves[1]["counts"] == {"bytes": len(fetched.payload)}

    province(work)


def test_no_key_without_a_receipt_and_none_for_a_wrong_one(province):
    async def work(cast):
        ticket = await sealed(cast)
        assert await refused(release(cast, ticket)) == "TICKET_STATE"
        fetched = await download(cast, ticket)
        wrong = receipt_for(cast, ticket, fetched.payload[:-1])
        assert await refused(cast.ask(cast["wang"], "ReceiveExport", wrong)) == "RECEIPT_SIGNATURE"
        forged = receipt_for(cast, ticket, fetched.payload, cast["yang"])
        assert await refused(cast.ask(cast["wang"], "ReceiveExport", forged)) == "RECEIPT_SIGNATURE"
        assert await refused(release(cast, ticket)) == "TICKET_STATE"
        good = receipt_for(cast, ticket, fetched.payload)
        await cast.ask(cast["wang"], "ReceiveExport", good)
        assert (await release(cast, ticket)).header.startswith(b"age-encryption.org/v1\n")

    province(work)


def test_a_lost_answer_is_given_again_three_times_and_charged_once(province):
    async def work(cast):
        ticket, _ = await received(cast)
        headers = {(await release(cast, ticket)).header for _ in range(4)}
        assert len(headers) == 1
        assert debits(cast, ticket) == 2
        assert await refused(release(cast, ticket)) == "TICKET_SPENT"

    province(work)


def test_another_certificate_or_tunnel_gets_neither_file_nor_key(province):
    async def work(cast):
        ticket, _fetched = await received(cast)
        watch = Watch(cast.world)
        county = cast.origin(cast["yang"].organisation)
        assert await refused(release(cast, ticket, "yang")) == "NOT_FOUND"
        assert await refused(release(cast, ticket, origin=county)) == "ORIGIN_MISMATCH"
        leaves = [one for one in await watch.leaves() if one["kind"] == "export.release"]
        assert [one["decision"] for one in leaves] == ["deny", "deny"]
        assert debits(cast, ticket) == 0
        assert (await release(cast, ticket)).header

    province(work)


def test_a_certificate_swapped_beside_its_digest_opens_nothing(province):
    """What somebody with the database in hand changes beside a ticket: the reader's key."""

    async def work(cast):
        ticket, _ = await received(cast)
        pem = "SELECT pem FROM gateway.certificate WHERE certificate_sha256 = %s"
        swap = "UPDATE gateway.certificate SET pem = %s WHERE certificate_sha256 = %s"
        plan = (await cast.value(ticket)).plan
        own = bytes.fromhex(plan.encryption_certificate_sha256)
        [(kept,)] = cast.world.sql(pem, own)
        [(other,)] = cast.world.sql(pem, bytes.fromhex(plan.connection_certificate_sha256))
        cast.world.sql(swap, other, own)
        try:
            assert await refused(release(cast, ticket)) == "POLICY_DENIED"
        finally:
            cast.world.sql(swap, kept, own)
        assert (await release(cast, ticket)).header
        assert debits(cast, ticket) == 2

    province(work)


def test_a_row_that_names_another_recipient_is_refused_and_stops_no_other(province):
    async def work(cast):
        ticket, _ = await received(cast)
        other, _ = await received(cast)
        cast.world.sql(
            "UPDATE gateway.ticket SET recipient_person = 'yang' WHERE ticket_id = %s",
            ticket.ticket_id,
        )
        assert await refused(release(cast, ticket)) == "TICKET_TAMPERED"
        await chore(cast, "Keeper").look(DOOR)
        assert (await release(cast, other)).header
        cast.world.sql(
            "UPDATE gateway.ticket SET recipient_person = 'wang' WHERE ticket_id = %s",
            ticket.ticket_id,
        )
        assert (await release(cast, ticket)).header

    province(work)


def has_header(cast, ticket):
    sql = "SELECT count(*) FROM gateway.export_header WHERE ticket_id = %s"
    return cast.world.sql(sql, ticket.ticket_id) == [(1,)]


@pytest.mark.parametrize("how", ["AcknowledgeExport", "RecallExport", "AttestDestruction"])
def test_the_key_goes_with_the_move_after_which_nobody_may_ask_for_it(province, how):
    async def work(cast):
        ticket, _ = await received(cast)
        await release(cast, ticket)
        assert has_header(cast, ticket)
        manifest = (await cast.value(ticket)).built.manifest_sha256
        name, request = {
            "AcknowledgeExport": (
                "wang",
                about(pb.AcknowledgeExportRequest, ticket, manifest_sha256=manifest),
            ),
            "RecallExport": ("song", about(pb.RecallExportRequest, ticket)),
            # From the state in which the recipient has it, said to be opened or not.
            "AttestDestruction": ("wang", destroyed(cast, ticket)),
        }[how]
        await cast.ask(cast[name], how, request)
        assert not has_header(cast, ticket)
        assert await refused(release(cast, ticket)) == "TICKET_STATE"
        if how == "RecallExport":
            # So that nobody owes anything to the tests that follow.
            await cast.ask(cast["wang"], "AttestDestruction", destroyed(cast, ticket))

    province(work)


def test_a_frozen_file_is_said_to_be_destroyed_all_the_same(province):
    async def work(cast):
        ticket, _ = await received(cast)
        await release(cast, ticket)
        await cast.ask(cast["song"], "HoldExport", about(pb.HoldExportRequest, ticket))
        assert await refused(release(cast, ticket)) == "TICKET_HELD"
        await cast.ask(cast["wang"], "AttestDestruction", destroyed(cast, ticket))
        assert cast.state(ticket) == "destroyed"

    province(work)


def takes_too(cast, name, account):
    """Open an account of a recipient for somebody."""
    cast.second_account(name, account)
    cast.world.sql("UPDATE gateway.account SET roles = '{recipient}' WHERE name = %s", account)


def test_the_recipient_attests_under_another_account_of_its_own(province):
    """Whose account was closed is still the person who owes it."""

    async def work(cast):
        ticket, _ = await received(cast)
        await release(cast, ticket)
        takes_too(cast, "wang", "wang.new")
        told = destroyed(cast, ticket, "wang.new")
        await cast.ask(cast["wang.new"], "AttestDestruction", told)
        assert cast.state(ticket) == "destroyed"

    province(work)


def test_who_stands_in_for_a_recipient_that_left_does_so_after_a_recall_alone(province):
    """Four eyes: the province calls the file back, and another person of the organisation signs."""

    async def work(cast):
        ticket, _ = await received(cast)
        await release(cast, ticket)
        takes_too(cast, "lian", "lian.takes")
        person = cast["lian.takes"]

        async def attest():
            await cast.token(person)
            watch = Watch(cast.world)
            told = destroyed(cast, ticket, "lian.takes")
            reason = await refused(cast.ask(person, "AttestDestruction", told))
            leaf = await watch.only_leaf()
            assert (leaf["decision"], leaf["reason"]) == ("deny", reason)
            return reason

        assert await attest() == "NOT_FOUND"
        await cast.ask(cast["song"], "RecallExport", about(pb.RecallExportRequest, ticket))
        shown = await cast.ask(person, "GetExport", pb.GetExportRequest(ticket_id=ticket.ticket_id))
        assert shown.ticket.recall_due_time.ToMicroseconds() > cast.world.clock.now_us()
        # The recipient is there: it attests itself.
        assert await attest() == "POLICY_DENIED"
        cast.world.sql("UPDATE gateway.account SET state = 2 WHERE name = 'wang'")
        try:
            watch = Watch(cast.world)
            told = destroyed(cast, ticket, "lian.takes")
            await cast.ask(person, "AttestDestruction", told)
            leaf = (await watch.leaves())[-1]
            assert (leaf["account"], leaf["policies"]) == ("lian.takes", ["p33-stand-in"])
            assert cast.state(ticket) == "destroyed"
        finally:
            cast.world.sql("UPDATE gateway.account SET state = 1 WHERE name = 'wang'")

    province(work)


def test_what_a_recipient_says_of_its_file_is_refused_unless_it_is_so(province):
    """Another manifest, a day ahead, another one's signature: neither acknowledged nor destroyed."""

    async def work(cast):
        ticket, _ = await received(cast)
        await release(cast, ticket)
        other = about(pb.AcknowledgeExportRequest, ticket, manifest_sha256="ab" * 32)
        assert await refused(cast.ask(cast["wang"], "AcknowledgeExport", other)) == "FIELD_INVALID"
        ahead, forged = destroyed(cast, ticket), destroyed(cast, ticket)
        ahead.destroyed_date.year += 1
        forged.signature = destroyed(cast, ticket, "yang").signature
        for told, reason in ((ahead, "FIELD_INVALID"), (forged, "RECEIPT_SIGNATURE")):
            assert await refused(cast.ask(cast["wang"], "AttestDestruction", told)) == reason
        assert cast.state(ticket) == "released"
        await cast.ask(cast["wang"], "AttestDestruction", destroyed(cast, ticket))
        assert cast.state(ticket) == "destroyed"

    province(work)


def test_each_word_is_kept_with_its_signature_and_told_twice_is_said_once(province):
    async def work(cast):
        ticket = await sealed(cast)
        fetched = await download(cast, ticket)
        signed = receipt_for(cast, ticket, fetched.payload)
        manifest = (await cast.value(ticket)).built.manifest_sha256
        read = about(pb.AcknowledgeExportRequest, ticket, manifest_sha256=manifest)
        gone = destroyed(cast, ticket)
        for rpc, request in (
            ("ReceiveExport", signed),
            ("AcknowledgeExport", read),
            ("AttestDestruction", gone),
        ):
            told = [(await cast.ask(cast["wang"], rpc, request)).ticket for _ in range(2)]
            assert told[0] == told[1]
            if rpc == "ReceiveExport":
                await release(cast, ticket)
        sql = "SELECT signature FROM gateway.export_receipt WHERE ticket_id = %s"
        kept = {bytes(one) for (one,) in cast.world.sql(sql, ticket.ticket_id)}
        assert kept == {signed.signature, gone.signature}

    province(work)


def test_a_request_for_one_key_gets_no_other(province):
    async def work(cast):
        first, _ = await received(cast)
        second, _ = await received(cast)
        asked = about(pb.ReleaseExportRequest, first)
        await cast.ask(cast["wang"], "ReleaseExport", asked)
        again = about(pb.ReleaseExportRequest, second, request_id=asked.request_id)
        reason = await refused(cast.ask(cast["wang"], "ReleaseExport", again))
        assert (reason, debits(cast, second)) == ("REQUEST_ID_REUSED", 0)
        assert (await release(cast, second)).header
        for ticket in (first, second):
            await cast.ask(cast["wang"], "AttestDestruction", destroyed(cast, ticket))

    province(work)
