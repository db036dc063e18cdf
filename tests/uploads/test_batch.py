"""Whole batches through a real database, recorder and signer."""

import asyncio
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from gateway.audit.recorder import Recorder
from gateway.audit.signing import SignerLink
from gateway.errors import Reason
from gateway.store.database import Database
from gateway.store.seal import ContentKeys
from gateway.tlog import proof
from gateway.tlog.keys import LogKeys
from gateway.uploads.batch import Intake
from gateway.v1.child_pb2 import SEX_MALE
from gateway.v1.upload_service_pb2 import UploadBatchesRequest
from tests.records.test_aefi import a_report
from tests.records.test_child import number
from tests.records.test_merge import a_device, a_merge
from tests.records.test_stock import a_balance, a_movement
from tests.uploads.county import (
    BORN,
    COUNTY,
    SECOND_UNIT,
    a_child,
    a_dose,
    county,
    refused,
    rules,
    run,
    states,
)

Conninfo = Callable[[str], str]


def test_cards_and_their_doses_in_one_batch_are_taken(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            child = a_child()
            receipt = await one.upload(a_dose(child), child)
            assert states(receipt) == ["accepted", "accepted"]
            assert await one.rows("SELECT count(*) FROM gateway.dose") == [(1,)]

    run(play())


def test_the_receipt_is_evidence(conninfo: Conninfo) -> None:
    """Leaf on the log, commitment to the bytes, counts, and a proof under the signer's key."""

    async def play() -> None:
        async with county(conninfo) as one:
            batch = one.batch(a_child(), a_dose(a_child(9)), a_dose("1"), a_child())
            raw = batch.SerializeToString()
            receipt = await one.send_bytes(raw)
            found = proof.parse(receipt.proof)
            found.verify(receipt.leaf, LogKeys.of(one.stage.signer.verifier))
            assert found.extra == receipt.salt
            leaf = json.loads(receipt.leaf)
            assert leaf["commitment"] == hashlib.sha256(receipt.salt + raw).hexdigest()
            assert leaf["counts"] == {
                "accepted": 1,
                "quarantined": 1,
                "rejected": 1,
                "duplicate": 1,
                "items": 4,
            }
            assert (leaf["request_id"], leaf["unit"], leaf["sequence"]) == (
                batch.request_id,
                batch.unit_code,
                1,
            )
            assert leaf["organisation"] == COUNTY
            assert receipt.request_id == batch.request_id
            assert [item.index for item in receipt.items] == [0, 1, 2, 3]

    run(play())


def test_every_kind_of_record_is_taken_and_known_again(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            records = [
                a_child(1),
                a_child(2),
                a_child(3),
                a_dose(a_child(1)),
                a_movement(),
                a_balance(),
            ]
            records += [a_report(), a_device()]
            receipt = await one.upload(*records)
            assert states(receipt) == ["accepted"] * 8, receipt
            assert receipt.items[4].record_id == "IN-1"
            assert states(await one.upload(*records)) == ["duplicate"] * 8
            assert states(await one.upload(a_merge())) == ["accepted"]
            for record in records:
                assert states(await one.upload(record)) == (
                    ["rejected"] if record == a_child(2) else ["duplicate"]
                )

    run(play())


def test_other_content_needs_the_next_revision(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            await one.upload(a_child(), a_movement(), a_report(), a_device())
            changed = [
                a_child(birth_weight_grams=3000),
                a_movement(store_id="F2"),
                a_report(clinical_course="高热"),
                a_device(retired=True),
            ]
            receipt = await one.upload(*changed)
            assert [rules(receipt, n) for n in range(4)] == [
                ["CH-20"],
                ["ST-01"],
                ["AE-07"],
                ["DE-02"],
            ]
            for record in changed:
                record.revision = 1
            assert states(await one.upload(*changed)) == ["accepted"] * 4
            kinds = "SELECT kind, revision FROM gateway.earlier_revision ORDER BY kind"
            assert await one.rows(kinds) == [(1, 0), (3, 0), (5, 0), (7, 0)]

    run(play())


def test_a_corrected_dose_takes_the_place_of_the_earlier(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            dose = a_dose(a_child())
            await one.upload(a_child(), a_child(2), dose)
            dose.lot.lot_number = "B2"
            assert rules(await one.upload(dose)) == ["VA-21"]
            dose.revision = 1
            assert rules(await one.upload(dose)) == ["VA-22"]
            dose.correction_reason = "批号录错"
            assert states(await one.upload(dose)) == ["accepted"]
            # Also from one child to another.
            dose.child_code, dose.revision = a_child(2).child_code, 2
            assert states(await one.upload(dose)) == ["accepted"]
            assert await one.rows("SELECT child_tag, revision FROM gateway.dose") == [
                (one.tag(a_child(2)), 2)
            ]
            assert await one.rows("SELECT revision FROM gateway.earlier_revision ORDER BY 1") == [
                (0,),
                (1,),
            ]

    run(play())


def test_revisions_within_one_batch(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            later, dose = a_child(revision=1, birth_weight_grams=3000), a_dose(a_child())
            changed = a_dose(a_child(), record_id=dose.record_id, revision=1, correction_reason="x")
            again = a_movement(revision=1, store_id="F2")
            receipt = await one.upload(a_child(), later, dose, changed, a_movement(), again)
            assert states(receipt) == ["accepted"] * 6, receipt
            assert await one.rows("SELECT revision, item_index FROM gateway.child") == [(1, 1)]
            assert await one.rows("SELECT revision, item_index FROM gateway.dose") == [(1, 3)]
            assert await one.rows("SELECT revision, item_index FROM gateway.document") == [(1, 5)]
            assert await one.rows("SELECT count(*) FROM gateway.earlier_revision") == [(3,)]

    run(play())


def test_repetitions_within_one_batch(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            dose = a_dose(a_child())
            replay = a_dose(a_child())
            replay.CopyFrom(dose)
            replay.record_id = a_dose(a_child()).record_id
            receipt = await one.upload(a_child(), a_child(), dose, dose, replay)
            assert states(receipt) == [
                "accepted",
                "duplicate",
                "accepted",
                "duplicate",
                "quarantined",
            ]
            assert rules(receipt, 4) == ["VA-19"]

    run(play())


def test_a_balance_is_replaced_by_a_later_count(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            await one.upload(a_balance())
            receipt = await one.upload(a_balance(counted_count=9))
            assert (states(receipt), rules(receipt)) == (["flagged"], ["ST-14"])

    run(play())


def test_twin_cards_are_held_and_a_corrected_number_is_free(conninfo: Conninfo) -> None:
    """CH-23: the second card with one identity number waits until the number is free."""

    async def play() -> None:
        async with county(conninfo) as one:
            mine = {"document": 1, "document_number": number()}
            await one.upload(a_child(1, **mine))
            twin = a_child(2, **mine)
            receipt = await one.upload(twin)
            assert (states(receipt), rules(receipt)) == (["quarantined"], ["CH-23"])
            both = await one.upload(
                a_child(3, **mine), a_child(4, birth_certificate_number="V140000001")
            )
            assert states(both) == ["quarantined", "accepted"]
            # The first card's number was typed wrong: its correction frees it.
            other = number(sequence="004")
            assert states(
                await one.upload(a_child(1, document=1, document_number=other, revision=1))
            )
            assert states(await one.upload(twin)) == ["accepted"]
            assert rules(await one.upload(a_child(1, revision=2, **mine))) == ["CH-23"]

    run(play())


def test_a_merge_retires_cards(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            unknown = await one.upload(a_merge())
            assert rules(unknown) == ["ME-02"]
            receipt = await one.upload(a_child(1), a_child(2), a_merge())
            assert states(receipt) == ["accepted"] * 3
            again = await one.upload(a_child(2, revision=1), a_dose(a_child(2)))
            assert [rules(again, n) for n in range(2)] == [["CH-22"], ["CH-22"]]
            other = await one.upload(a_merge(reason="别的"), a_merge(merge_id="M-2"))
            assert [rules(other, 0)[0], rules(other, 1)[0]] == ["ME-03", "ME-02"]

    run(play())


def test_a_gap_in_the_sequence_is_told_on_the_first_item(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            assert rules(await one.upload(a_child(1), a_child(2))) == []
            receipt = await one.send(one.batch(a_child(3), a_child(4), sequence=4))
            assert [rules(receipt, n) for n in range(2)] == [["EN-05"], []]
            assert states(receipt) == ["flagged", "accepted"]
            # What fills the gap, and what follows, is told nothing.
            assert rules(await one.send(one.batch(a_child(5), sequence=2))) == []
            assert rules(await one.send(one.batch(a_child(6), sequence=5))) == []
            # Each unit counts for itself.
            assert rules(await one.send(one.batch(a_child(7), unit_code=SECOND_UNIT))) == []

    run(play())


def test_a_vaccination_before_the_birth_is_rejected_when_the_child_is_known(
    conninfo: Conninfo,
) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            receipt = await one.upload(a_child(), a_dose(a_child(), day=BORN - timedelta(days=1)))
            assert rules(receipt, 1) == ["VA-03"]

    run(play())


def test_what_another_process_stored_meanwhile_is_judged_beside(conninfo: Conninfo) -> None:
    """Two intakes on one database: the later one judges again, nothing is stored twice."""

    async def play() -> None:
        async with county(conninfo) as one:
            dose = a_dose(a_child())
            await one.upload(a_child())
            original = one.intake._recorder.append
            raced = []

            async def racing(event, effect=None):
                if not raced:
                    raced.append(True)

                    async def late(tx):
                        # Between our reading and our writing, the record comes in another batch.
                        from gateway.uploads import known

                        load = known.load

                        async def stale(tx, prepared):
                            found = await load(tx, prepared)
                            found.records.clear()
                            found.doses.clear()
                            return found

                        known.load = stale
                        try:
                            return await effect(tx)
                        finally:
                            known.load = load

                    return await original(event, late)
                return await original(event, effect)

            await one.upload(dose)
            one.intake._recorder.append = racing
            receipt = await one.upload(dose)
            assert states(receipt) == ["duplicate"]
            reasons = [json.loads(leaf)["reason"] for leaf in await one.leaves("deny")]
            assert reasons == ["REVISION_STALE"]
            assert await one.rows("SELECT count(*) FROM gateway.dose") == [(1,)]

    run(play())


def test_without_a_signer_nothing_is_taken(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            await one.upload(a_child(1))
            await one.stage.signer.kill()
            refusal = await refused(one.upload(a_child(2)))
            assert refusal.reason in (Reason.SIGNER_AWAY, Reason.AUDIT_DEGRADED)

    run(play())


CANARIES = ("王小明", "李秀英", "13800000000", "平阳路", number(), "V140000001", "过敏", "缘由甲")
PERSONAL = re.compile(rb"[0-9]{17}[0-9X]")


def test_no_personal_value_leaves_a_batch(conninfo: Conninfo) -> None:
    """Answers, leaves, the held list and every readable column are free of what the records say."""

    async def play() -> None:
        async with county(conninfo) as one:
            child = a_child(
                document=1, document_number=number(), birth_certificate_number="V140000001"
            )
            child.restricted.allergies = "过敏"
            bad = [
                a_child(2, sex=SEX_MALE, guardians=[], document=1, document_number=number()),
                a_dose(child.child_code, record_id=number()),
                a_dose(a_child(8), no_scan_reason="王小明"),
                a_movement(document_id=number()),
                a_report(report_id="13800000000"),
                a_merge(reason="缘由甲"),
                a_balance(lot__lot_number="王小明"),
            ]
            batch = one.batch(child, *bad)
            receipt = await one.send(batch)
            told = receipt.SerializeToString() + b"".join(await one.leaves())
            held = await one.intake.held(one.organisation, "", _start(), 100)
            told += b"".join(item.SerializeToString() for item, _ in held)
            tables = "batch held child child_identity retired_child dose document earlier_revision"
            for table in tables.split():
                for row in await one.rows(f"SELECT to_jsonb(t)::text FROM gateway.{table} AS t"):
                    told += row[0].encode()
            for canary in (*CANARIES, child.child_code, a_child(8).child_code):
                assert canary.encode() not in told, canary
            digits = re.sub(rb'"(?:proof|leaf|sequence|[a-z_]*us)":[0-9]+', b"", told)
            assert not PERSONAL.search(re.sub(rb"\\\\x[0-9a-f]+|[0-9a-f]{32,}", b"", digits))

    run(play())


def _start():
    from gateway.uploads.quarantine import START

    return START


def test_a_refusal_names_no_value(conninfo: Conninfo) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            bad = one.batch(a_child(), client_version="王小明\n", schema_version="李秀英")
            refusal = await refused(one.send(bad))
            assert isinstance(bad, UploadBatchesRequest)
            for canary in CANARIES:
                assert canary not in repr((refusal.args, refusal.metadata, refusal.violations))

    run(play())


def test_two_intakes_take_everything_once(conninfo: Conninfo) -> None:
    """The same batch, and the same record in two batches, through two processes' flows at once."""

    async def play() -> None:
        async with county(conninfo) as one:
            database = await Database.open(conninfo("intake"), application="test")
            link = SignerLink(one.stage.home.signer_socket)
            recorder = await Recorder.open(database, link, door="intake", clock=one.stage.clock)
            second = Intake(
                database,
                recorder,
                ContentKeys(one.recipients, one.stage.clock),
                one.index,
                one.tables,
                lambda: one.register,
                one.stage.clock,
            )
            other = replace(one, intake=second)
            await one.upload(a_child())
            try:
                for days in range(0, 20, 2):
                    first_dose, dose = (
                        a_dose(a_child(), day=BORN + timedelta(days=days + n)) for n in (0, 1)
                    )
                    raw = one.batch(first_dose).SerializeToString()
                    first, again = await asyncio.gather(one.send_bytes(raw), other.send_bytes(raw))
                    assert (first.leaf, first.salt) == (again.leaf, again.salt)
                    batches = [one.batch(dose), one.batch(dose, a_dose("1"))]
                    receipts = await asyncio.gather(one.send(batches[0]), other.send(batches[1]))
                    found = {states(receipt)[0] for receipt in receipts}
                    assert found == {"duplicate", "flagged"}
                assert await one.rows("SELECT count(*) FROM gateway.dose") == [(20,)]
            finally:
                await recorder.close()
                await database.close()

    run(play())
