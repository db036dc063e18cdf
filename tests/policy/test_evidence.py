"""What leaves prove of an activation: who proposed it before, who signed it when and as what, and nothing else."""

from dataclasses import replace

import pytest

from gateway.audit.event import Event
from gateway.policy import evidence
from gateway.policy.evidence import ACTIVE, PROPOSE, SIGN, SIGNED, Evidence, Proven, Told, Wait
from gateway.policy.proposing import Signature
from gateway.policy.signing import Paper, Row
from gateway.store.database import Transaction
from gateway.tlog import leaf
from tests.policies import _APPEND, signature_leaf, tell
from tests.policy.test_activation import Hand, in_a_world

DIGEST, S = "ab" * 32, 1_000_000
OPENS = Told(3, 0, PROPOSE, 2, DIGEST, "", frozenset(), "", "", Wait(100 * S, 120))


def proven(leaf: int, second: float, *, active: bool = False, person: str = "") -> Proven:
    paper = Paper(b"", "", 1, None, None)
    row = Row(person or f"person-{leaf}", "", b"", 0, paper)
    return Proven(row, leaf, round(second * S), active)


WAIT = Wait(100 * S, 120)
FIRST, LAST = proven(5, 90), proven(6, 210, active=True)


@pytest.mark.parametrize(
    ("found", "wait", "stands"),
    [
        ([FIRST, LAST], WAIT, True),
        ([FIRST, LAST], None, False),
        ([LAST], WAIT, False),
        ([FIRST, replace(LAST, active=False)], WAIT, False),
        # A second too soon: after the other, after the day that was proposed.
        ([FIRST, proven(6, 209, active=True)], WAIT, False),
        ([FIRST, LAST], Wait(211 * S, 120), False),
        # The one that tells of the activation must be the later one.
        ([replace(FIRST, active=True), replace(LAST, active=False)], WAIT, False),
        ([FIRST, proven(6, 150), proven(9, 300, active=True)], WAIT, True),
        # One person is not two; and what was told in somebody's name before unseats nothing.
        ([FIRST, proven(6, 300, active=True, person="person-5")], WAIT, False),
        ([FIRST, proven(6, 150), proven(9, 300, active=True, person="person-6")], WAIT, True),
    ],
)
def test_two_in_time_and_the_later_one_tells_that_it_is_active(found, wait, stands) -> None:
    last = evidence.activating(found, lambda _leaf: wait, 2)
    assert (last is not None) == stands
    assert last is None or last.active


def test_the_longest_wait_that_was_told_counts_and_only_for_its_bundle() -> None:
    again = replace(OPENS, index=4, wait=Wait(50 * S, 300))
    told = Evidence((OPENS, again, replace(OPENS, sha256="cd" * 32, wait=Wait(900 * S, 900))))
    assert told.wait(2, DIGEST) == Wait(100 * S, 300)
    assert told.wait(3, DIGEST) is None
    # What was told after a leaf changes nothing for it.
    assert [told.wait(2, DIGEST, before) for before in (5, 4, 3)] == [
        Wait(100 * S, 300),
        Wait(100 * S, 120),
        None,
    ]
    assert (told.tells(2, DIGEST), told.tells(3, DIGEST)) == (True, False)
    assert Evidence(()).wait(2, DIGEST) is None


def test_the_newest_activation_told_after_a_leaf() -> None:
    signed = replace(OPENS, kind=SIGN, state=SIGNED, number=9)
    active = replace(signed, index=7, state=ACTIVE, number=4)
    told = Evidence((OPENS, signed, active))
    assert [told.newest(after) for after in (-1, 6, 7)] == [4, 4, 0]


def test_leaves_tell_what_is_read_back(cluster) -> None:
    async def work(world):
        hand, mine = Hand(world), Signature("zhao", "zhao", b"\x01" * 32, b"", 0)
        detail = evidence.proposed(2, DIGEST, Wait(5, 120))
        await hand(tell, Event(kind=PROPOSE, door="host", detail=detail), 70)
        await hand(tell, signature_leaf(2, DIGEST, mine, "reader", "approver", active=True), 77)
        # Of before there were numbers; another kind.
        await hand(tell, Event(kind=SIGN, detail={"state": ACTIVE}), 78)
        await hand(tell, Event(kind="log.start", detail={"activation": 9}), 79)
        told = await hand(evidence.read, 2)
        assert isinstance(told, Evidence)
        proposed, signed = told.leaves
        assert (proposed.kind, proposed.number, proposed.wait) == (PROPOSE, 2, Wait(5, 120))
        assert (signed.time_us, signed.kind, signed.sha256, signed.state) == (
            77,
            SIGN,
            DIGEST,
            ACTIVE,
        )
        assert (signed.roles, signed.certificate) == ({"approver", "reader"}, "01" * 32)
        assert signed.subject.endswith("/officer/zhao")
        assert told.newest(-1) == 2
        assert (await hand(evidence.read, 3)).leaves == ()

    in_a_world(cluster, work)


STRANGE: list[dict[str, leaf.Json]] = [
    {"activation": 999999},
    {"activation": "2", "target_bundle": DIGEST},
    {"activation": 2, "state": ACTIVE},
    {"activation": 2, "target_bundle": DIGEST, "state": ACTIVE, "roles": "security_officer"},
    {"activation": 2, "target_bundle": DIGEST, "valid_from_us": "soon", "apart_s": 120},
]


def test_what_no_door_of_ours_tells_is_passed_over(cluster) -> None:
    async def work(world):
        hand = Hand(world)
        mine = Signature("zhao", "zhao", b"\x01" * 32, b"", 0)
        for kind in (PROPOSE, SIGN):
            for detail in STRANGE:
                await hand(appended, kind, detail)
        # Not canonical: no encoder of ours wrote it.
        spaced = b'{"decision": "allow", "kind": "policies.approve", "detail": {"activation": 2}, "time_us": 1}'
        await hand(told_raw, spaced)
        await hand(tell, signature_leaf(2, DIGEST, mine, active=True), 77)
        assert [one.time_us for one in (await hand(evidence.read, 1)).leaves] == [77]

    in_a_world(cluster, work)


async def appended(tx: Transaction, kind: str, detail: dict[str, leaf.Json]) -> None:
    """A leaf of that detail, whatever `Event` would say of it."""
    document = {"decision": "allow", "detail": detail, "kind": kind, "time_us": 1, "version": 1}
    await told_raw(tx, leaf.encode(document))


async def told_raw(tx: Transaction, content: bytes) -> None:
    """A leaf of these bytes, as administration's password appends them."""
    await tx.fetch_one(_APPEND, ([content],))
