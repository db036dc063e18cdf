import itertools

import pytest

from gateway.clock import US_PER_S
from gateway.errors import Reason
from gateway.pki import defect
from gateway.pki.defect import Life

S = US_PER_S


def life(**changes):
    return Life(**{"state": 1, "not_before_us": 10 * S, "not_after_us": 100 * S, **changes})


@pytest.mark.parametrize(
    ("found", "now_s", "reason"),
    [
        (life(), 10, None),
        (life(), 99.999999, None),
        (life(), 9.999999, "CERT_NOT_YET_VALID"),
        (life(), 100, "CERT_EXPIRED"),
        (life(state=2, ended_us=50 * S), 60, "CERT_REVOKED"),
        (life(state=2, ended_us=50 * S), 200, "CERT_REVOKED"),
        (life(state=3, ended_us=50 * S), 50, "CERT_SUPERSEDED"),
        (life(state=3, ended_us=50 * S), 200, "CERT_SUPERSEDED"),
        (life(locked_us=20 * S), 60, "LINEAGE_LOCKED"),
        (life(state=2, ended_us=50 * S, locked_us=20 * S), 200, "LINEAGE_LOCKED"),
        (life(state=3, ended_us=50 * S, locked_us=20 * S), 60, "LINEAGE_LOCKED"),
        # A state that nobody knows lets nobody in.
        (life(state=9), 60, "CERT_REVOKED"),
    ],
)
def test_what_is_wrong(found, now_s, reason):
    assert found.defect(round(now_s * S)) == reason


def test_grace_is_for_the_superseded_alone_and_ends():
    superseded = life(state=3, ended_us=50 * S)
    assert superseded.graceful(50 * S, 60.0)
    assert superseded.graceful(110 * S - 1, 60.0)
    assert not superseded.graceful(110 * S, 60.0)
    assert superseded.drained_us(60.0) == 110 * S
    for other in (life(), life(state=2, ended_us=50 * S)):
        assert not other.graceful(51 * S, 60.0)
    assert not life(state=3, ended_us=50 * S, locked_us=51 * S).graceful(52 * S, 60.0)


def test_the_gravest_is_told():
    for size in range(1, 4):
        for some in itertools.permutations(defect.RANKED, size):
            assert defect.worst(*some, None, "") is min(some, key=defect.RANKED.index)
    assert defect.worst(None, "") is None
    assert defect.worst() is None


def test_only_another_and_graver_one_counts_against_a_connection_that_has_one():
    assert defect.worse(Reason.CERT_REVOKED, "CERT_EXPIRED")
    assert defect.worse(Reason.CERT_EXPIRED, "")
    assert defect.worse(Reason.ORGANISATION_SUSPENDED, "LINEAGE_LOCKED")
    assert not defect.worse(Reason.CERT_EXPIRED, "CERT_EXPIRED")
    assert not defect.worse(Reason.CERT_EXPIRED, "CERT_REVOKED")
    assert not defect.worse(None, "")
