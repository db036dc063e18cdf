"""A receipt proves what a restore lost: by our key, of the caller, past what was kept, of before; nothing else does."""

import uuid
from types import SimpleNamespace

import pytest

from gateway.errors import Reason, Refusal
from gateway.tlog import note
from gateway.tlog.keys import LogKeys
from gateway.uploads import lost
from gateway.uploads.lost import Cut, Restores
from gateway.v1 import upload_service_pb2 as pb
from tests.former import KEPT, Former, a_restore, flipped
from tests.uploads.county import COUNTY, OTHER_COUNTY, UNIT

NOW_US = 1_800_000_000_000_000
ORIGIN = "gateway.test/audit"
KEY = note.Signer(ORIGIN, bytes(range(32)))


def former(organisation: str = COUNTY, signer: note.Signer = KEY) -> Former:
    return Former(signer, organisation, UNIT, NOW_US, [b"kept"] * KEPT)


def restores(*cuts: Cut) -> Restores:
    return Restores(LogKeys.of(KEY.verifier), cuts or (Cut("ab" * 32, KEPT, NOW_US),))


def judged(receipt: pb.BatchReceipt, at: Restores | None = None) -> tuple[str, str]:
    with pytest.raises(Refusal) as raised:
        (at or restores()).judge(receipt, COUNTY)
    return raised.value.reason.value, dict(raised.value.metadata or {}).get("cause", "")


def test_a_good_receipt_names_what_was_on_record() -> None:
    one, two = str(uuid.uuid4()), "RK-2026/7"
    receipt = former().receipt(
        one, two, "", "", counts={"accepted": 2, "rejected": 1, "flagged": 1}
    )
    states = (pb.ITEM_STATE_ACCEPTED, pb.ITEM_STATE_FLAGGED, pb.ITEM_STATE_ACCEPTED, pb.ITEM_STATE_REJECTED)  # fmt: skip
    for each, state in zip(receipt.items, states, strict=True):
        each.state = state
        each.findings.add(rule_id="VA-06", message="words")
    found = restores().judge(receipt, COUNTY)
    assert (found.records, found.unnamed) == ((one, two), 1)
    assert (found.index, found.unit_code, str(found.request_id)) == (KEPT, UNIT, receipt.request_id)
    assert found.cut.statement == "ab" * 32
    kept = pb.BatchReceipt.FromString(found.receipt)
    assert not any(each.findings for each in kept.items)
    assert (kept.leaf, kept.proof, kept.salt) == (receipt.leaf, receipt.proof, receipt.salt)
    assert lost.counted([found, found]) == {
        "batches": 2,
        "accepted": 4,
        "rejected": 2,
        "flagged": 2,
    }


def test_it_is_of_the_first_restore_that_did_not_keep_it() -> None:
    """What the first one lost stays lost by it, however long the log was at the second."""
    receipt = former().receipt("")
    first, second = Cut("aa" * 32, KEPT, NOW_US), Cut("bb" * 32, KEPT, NOW_US + 5)
    assert restores(first, second).judge(receipt, COUNTY).cut == first
    early = Cut("aa" * 32, KEPT, NOW_US - 10**9)
    assert restores(early, second).judge(receipt, COUNTY).cut == second
    kept = Cut("aa" * 32, KEPT + 1, NOW_US)
    assert judged(receipt, restores(kept)) == ("RECEIPT_KEPT", "")
    assert judged(receipt, restores(early)) == ("RECEIPT_KEPT", "")
    assert judged(receipt, Restores(LogKeys.of(KEY.verifier), ())) == ("RECEIPT_KEPT", "")


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"kind": "upload.receipt"}, "leaf"),
        ({"decision": "deny"}, "leaf"),
        ({"request_id": str(uuid.uuid4())}, "leaf"),
        ({"unit": "no unit"}, "leaf"),
        ({"sequence": 99}, "leaf"),
        ({"time_us": "soon"}, "leaf"),
        ({"counts": {"accepted": 2}}, "items"),
        ({"counts": {"accepted": 1, "flagged": 1}}, "items"),
        ({"counts": 1}, "items"),
    ],
)
def test_a_leaf_that_says_something_else(changed, cause) -> None:
    assert judged(former().receipt("", **changed)) == ("RECEIPT_INVALID", cause)


def test_what_is_no_proof_of_ours() -> None:
    good = former().receipt("")
    for name, value, cause in (
        ("leaf", b"{", "leaf"),
        ("proof", "", "proof-form"),
        ("proof", flipped(good.proof), "signature-invalid"),
        ("proof", former(signer=note.Signer(ORIGIN, bytes(32))).receipt("").proof, "signature-missing"),
    ):  # fmt: skip
        bad = pb.BatchReceipt.FromString(good.SerializeToString())
        setattr(bad, name, value)
        assert judged(bad) == ("RECEIPT_INVALID", cause)
    other = former()
    first, second = other.receipt(""), other.receipt("")
    second.proof, first.proof = first.proof, second.proof
    assert judged(second)[0] == judged(first)[0] == "RECEIPT_INVALID"
    assert judged(former(OTHER_COUNTY).receipt("")) == (Reason.RECEIPT_FOREIGN.value, "")


@pytest.mark.parametrize("record_id", ["a name", "13912345678", "11010519491231002X", "x" * 65])
def test_an_id_that_answers_never_show_is_refused(record_id) -> None:
    """The leaf does not cover the ids: what looks like a person's number is put on no list."""
    assert judged(former().receipt(record_id)) == ("RECEIPT_INVALID", "items")


def test_a_state_that_is_none_is_refused() -> None:
    receipt = former().receipt("")
    receipt.items[0].state = pb.ITEM_STATE_UNSPECIFIED
    assert judged(receipt) == ("RECEIPT_INVALID", "items")


def test_home_says_what_was_restored(tmp_path) -> None:
    folder = SimpleNamespace(
        log_key=tmp_path / "log.vkey", log_keys=tmp_path / "log-keys", restores=tmp_path / "restores",
        signing_keys=tmp_path / "signing.key",
    )  # fmt: skip
    folder.log_key.write_text(f"{KEY.verifier}\n")
    folder.signing_keys.write_text(KEY.secret_line())
    assert Restores.of(folder).cuts == ()
    for later in (0, 5):
        a_restore(folder, NOW_US + later, KEPT + later)
    found = Restores.of(folder)
    assert [(one.size, one.restored_us) for one in found.cuts] == [(KEPT, NOW_US), (KEPT + 5, NOW_US + 5)]  # fmt: skip
    assert found.judge(former().receipt(""), COUNTY).cut == found.cuts[0]
