"""A list of keys with size ranges: followed by doubly signed notes both ways, and everything else refused by its code."""

import itertools

import pytest

from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.keys import LogKeys, Ranged, Succession, read_succession, signs, told
from gateway.tlog.note import NoteError, Signer, sign

ORIGIN = "log.example/audit"
KEYS = [Signer(ORIGIN, bytes([number]) * 32) for number in range(1, 6)]
FIRST, SECOND, THIRD, FOURTH, THIEF = KEYS
STRANGER = Signer("other.example/audit", bytes([9]) * 32)
SIZE = 40


def succession(old: Signer, new: Signer, from_size: int = SIZE) -> str:
    return Succession(old.verifier, new.verifier, from_size).signed(new, old)


CHAIN = [succession(FIRST, SECOND), succession(SECOND, THIRD, 70), succession(THIRD, FOURTH, 70)]


def code(raised: pytest.ExceptionInfo[NoteError]) -> str:
    return raised.value.code


def checkpoint(size: int, *signers: Signer, origin: str = ORIGIN) -> str:
    return Checkpoint(origin, size, bytes([size % 256]) * 32).signed(*signers)


def ranges(keys: LogKeys) -> list[tuple[Signer, int, int | None]]:
    by_name = {str(one.verifier): one for one in KEYS}
    return [(by_name[str(one.verifier)], one.from_size, one.until_size) for one in keys.ranges]


def test_one_key_is_a_list_of_one():
    keys = LogKeys.of(FIRST.verifier)
    assert ranges(keys) == [(FIRST, 0, None)]
    assert keys.open(checkpoint(0 + 1, FIRST)).size == 1
    assert (keys.origin, str(keys.newest)) == (ORIGIN, str(FIRST.verifier))


def test_a_succession_is_a_signed_note_and_never_a_checkpoint():
    made = Succession(FIRST.verifier, SECOND.verifier, SIZE)
    assert made.text() == (
        f"gateway/log-key/v1\n{ORIGIN}\nold {FIRST.verifier}\nnew {SECOND.verifier}\nfrom 40\n"
    )
    assert read_succession(made.signed(SECOND, FIRST), ORIGIN) == made
    with pytest.raises(NoteError) as raised:
        LogKeys.of(FIRST.verifier).open(made.signed(SECOND, FIRST))
    assert code(raised) == "CHECKPOINT_FORM"


@pytest.mark.parametrize("trusted", [FIRST, SECOND, THIRD, FOURTH])
@pytest.mark.parametrize("order", list(itertools.permutations(CHAIN)))
def test_whoever_trusts_one_key_of_a_chain_follows_it_both_ways(trusted, order):
    keys = LogKeys.of(trusted.verifier, order)
    assert ranges(keys) == [(FIRST, 0, 40), (SECOND, 40, 70), (THIRD, 70, 70), (FOURTH, 70, None)]
    assert keys.followed(order) == keys
    assert keys.followed([]) == keys


@pytest.mark.parametrize(
    ("signers", "size", "expected"),
    [
        ([FIRST], SIZE - 1, SIZE - 1),
        ([FIRST], SIZE, SIZE),
        ([FIRST], SIZE + 1, "KEY_ENDED"),
        ([SECOND], SIZE - 1, "KEY_EARLY"),
        ([SECOND], SIZE, SIZE),
        ([SECOND], SIZE + 1, SIZE + 1),
        ([SECOND, FIRST], SIZE - 1, SIZE - 1),
        ([SECOND, FIRST], SIZE, SIZE),
        # The overlap: the old line is there for those who know no other.
        ([SECOND, FIRST], SIZE + 1, SIZE + 1),
        ([THIEF], SIZE, "SIGNATURE_MISSING"),
        ([THIEF, SECOND], SIZE, SIZE),
    ],
)
def test_each_key_proves_its_sizes_only(signers, size, expected):
    keys = LogKeys.of(FIRST.verifier, [succession(FIRST, SECOND)])
    if isinstance(expected, int):
        assert keys.open(checkpoint(size, *signers)).size == expected
        return
    with pytest.raises(NoteError) as raised:
        keys.open(checkpoint(size, *signers))
    assert code(raised) == expected


def test_who_does_not_know_the_new_key_goes_on_by_the_old_line():
    assert LogKeys.of(FIRST.verifier).open(checkpoint(SIZE + 1, SECOND, FIRST)).size == SIZE + 1


@pytest.mark.parametrize("false", [FIRST, SECOND])
def test_two_keys_and_one_line_false_is_no_checkpoint_at_any_size(false):
    keys = LogKeys.of(FIRST.verifier, [succession(FIRST, SECOND)])
    for size in (SIZE - 1, SIZE, SIZE + 1):
        other = checkpoint(size + 100, false).rpartition("\n\n")[2]
        good = checkpoint(size, SECOND if false is FIRST else FIRST)
        with pytest.raises(NoteError) as raised:
            keys.open(good + other)
        assert code(raised) == "SIGNATURE_INVALID"


def test_another_logs_checkpoint_is_refused():
    with pytest.raises(NoteError) as raised:
        LogKeys.of(FIRST.verifier).open(checkpoint(3, FIRST, origin="other.example/audit"))
    assert code(raised) == "CHECKPOINT_ORIGIN"


GOOD = Succession(FIRST.verifier, SECOND.verifier, SIZE)
OTHER_ORIGIN = GOOD.text().replace(f"\n{ORIGIN}\n", "\nother.example/audit\n", 1)
FORGED = {
    "signed only by the new key": (sign(GOOD.text(), SECOND), "KEY_NOTE_OLD"),
    "signed only by the old key": (sign(GOOD.text(), FIRST), "KEY_NOTE_NEW"),
    "signed by neither": (sign(GOOD.text(), THIEF), "KEY_NOTE_OLD"),
    "another log's name": (sign(OTHER_ORIGIN, SECOND, FIRST), "KEY_NOTE_ORIGIN"),
    "only the old, and another log's name": (sign(OTHER_ORIGIN, FIRST), "KEY_NOTE_ORIGIN"),
    "another log's key": (
        Succession(FIRST.verifier, STRANGER.verifier, SIZE).signed(STRANGER, FIRST),
        "KEY_NOTE_ORIGIN",
    ),
    "a size changed": (
        GOOD.signed(SECOND, FIRST).replace("from 40", "from 41"),
        "SIGNATURE_INVALID",
    ),
    "a checkpoint": (checkpoint(3, FIRST), "KEY_NOTE_FORM"),
    "no number": (sign(GOOD.text().replace("from 40", "from 040"), SECOND, FIRST), "KEY_NOTE_FORM"),
    "too large": (
        sign(GOOD.text().replace("from 40", f"from {2**63}"), SECOND, FIRST),
        "KEY_NOTE_FORM",
    ),
    "a line more": (sign(GOOD.text() + "more\n", SECOND, FIRST), "KEY_NOTE_FORM"),
    "no note": ("nonsense", "NOTE_FORM"),
    "no key": (
        sign(GOOD.text().replace(str(SECOND.verifier), "no-key"), SECOND, FIRST),
        "KEY_NOTE_FORM",
    ),
    "of no key trusted here": (succession(THIEF, SECOND), "KEY_NOTE_STRANGE"),
    "its own successor": (succession(FIRST, FIRST), "KEY_RANGE"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_succession_is_refused_by_its_code(name):
    raw, expected = FORGED[name]
    with pytest.raises(NoteError) as raised:
        LogKeys.of(FIRST.verifier).followed([raw])
    assert code(raised) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (succession(FIRST, THIEF), "KEY_FORKED"),
        (succession(FIRST, THIEF, 999), "KEY_FORKED"),
        (succession(THIEF, SECOND), "KEY_FORKED"),
        (succession(FIRST, SECOND, SIZE + 1), "KEY_RANGE"),
        (succession(FIRST, SECOND, SIZE - 1), "KEY_RANGE"),
        (succession(SECOND, FIRST, 99), "KEY_RANGE"),
        (succession(SECOND, THIRD, SIZE - 1), "KEY_RANGE"),
    ],
)
def test_what_contradicts_the_list_is_refused(raw, expected):
    keys = LogKeys.of(FIRST.verifier, [succession(FIRST, SECOND)])
    with pytest.raises(NoteError) as raised:
        keys.followed([raw])
    assert code(raised) == expected


@pytest.mark.parametrize(("from_size", "good"), [(SIZE - 1, False), (SIZE, True), (SIZE + 1, True)])
def test_a_key_does_not_end_before_it_begins(from_size, good):
    keys = LogKeys.of(SECOND.verifier, [succession(FIRST, SECOND)])
    if good:
        assert (
            keys.followed([succession(SECOND, THIRD, from_size)]).ranges[1].until_size == from_size
        )
        return
    with pytest.raises(NoteError) as raised:
        keys.followed([succession(SECOND, THIRD, from_size)])
    assert code(raised) == "KEY_RANGE"


def test_a_key_that_was_followed_never_comes_again():
    keys = LogKeys.of(FIRST.verifier, CHAIN[:2])
    with pytest.raises(NoteError) as raised:
        keys.followed([succession(THIRD, FIRST, 99)])
    assert code(raised) == "KEY_RANGE"


def test_what_is_told_of_a_list():
    keys = LogKeys((Ranged(FIRST.verifier, 0, 40), Ranged(SECOND.verifier, 40)))
    assert told(keys.ranges) == [
        {"key": str(FIRST.verifier), "from_size": 0, "until_size": 40},
        {"key": str(SECOND.verifier), "from_size": 40, "until_size": None},
    ]
    assert signs(checkpoint(3, FIRST), FIRST.verifier)
    assert not signs(checkpoint(3, FIRST), SECOND.verifier)
