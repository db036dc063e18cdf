import hashlib

import pytest

from gateway.client import profile as profiles
from gateway.client.checkpoints import Checkpoints, LogError
from gateway.client.profile import Remote
from gateway.client.verify import ReceiptError, Sent, inspect, verify
from gateway.tlog import leaf
from gateway.v1 import upload_service_pb2 as up
from tests.client.small_gateway import Log

SALT, MESSAGE, REQUEST = bytes(range(16)), b"the batch", "0b7e9f3c-8f5e-4c46-9d53-3f2b8f0f4a01"
STATES = [up.ITEM_STATE_ACCEPTED, up.ITEM_STATE_FLAGGED, up.ITEM_STATE_ACCEPTED]
SENT = Sent(REQUEST, "1401050003", 7, 3, MESSAGE)


@pytest.fixture
def log():
    log = Log()
    log.append(b"before")
    return log


@pytest.fixture
def checkpoints(tmp_path, log):
    vkey = str(log.signer.verifier)
    remote = Remote("127.0.0.1", "gateway.test", "gateway.test", "140105", "uploader", vkey)
    return Checkpoints(profiles.write(tmp_path, remote, key=b"k", certificate=b"c", root=b"r"))


def document(**changes):
    return {
        "kind": "upload",
        "decision": "allow",
        "organisation": "140105",
        "unit": "1401050003",
        "sequence": 7,
        "request_id": REQUEST,
        "commitment": hashlib.sha256(SALT + MESSAGE).hexdigest(),
        "counts": {"accepted": 2, "flagged": 1, "items": 3},
        **changes,
    }


def receipt_of(log, entry=None, **changes):
    entry = leaf.encode(document()) if entry is None else entry
    index = log.append(entry)
    log.append(b"after")
    results = [up.ItemResult(index=index, state=state) for index, state in enumerate(STATES)]
    values = {"request_id": REQUEST, "sequence": 7, "items": results, "leaf": entry, "salt": SALT}
    return up.BatchReceipt(**{**values, "proof": log.proof(index), **changes})


def test_a_good_receipt_proves_place_and_counts(log, checkpoints):
    evidence = verify(receipt_of(log), SENT, "140105", checkpoints)
    assert (evidence.index, evidence.size) == (1, 3)
    assert evidence.counts == {"accepted": 2, "flagged": 1}
    assert inspect(receipt_of(log), "140105", checkpoints).index == 3


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kind": "identity.login"}, "RECEIPT_LEAF"),
        ({"decision": "deny"}, "RECEIPT_LEAF"),
        ({"organisation": "140106"}, "RECEIPT_LEAF"),
        ({"unit": "1401050004"}, "RECEIPT_LEAF"),
        ({"sequence": 8}, "RECEIPT_LEAF"),
        ({"request_id": REQUEST[:-1] + "2"}, "RECEIPT_LEAF"),
        ({"commitment": "00" * 32}, "RECEIPT_COMMITMENT"),
        ({"counts": {"accepted": 3}}, "RECEIPT_COUNTS"),
        ({"counts": {"accepted": 2, "flagged": 1, "rejected": 1}}, "RECEIPT_COUNTS"),
        ({"counts": "3"}, "RECEIPT_LEAF"),
    ],
)
def test_a_leaf_about_something_else_proves_nothing(log, checkpoints, changes, code):
    receipt = receipt_of(log, leaf.encode(document(**changes)))
    with pytest.raises(ReceiptError) as raised:
        verify(receipt, SENT, "140105", checkpoints)
    assert raised.value.code == code


def spaced(log):
    return receipt_of(log, leaf.encode(document()).replace(b",", b", ", 1))


def other_salt(log):
    return receipt_of(log, salt=bytes(16))


def short_salt(log):
    entry = leaf.encode(document(commitment=hashlib.sha256(MESSAGE).hexdigest()))
    return receipt_of(log, entry, salt=b"")


def state_missing(log):
    return receipt_of(log, items=[up.ItemResult(index=index) for index in range(3)])


def twice(log):
    return receipt_of(log, items=[up.ItemResult(index=0, state=1)] * 3)


def not_in_the_log(log):
    receipt = receipt_of(log)
    receipt.leaf = leaf.encode(document(counts={"accepted": 2, "flagged": 1}))
    return receipt


def other_index(log):
    receipt = receipt_of(log)
    receipt.proof = receipt.proof.replace("index 1", "index 2")
    return receipt


def no_proof(log):
    return receipt_of(log, proof="")


def tampered_checkpoint(log):
    receipt = receipt_of(log)
    receipt.proof = receipt.proof.replace("\n3\n", "\n4\n")
    return receipt


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (spaced, "RECEIPT_LEAF"),
        (other_salt, "RECEIPT_COMMITMENT"),
        (short_salt, "RECEIPT_COMMITMENT"),
        (state_missing, "RECEIPT_ITEMS"),
        (twice, "RECEIPT_ITEMS"),
        (not_in_the_log, "ROOT_DIFFERS"),
        (other_index, "PATH_LENGTH"),
        (no_proof, "PROOF_FORM"),
        (tampered_checkpoint, "SIGNATURE_INVALID"),
    ],
)
def test_a_spoilt_receipt_proves_nothing(log, checkpoints, make, code):
    with pytest.raises(LogError) as raised:
        verify(make(log), SENT, "140105", checkpoints)
    assert raised.value.code == code


@pytest.mark.parametrize(
    "sent", [Sent(REQUEST, "1401050003", 8, 3, MESSAGE), Sent("x", "1401050003", 7, 3, MESSAGE)]
)
def test_a_receipt_of_another_batch_is_no_answer(log, checkpoints, sent):
    with pytest.raises(ReceiptError) as raised:
        verify(receipt_of(log), sent, "140105", checkpoints)
    assert raised.value.code == "RECEIPT_OTHER_BATCH"
