"""A witness without HTTP: the specification's request, and each refusal by its code and status."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tlog import witness
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.keys import LogKeys, Succession
from gateway.tlog.merkle import consistency_path, leaf_hash, root_of
from gateway.tlog.note import Signer
from gateway.tlog.witness import REFUSALS, AddCheckpoint, WitnessError, judge, parse

ORIGIN = "log.example/audit"
LOG = Signer(ORIGIN, bytes(32))
NEXT = Signer(ORIGIN, bytes([1]) * 32)
STRANGER = Signer(ORIGIN, bytes([2]) * 32)
KEYS = LogKeys.of(LOG.verifier)
LEAVES = [leaf_hash(bytes([number])) for number in range(40)]
# c2sp.org/tlog-witness, "add-checkpoint".
EXAMPLE = (
    "old 20852014\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\njrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n"
    "5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\n"
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)


def head(size: int, leaves: list[bytes] = LEAVES) -> Checkpoint:
    return Checkpoint(ORIGIN, size, root_of(leaves[:size]))


def path(old: int, new: int, leaves: list[bytes] = LEAVES) -> tuple[bytes, ...]:
    def node(level: int, number: int) -> bytes:
        return root_of(leaves[number << level : (number + 1) << level])

    return tuple(consistency_path(node, old, new))


def request(
    old: int, new: int, leaves: list[bytes] = LEAVES, signer: Signer = LOG
) -> AddCheckpoint:
    return AddCheckpoint(old, path(old, new, leaves), head(new, leaves).signed(signer))


def refused(asked: AddCheckpoint, cosigned: Checkpoint | None, keys: LogKeys = KEYS) -> str:
    with pytest.raises(WitnessError) as error:
        judge(asked, keys, cosigned)
    assert REFUSALS[error.value.code] in {400, 403, 404, 409, 422}
    return error.value.code


def test_the_request_of_the_specification_is_read_and_written_again():
    asked = parse(EXAMPLE)
    assert (asked.old_size, len(asked.hashes)) == (20852014, 4)
    assert asked.text() == EXAMPLE


@pytest.mark.parametrize(
    ("old", "new"), [(0, 0), (0, 7), (7, 7), (7, 8), (8, 9), (1, 40), (16, 40)]
)
def test_a_log_that_grew_is_cosigned(old, new):
    assert judge(request(old, new), KEYS, head(old) if old else None) == head(new)


def test_a_log_under_its_next_key_is_cosigned_by_who_follows():
    note = Succession(LOG.verifier, NEXT.verifier, 8).signed(NEXT, LOG)
    keys = LogKeys.of(LOG.verifier, [note])
    assert judge(request(7, 12, signer=NEXT), keys, head(7)) == head(12)
    assert refused(request(7, 12, signer=LOG), head(7), keys) == "LOG_SIGNATURE"


OTHER = [*LEAVES[:5], leaf_hash(b"other"), *LEAVES[6:]]


@pytest.mark.parametrize(
    ("asked", "cosigned", "code"),
    [
        (request(0, 6), head(7), "SIZE_SHRANK"),
        (request(7, 6 + 1, OTHER), head(7), "LOG_FORKED"),
        (request(6, 9), head(7), "SIZE_OTHER"),
        (request(7, 9), None, "SIZE_OTHER"),
        (request(0, 9), head(7), "SIZE_OTHER"),
        (request(7, 9, OTHER), head(7), "LOG_INCONSISTENT"),
        (AddCheckpoint(7, (), head(9).signed(LOG)), head(7), "LOG_INCONSISTENT"),
        (AddCheckpoint(0, (bytes(32),), head(9).signed(LOG)), None, "LOG_INCONSISTENT"),
        (AddCheckpoint(7, (bytes(32),), head(7).signed(LOG)), head(7), "LOG_INCONSISTENT"),
        (request(7, 9, signer=STRANGER), head(7), "LOG_SIGNATURE"),
        (AddCheckpoint(7, (), "nonsense"), head(7), "LOG_SIGNATURE"),
        (AddCheckpoint(0, (), Checkpoint("other", 3, bytes(32)).signed(LOG)), None, "LOG_UNKNOWN"),
    ],
)
def test_what_is_not_cosigned(asked, cosigned, code):
    assert refused(asked, cosigned) == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "old 1\n",
        EXAMPLE.replace("old 2", "old 02"),
        EXAMPLE.replace("old ", "new "),
        EXAMPLE.replace("old 20852014", "old 9223372036854775808"),
        EXAMPLE.replace("PlRN", "PlR"),
        "old 1\n" + (base64.b64encode(bytes(32)).decode() + "\n") * 64 + "\nnote\n",
    ],
)
def test_what_is_no_request(text):
    with pytest.raises(WitnessError) as error:
        parse(text)
    assert error.value.code == "REQUEST_FORM"


@given(st.integers(0, 40), st.integers(0, 40), st.sampled_from(range(40)))
def test_no_history_that_differs_within_what_was_cosigned_is_ever_cosigned(old, new, where):
    """For every pair of sizes and every changed entry: cosigned only where the change is after the old size."""
    changed = [*LEAVES[:where], leaf_hash(b"changed"), *LEAVES[where + 1 :]]
    asked = AddCheckpoint(
        old, path(old, new, changed) if old <= new else (), head(new, changed).signed(LOG)
    )
    try:
        judge(asked, KEYS, head(old) if old else None)
    except WitnessError:
        assert new < old or where < old
    else:
        assert where >= old


def test_every_refusal_has_a_status_of_the_specification():
    assert set(witness.REFUSALS.values()) == {400, 403, 404, 409, 422}
