"""What the leaves say together: broken ones fail, odd ones are told."""

import pytest

from gateway.audit.failures import Failure
from gateway.audit.judging import NOTICES_MAX, TIME_SLACK_US, Judging
from gateway.tlog.keys import LogKeys
from gateway.tlog.merkle import leaf_hash
from tests.audit.folder import NOW_US, SIGNER, leaf


def judged(*entries: bytes) -> Judging:
    judging = Judging()
    for index, entry in enumerate(entries):
        judging.read(index, entry, leaf_hash(entry))
    judging.finish(LogKeys.of(SIGNER.verifier))
    return judging


def test_a_quiet_log() -> None:
    judging = judged(leaf(0), leaf(5, decision="deny", kind="tls.refused"), leaf(3))
    assert (judging.failures, judging.notices) == ([], [])
    assert judging.decisions == {"allow": 2, "deny": 1}
    assert judging.kinds == {"upload": 2, "tls.refused": 1}
    assert (judging.first_us, judging.last_us) == (NOW_US, NOW_US + 5)


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (b"", "LEAF_FORM"),
        (b'{"decision":"allow","kind":"a","time_us":1.5}', "LEAF_FORM"),
        (b'{"kind":"a","decision":"allow","time_us":1}', "LEAF_FORM"),
        (b"x" * 70_000, "LEAF_TOO_LONG"),
        (b'{"decision":"allow","kind":"a"}', "LEAF_FIELDS"),
        (b'{"decision":"allow","kind":"a","time_us":"1"}', "LEAF_FIELDS"),
        (b'{"decision":"allow","kind":1,"time_us":1}', "LEAF_FIELDS"),
        (b'{"decision":"perhaps","kind":"a","time_us":1}', "LEAF_FIELDS"),
    ],
)
def test_broken_leaves(entry: bytes, code: str) -> None:
    judging = judged(leaf(0), entry)
    assert [(each.code, each.where) for each in judging.failures] == [(code, "entry 1")]


def test_a_leaf_of_the_future() -> None:
    assert [each.code for each in judged(leaf(0, version=2)).notices] == ["LEAF_VERSION"]


def test_time_that_goes_back_is_told_but_no_failure() -> None:
    back = -7200_000_000
    untold = judged(leaf(0), leaf(back), leaf(back + 1))
    assert [each.code for each in untold.notices] == ["CLOCK_STEP", "CLOCK_STEP"]
    assert "not told" in untold.notices[0].message
    assert untold.failures == []
    told = judged(leaf(0), leaf(back, kind="log.clock"), leaf(back + 1))
    assert told.notices == []
    later = judged(leaf(0), leaf(back, kind="log.clock"), leaf(7), leaf(back + 1))
    assert "told by log.clock" in later.notices[0].message


def test_the_same_bytes_twice() -> None:
    assert judged(leaf(0), leaf(1), leaf(0)).notices == [
        Failure("LEAF_REPEATED", "entry 2", "the same bytes as entry 0")
    ]


def test_a_begin_without_end() -> None:
    begin = [leaf(i, kind="export.begin", request_id=f"r{i}") for i in range(3)]
    end = [leaf(10 + i, kind="export.end", request_id=f"r{i}") for i in (0, 2)]
    judging = judged(*begin, *end, leaf(20, kind="other.end"))
    assert [(each.code, each.where) for each in judging.notices] == [
        ("BEGIN_WITHOUT_END", "entry 1")
    ]


def test_time_within_the_slack_is_nothing() -> None:
    assert judged(leaf(TIME_SLACK_US), leaf(0)).notices == []
    assert len(judged(leaf(TIME_SLACK_US + 1), leaf(0)).notices) == 1


def test_many_notices_are_counted() -> None:
    assert len(judged(*[leaf(0)] * (NOTICES_MAX + 1)).notices) == NOTICES_MAX
    judging = judged(*[leaf(0)] * (NOTICES_MAX + 6))
    assert len(judging.notices) == NOTICES_MAX + 1
    assert judging.notices[-1].message == "and 5 more of LEAF_REPEATED"


def test_a_restore_is_told_with_its_statement() -> None:
    detail = {"cause": "disk-lost", "statement_sha256": "ab" * 32}
    judging = judged(leaf(0), leaf(1, kind="backup.restore", detail=detail))
    [notice] = judging.notices
    assert (notice.code, notice.where, judging.failures) == ("LOG_RESTORED", "entry 1", [])
    assert "ab" * 32 in notice.message
