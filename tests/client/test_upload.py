import asyncio
from dataclasses import dataclass, field

import pytest

from gateway.client import profile as profiles
from gateway.client.batches import Envelope, portions
from gateway.client.checkpoints import Checkpoints, LogError
from gateway.client.client import Client
from gateway.client.secret import Secret
from gateway.client.upload import Upload
from gateway.client.verify import ReceiptError, inspect
from gateway.clock import TurnedClock
from gateway.errors import Reason, Refusal, refuse
from gateway.tlog import note
from gateway.v1 import upload_service_pb2 as up
from gateway.v1 import vaccination_pb2 as v
from tests.client.small_gateway import ORGANISATION, PASSWORD, Log, SmallGateway

UNIT = "1401050003"


@dataclass
class Kept:
    """A journal in memory."""

    receipts: list[up.BatchReceipt] = field(default_factory=list)
    refusals: list[tuple[str, Reason]] = field(default_factory=list)

    def answered(self, sent, receipt, evidence, /):
        self.receipts.append(receipt)

    def refused(self, sent, refusal):
        self.refusals.append((sent.request_id, refusal.reason))


def doses(count):
    return [up.Item(vaccination=v.Vaccination(record_id=f"r{n}")) for n in range(count)]


def batches(count, items_max=10):
    envelope = Envelope(UNIT, 1, items_max=items_max)
    for number, portion in enumerate(portions(doses(count), items_max)):
        yield envelope.seal(portion, number)


def run(gateway, folder, count=95, *, settle=True, clock=None, **options):
    """Upload `count` doses and return the journal."""

    async def scenario():
        async with gateway:
            profile = gateway.profile(folder)
            clocks = {} if clock is None else {"clock": clock}
            async with Client(profile, password=lambda: Secret(PASSWORD), **clocks) as client:
                upload = Upload(client, batches(count), kept, **options)
                await upload.run()
                if settle:
                    await upload.settle()

    kept = Kept()
    asyncio.run(asyncio.wait_for(scenario(), 30))
    return kept


def test_every_batch_is_stored_once_and_its_receipt_kept(tmp_path):
    gateway = SmallGateway()
    kept = run(gateway, tmp_path / "p")
    assert gateway.records() == [f"r{n}" for n in range(95)]
    assert [receipt.sequence for receipt in kept.receipts] == list(range(1, 11))
    assert (tmp_path / "p" / "checkpoint").read_text() == gateway.log.checkpoint()
    assert gateway.streams == 1


@pytest.mark.parametrize("reason", [Reason.SHUTTING_DOWN, Reason.AUDIT_DEGRADED, Reason.INTERNAL])
def test_an_unknown_outcome_is_asked_again_with_the_same_bytes(tmp_path, reason):
    gateway = SmallGateway()
    gateway.faults = [
        lambda _: None,
        lambda _: refuse(reason, retry_after_s=0.01),
        lambda _: None,
        lambda _: refuse(reason, retry_after_s=0.01),
    ]
    run(gateway, tmp_path)
    assert gateway.records() == [f"r{n}" for n in range(95)]
    assert gateway.streams == 3


def test_an_answer_that_was_lost_after_the_commit_comes_again_as_the_stored_receipt(tmp_path):
    gateway = SmallGateway(lose_answers=3)
    kept = run(gateway, tmp_path)
    assert gateway.records() == [f"r{n}" for n in range(95)]
    assert len(kept.receipts) == 10


def test_a_refused_batch_is_noted_and_the_others_go_on(tmp_path):
    gateway = SmallGateway()
    gateway.faults = [lambda _: None, lambda _: refuse(Reason.BATCH_MALFORMED)]
    kept = run(gateway, tmp_path)
    assert len(kept.receipts) == 9
    assert [reason for _, reason in kept.refusals] == [Reason.BATCH_MALFORMED]
    assert gateway.records() == [f"r{n}" for n in range(95) if not 10 <= n < 20]


def test_a_refusal_of_the_caller_stops_the_upload(tmp_path):
    gateway = SmallGateway()
    gateway.faults = [lambda _: None, lambda _: refuse(Reason.POLICY_DENIED)]
    with pytest.raises(Refusal) as raised:
        run(gateway, tmp_path)
    assert raised.value.reason is Reason.POLICY_DENIED


def test_patience_ends(tmp_path):
    gateway = SmallGateway()
    gateway.faults = [lambda _: refuse(Reason.STORE_AWAY, retry_after_s=0.01)] * 1000
    with pytest.raises(Refusal) as raised:
        run(gateway, tmp_path, patience_s=0.3)
    assert raised.value.reason is Reason.STORE_AWAY


def test_a_stream_ends_before_its_token_does_and_the_next_has_a_fresh_one(tmp_path):
    clock = TurnedClock(1_800_000_000_000_000)
    gateway = SmallGateway(clock=clock, token_life_s=600)
    gateway.faults = [lambda _: clock.turn(seconds=60)] * 20
    run(gateway, tmp_path, 195, clock=clock, window=1)
    assert gateway.records() == [f"r{n}" for n in range(195)]
    assert gateway.streams == 3
    assert gateway.calls.count("Login") == 1
    assert gateway.calls.count("RefreshToken") >= 2


def test_a_session_that_ended_is_renewed_once(tmp_path):
    gateway = SmallGateway()

    def end(_):
        gateway.tokens.clear()
        return refuse(Reason.SESSION_UNKNOWN)

    gateway.faults = [lambda _: None, end]
    run(gateway, tmp_path)
    assert gateway.records() == [f"r{n}" for n in range(95)]
    assert gateway.calls.count("Login") == 2


def test_a_source_that_fails_stops_the_upload_with_its_own_error(tmp_path):
    def broken():
        yield from batches(25)
        raise ValueError("line 26")

    gateway = SmallGateway()

    async def scenario():
        async with (
            gateway,
            Client(gateway.profile(tmp_path), password=lambda: Secret(PASSWORD)) as client,
        ):
            await Upload(client, broken(), Kept()).run()

    with pytest.raises(ValueError, match="line 26"):
        asyncio.run(asyncio.wait_for(scenario(), 30))
    assert len(gateway.records()) == 25


def change_salt(receipt):
    receipt.salt = bytes(16)


def change_result(receipt):
    receipt.items[0].state = up.ITEM_STATE_FLAGGED


def drop_result(receipt):
    del receipt.items[-1]


def change_leaf(receipt):
    receipt.leaf = receipt.leaf.replace(b'"allow"', b'"aloow"')


def change_id(receipt):
    receipt.request_id = "0" * 36


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (change_salt, "RECEIPT_COMMITMENT"),
        (change_result, "RECEIPT_COUNTS"),
        (drop_result, "RECEIPT_ITEMS"),
        (change_leaf, "RECEIPT_LEAF"),
        (change_id, "RECEIPT_OTHER_BATCH"),
    ],
)
def test_a_receipt_that_proves_nothing_stops_the_upload_at_once(tmp_path, change, code):
    gateway = SmallGateway(change_receipt=change)
    with pytest.raises(ReceiptError) as raised:
        run(gateway, tmp_path)
    assert raised.value.code == code


def test_a_gateway_that_shows_another_log_is_found_out_at_the_end(tmp_path):
    """The receipts are of a fork, signed with the true key; the audit service continues the log that was kept."""
    gateway = SmallGateway()
    run(gateway, tmp_path, 20)
    fork = Log(
        gateway.log.signer.verifier.name, seed=gateway.log.signer._private.private_bytes_raw()
    )
    for entry in [b"other", *gateway.log.leaves]:
        fork.append(entry)
    gateway.receipts_log = fork
    with pytest.raises(LogError) as raised:
        run(gateway, tmp_path, 20)
    assert raised.value.code in {"LOG_INCONSISTENT", "LOG_FORKED"}


@pytest.mark.parametrize("overlap", [True, False])
def test_the_logs_key_changes_in_the_middle_of_an_upload(tmp_path, overlap):
    """Every receipt is verified, of the old key and of the new, and nothing is sent twice."""
    gateway = SmallGateway()

    def change(_):
        gateway.log.follow(overlap=overlap)

    gateway.faults = [lambda _: None, lambda _: None, change]
    kept = run(gateway, tmp_path / "p")
    assert gateway.records() == [f"r{n}" for n in range(95)]
    assert [receipt.sequence for receipt in kept.receipts] == list(range(1, 11))
    assert (tmp_path / "p" / "checkpoint").read_text() == gateway.log.checkpoint()
    assert (tmp_path / "p" / "log-keys" / "1").read_text() == gateway.log.notes[0]
    # Years later, offline, by what the profile keeps: receipts of both keys.
    again = Checkpoints(profiles.load(tmp_path / "p"))
    for receipt in kept.receipts:
        assert inspect(receipt, ORGANISATION, again).counts
    assert gateway.streams == 1


def test_a_strangers_key_in_the_middle_of_an_upload_stops_it(tmp_path):
    gateway = SmallGateway()

    def change(_):
        gateway.log.signers = [note.Signer(gateway.log.signer.verifier.name, bytes(32))]

    gateway.faults = [lambda _: None, lambda _: None, change]
    with pytest.raises(LogError) as raised:
        run(gateway, tmp_path / "p")
    assert raised.value.code == "SIGNATURE_MISSING"
