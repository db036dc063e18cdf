"""Only what continues the log is taken; everything else leaves the judge as it was."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.tlog.frontier import Frontier
from gateway.tlog.growth import RECENT_ROOTS, Claim, Growth, read_claim
from gateway.tlog.merkle import leaf_hash, root_of

HASHES = [leaf_hash(i.to_bytes(4, "big")) for i in range(400)]
OTHERS = [leaf_hash(b"other" + i.to_bytes(4, "big")) for i in range(400)]


def claim(begin: int, size: int, hashes: list[bytes] = HASHES) -> Claim:
    return Claim(begin, size, root_of(hashes[:size]), b"".join(hashes[begin:size]))


@given(st.lists(st.integers(0, 300), max_size=12), st.data())
@settings(max_examples=60)
def test_whatever_is_claimed_the_log_only_grows_along_itself(
    sizes: list[int], data: st.DataObject
) -> None:
    growth = Growth(Frontier())
    growth.judge(claim(0, 1))  # the first head of a log is whatever its owner says
    for size in sizes:
        begin = data.draw(st.integers(0, size))
        honest = data.draw(st.booleans())
        before = growth.size
        verdict = growth.judge(claim(begin, size, HASHES if honest else OTHERS))
        assert (verdict == "grown") == (growth.size > before)
        assert growth.frontier.root() == root_of(HASHES[: growth.size])
        if honest:
            assert verdict != "inconsistent"
        elif size:
            assert verdict in ("inconsistent", "elsewhere")


def test_hashes_that_do_not_make_the_size() -> None:
    growth = Growth(Frontier())
    short = Claim(0, 5, root_of(HASHES[:4]), b"".join(HASHES[:4]))
    assert growth.judge(short) == "inconsistent"
    assert growth.size == 0


def test_undone_growth_can_be_made_again() -> None:
    growth = Growth(Frontier())
    growth.judge(claim(0, 3))
    before = growth.frontier
    assert growth.judge(claim(3, 7)) == "grown"
    growth.undo(before)
    assert growth.size == 3
    assert growth.judge(claim(0, 7)) == "grown"
    assert growth.judge(claim(0, 3)) == "known"


def test_only_so_many_roots_are_remembered() -> None:
    growth = Growth(Frontier())
    leaf = HASHES[0]
    frontier = Frontier()
    for size in range(1, RECENT_ROOTS + 3):
        frontier.append(leaf)
        assert growth.judge(Claim(size - 1, size, frontier.root(), leaf)) == "grown"
    assert growth.judge(Claim(0, 2, root_of([leaf] * 2), leaf * 2)) == "elsewhere"
    assert growth.judge(Claim(0, 3, root_of([leaf] * 3), leaf * 3)) == "known"


GOOD = {
    "from": 1,
    "size": 3,
    "root": HASHES[0].hex(),
    "hashes": base64.b64encode(HASHES[1] + HASHES[2]).decode(),
}


def test_a_claim_is_read_from_its_line() -> None:
    assert read_claim(json.dumps(GOOD).encode()) == Claim(1, 3, HASHES[0], HASHES[1] + HASHES[2])
    assert read_claim(b'{"newest": true}') is None
    none = {"from": 0, "size": 0, "root": HASHES[0].hex(), "hashes": ""}
    assert read_claim(json.dumps(none).encode()) == Claim(0, 0, HASHES[0], b"")
    largest = none | {"from": 2**63 - 1, "size": 2**63 - 1}
    assert read_claim(json.dumps(largest).encode()) == Claim(2**63 - 1, 2**63 - 1, HASHES[0], b"")


@pytest.mark.parametrize(
    "document",
    [
        [],
        1,
        {},
        {"newest": False},
        GOOD | {"more": 1},
        GOOD | {"from": -1},
        GOOD | {"from": 4},
        GOOD | {"from": 1.0},
        GOOD | {"from": True},
        GOOD | {"size": "3"},
        GOOD | {"size": 2**63},
        GOOD | {"root": "00"},
        GOOD | {"root": "zz" * 32},
        GOOD | {"root": 1},
        GOOD | {"hashes": "AAAA"},
        GOOD | {"hashes": "not base64"},
        GOOD | {"hashes": None},
    ],
)
def test_malformed_requests(document: object) -> None:
    with pytest.raises(ValueError, match=r"no[nt]|Expecting"):
        read_claim(json.dumps(document).encode())
