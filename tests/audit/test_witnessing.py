"""What witnesses vouch for: told by size and name, demanded where a policy is brought along."""

from pathlib import Path

import pytest

from gateway.audit.verify import Report, verify_folder
from gateway.tlog.note import Signer
from gateway.tlog.policy import Policy
from tests.audit.folder import (
    NOW_US,
    ORIGIN,
    SIGNER,
    cosigned,
    leaf,
    quorum,
    signed,
    witness,
    write,
)

ENTRIES = [leaf(i) for i in range(600)]
NOW_S = NOW_US // 10**6


def folder(path: Path, note: str | None = None, **kept: str) -> Path:
    """The log of 600 entries with earlier cosigned checkpoints by their size, s300=…"""
    made = write(path / "log", ENTRIES, note)
    for size, each in kept.items():
        (made / "cosigned").mkdir(exist_ok=True)
        (made / "cosigned" / size.removeprefix("s")).write_text(each)
    return made


def verified(made: Path, policy: Policy | None = None, older: tuple[str, ...] = ()) -> Report:
    return verify_folder(made, SIGNER.verifier, policy=policy, older=older)


def codes(report: Report) -> list[str]:
    return [each.code for each in report.failures]


def sizes(report: Report) -> tuple[int, int]:
    """How much one witness vouches for, and how much the quorum."""
    found = [report.witnessed(quorum=asked) for asked in (False, True)]
    one, all_ = (0 if each is None else each.checkpoint.size for each in found)
    return one, all_


def test_what_one_and_what_the_quorum_vouches_for(tmp_path: Path) -> None:
    made = folder(tmp_path, s300=cosigned(ENTRIES[:300], 1, 2), s500=cosigned(ENTRIES[:500], 2))
    report = verified(made, quorum(2, 1, 2, 3))
    assert (codes(report), sizes(report)) == ([], (500, 300))
    one = report.witnessed(quorum=False)
    assert one is not None
    assert (one.witnesses, one.time_s) == (("city2.invalid/witness",), NOW_S)
    assert report.older_sizes == (300, 500)
    assert sizes(verified(made, quorum(1, 1, 3))) == (300, 300)


def test_the_newest_itself_may_be_cosigned(tmp_path: Path) -> None:
    report = verified(folder(tmp_path, cosigned(ENTRIES, 1, 2)), quorum(2, 1, 2))
    assert (codes(report), sizes(report), report.older_sizes) == ([], (600, 600), ())


def test_a_checkpoint_from_outside_brings_its_cosignatures(tmp_path: Path) -> None:
    report = verified(folder(tmp_path), quorum(1, 1), (cosigned(ENTRIES[:77], 1),))
    assert (codes(report), sizes(report)) == ([], (77, 77))


def test_the_folders_own_policy_tells_and_demands_nothing(tmp_path: Path) -> None:
    made = folder(tmp_path, s300=cosigned(ENTRIES[:300], 1))
    assert sizes(verified(made)) == (0, 0)
    (made / "witness-policy").write_text(quorum(2, 1, 2).text())
    assert (codes(verified(made)), sizes(verified(made))) == ([], (300, 0))
    (made / "witness-policy").write_text("quorum nobody\n")
    assert codes(verified(made)) == ["POLICY_FORM"]
    (made / "witness-policy").write_bytes(b"\xff")
    assert codes(verified(made)) == ["POLICY_FORM"]
    # Whoever brings one from elsewhere does not read the folder's.
    assert codes(verified(made, quorum(1, 1))) == []


def test_the_quorum_of_a_policy_brought_along_is_demanded(tmp_path: Path) -> None:
    made = folder(tmp_path, s300=cosigned(ENTRIES[:300], 1))
    assert codes(verified(made, quorum(2, 1, 2))) == ["QUORUM_MISSING"]
    assert codes(verified(made, quorum(1, 3))) == ["QUORUM_MISSING"]
    report = verified(made, quorum(0, 1))
    assert (codes(report), sizes(report)) == ([], (300, 0))


@pytest.mark.parametrize("where", ["newest", "earlier", "outside"])
def test_a_false_cosignature_of_a_known_witness(tmp_path: Path, where: str) -> None:
    """Replayed from another checkpoint of the same log, by the same key, at the same time."""
    line = witness(1).line(signed(ENTRIES[:300]).rpartition("\n\n")[0] + "\n", NOW_S)
    false = {"newest": signed(ENTRIES), "earlier": signed(ENTRIES[:400])}.get(
        where, signed(ENTRIES[:9])
    )
    note = false + line
    made = folder(
        tmp_path,
        note if where == "newest" else None,
        s300=cosigned(ENTRIES[:300], 1),
        **({"s400": note} if where == "earlier" else {}),
    )
    older = (note,) if where == "outside" else ()
    report = verified(made, quorum(1, 1), older)
    assert (codes(report), sizes(report)) == (["COSIGNATURE_INVALID"], (300, 300))
    # Nobody's witness: the line is of no interest.
    assert codes(verified(made, quorum(0, 2), older)) == []


def test_a_cosigned_checkpoint_that_does_not_fit(tmp_path: Path) -> None:
    other = [leaf(i, kind="other") for i in range(300)]
    assert codes(verified(folder(tmp_path, s300=cosigned(other, 1)), quorum(0, 1))) == [
        "HISTORY_DIFFERS"
    ]
    longer = [*ENTRIES, leaf(600)]
    assert codes(verified(folder(tmp_path, s601=cosigned(longer, 1)), quorum(0, 1))) == [
        "LOG_SHORTENED"
    ]
    stranger = signed(ENTRIES[:9], Signer(ORIGIN, bytes(32)))
    assert codes(verified(folder(tmp_path, s9=stranger))) == ["SIGNATURE_MISSING"]
    assert codes(verified(folder(tmp_path, s9="nonsense"))) == ["NOTE_FORM"]


def test_a_policy_of_another_log(tmp_path: Path) -> None:
    other = Policy((Signer("other/log", bytes(32)).verifier,), {}, {}, "none")
    assert codes(verified(folder(tmp_path), other)) == ["POLICY_LOG"]
    assert codes(verified(folder(tmp_path), Policy((), {}, {}, "none"))) == []


def test_a_leaf_ahead_of_a_witness_is_told_and_no_failure(tmp_path: Path) -> None:
    """The witness saw 300 entries two hours before the 300th says it was written."""
    made = folder(tmp_path, s300=cosigned(ENTRIES[:300], 1, time_s=NOW_S - 7200))
    report = verified(made, quorum(1, 1))
    assert codes(report) == []
    assert [(each.code, each.where) for each in report.notices] == [
        ("TIME_AFTER_WITNESS", "entry 299")
    ]
    near = folder(tmp_path, s300=cosigned(ENTRIES[:300], 1, time_s=NOW_S - 30))
    assert verified(near, quorum(1, 1)).notices == ()
