"""A file that proves two checkpoints contrary: what it proves, what it does not, and what is no such file."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tlog.contradiction import Contradiction, ContradictionError, parse
from gateway.tlog.keys import Succession
from gateway.tlog.merkle import leaf_hash
from tests.tlog.test_witness import LEAVES, LOG, NEXT, STRANGER, head, path

OTHER = [*LEAVES[:5], leaf_hash(b"other"), *LEAVES[6:]]


def two(
    old: int, new: int, hashes: tuple[bytes, ...] = (), newer: list[bytes] = OTHER
) -> Contradiction:
    return Contradiction(
        str(LOG.verifier), (), head(old).signed(LOG), head(new, newer).signed(LOG), hashes
    )


@pytest.mark.parametrize(
    ("found", "finding"),
    [
        (two(7, 7), "fork"),
        (two(8, 8), "fork"),
        (two(7, 12, path(7, 12, OTHER)), "rewritten"),
        (two(12, 31, path(12, 31, OTHER)), "rewritten"),
        (two(7, 12, path(7, 12)), "unproven"),
        (two(7, 12), "unproven"),
        (two(7, 12, (bytes(32),) * 4), "unproven"),
        (two(7, 12, (bytes(32),) * len(path(7, 12))), "unproven"),
        # What grew from a power of two names no other past: told, not proven.
        (two(8, 12, path(8, 12, OTHER)), "unproven"),
        (two(7, 7, newer=LEAVES), "none"),
        (two(7, 12, path(7, 12), LEAVES), "none"),
        (two(0, 12), "none"),
    ],
)
def test_what_a_file_shows(found, finding):
    assert parse(found.text()) == found
    assert found.judge(LOG.verifier)[0] == finding
    turned = Contradiction(found.key, (), found.newer, found.older, found.hashes)
    assert turned.judge()[0] == finding


def test_the_smaller_checkpoint_comes_first():
    _, older, newer = two(12, 7).judge()
    assert (older.size, newer.size) == (7, 12)


def test_a_fork_across_a_change_of_keys():
    note = Succession(LOG.verifier, NEXT.verifier, 9).signed(NEXT, LOG)
    found = Contradiction(
        str(LOG.verifier),
        (note,),
        head(7).signed(LOG),
        head(12, OTHER).signed(NEXT),
        path(7, 12, OTHER),
    )
    assert found.judge(NEXT.verifier)[0] == "rewritten"


def code(found: Contradiction, trusted=None) -> str:
    with pytest.raises(ContradictionError) as error:
        found.judge(trusted)
    return error.value.code


def test_nobody_is_accused_by_a_key_that_is_not_the_logs():
    forged = Contradiction(
        str(LOG.verifier), (), head(7).signed(LOG), head(7, OTHER).signed(STRANGER)
    )
    assert code(forged) == "SIGNATURE_MISSING"
    own = Contradiction(
        str(STRANGER.verifier), (), head(7).signed(STRANGER), head(7, OTHER).signed(STRANGER)
    )
    assert code(own, LOG.verifier) == "KEY_OTHER"
    assert code(Contradiction("nonsense", (), "", "")) == "KEY_FORM"


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"more": 1},
        {"key": 1},
        {"successions": [1]},
        {"successions": 1},
        {"hashes": ["AA=="]},
        {"hashes": ["?"]},
        {"hashes": [1]},
        {"older": None},
    ],
)
def test_what_is_no_such_file(change):
    document = json.loads(two(7, 7).text()) | change
    for text in (json.dumps(document), "", "[]", "{"):
        with pytest.raises(ContradictionError) as error:
            parse(text)
        assert error.value.code == "FILE_FORM"


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.lists(st.binary(min_size=32, max_size=32), max_size=8),
)
def test_no_honest_log_is_ever_accused(old, new, hashes):
    """Whatever path an accuser makes up, two checkpoints of one log prove nothing against it."""
    for path_ in (tuple(hashes), path(min(old, new), max(old, new))):
        assert two(old, new, path_, LEAVES).judge()[0] in {"none", "unproven"}
