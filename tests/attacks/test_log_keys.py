"""Keys of the log that end, and who goes on signing with them: the verifier of an export, alone.

The keys: the first signs up to 600 entries, the second from there, the third from 900. Who reads trusts the first.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.audit.verify import Report, verify_folder
from gateway.tlog.keys import LogKeys, Succession
from gateway.tlog.note import Signer, Verifier, sign
from tests.audit.folder import (
    ORIGIN,
    SECOND,
    SIGNER,
    THIRD,
    key_leaf,
    leaf,
    note_keys,
    signed,
    succession,
    write,
)

FIRST_END, SECOND_END = 600, 900
NOTES = (succession(SIGNER, SECOND, FIRST_END), succession(SECOND, THIRD, SECOND_END))
ENTRIES = [leaf(i) for i in range(1000)]
ENTRIES[602] = key_leaf(602, SIGNER, SECOND, FIRST_END)
ENTRIES[901] = key_leaf(901, SECOND, THIRD, SECOND_END)
THIEF = Signer(ORIGIN, bytes([9]) * 32)
# The log from 700 on as a thief of the first key would have it, without a word of any other key.
REWRITTEN = [*ENTRIES[:602], *(leaf(i, account="a.county") for i in range(602, 1000))]


def folder_of(folder: Path, size: int, *signers: Signer, notes: tuple[str, ...] = NOTES) -> Path:
    return note_keys(write(folder, ENTRIES[:size], signed(ENTRIES[:size], *signers)), *notes)


def verified(
    folder: Path, trusted: Verifier | LogKeys = SIGNER.verifier, older: tuple[str, ...] = ()
) -> Report:
    return verify_folder(folder, trusted, older=older)


def codes(report: Report) -> list[str]:
    return [each.code for each in report.failures]


@pytest.mark.parametrize("trusted", [SIGNER, SECOND, THIRD])
def test_the_untouched_log_verifies_by_any_key_of_the_chain(
    tmp_path: Path, trusted: Signer
) -> None:
    """Also checkpoints of every key that were kept from before: old evidence is good for ever."""
    older = tuple(
        signed(ENTRIES[:size], signer)
        for size, signer in [(1, SIGNER), (600, SIGNER), (600, SECOND), (900, SECOND), (950, THIRD)]
    )
    report = verified(folder_of(tmp_path / "log", 1000, THIRD), trusted.verifier, older)
    assert (codes(report), report.notices) == ([], ())
    assert report.older_sizes == (1, 600, 600, 900, 950)
    assert [(one.from_size, one.until_size) for one in report.keys.ranges] == [
        (0, 600),
        (600, 900),
        (900, None),
    ]


@pytest.mark.parametrize(
    ("size", "signers", "expected"),
    [
        (599, [SIGNER], []),
        (600, [SIGNER], []),
        (601, [SIGNER], ["KEY_ENDED"]),
        (599, [SECOND], ["KEY_EARLY"]),
        (600, [SECOND], []),
        (601, [SECOND], []),
        (601, [SECOND, SIGNER], []),
        (900, [SECOND], []),
        (901, [SECOND], ["KEY_ENDED"]),
        (901, [SECOND, SIGNER], ["KEY_ENDED"]),
        (1000, [THIRD, SECOND], []),
    ],
)
def test_an_old_keys_checkpoint_beyond_its_range(
    tmp_path: Path, size: int, signers: list[Signer], expected: list[str]
) -> None:
    assert codes(verified(folder_of(tmp_path / "log", size, *signers))) == expected


FIRST_TO_SECOND = Succession(SIGNER.verifier, SECOND.verifier, FIRST_END)
ELSEWHERE = FIRST_TO_SECOND.text().replace(f"\n{ORIGIN}\n", "\nother.invalid/audit\n", 1)
FORGED = {
    "signed by the thief's key alone": (
        sign(Succession(SIGNER.verifier, THIEF.verifier, 700).text(), THIEF),
        "KEY_NOTE_OLD",
    ),
    "signed by the new key alone": (sign(FIRST_TO_SECOND.text(), SECOND), "KEY_NOTE_OLD"),
    "signed by the old key alone": (sign(FIRST_TO_SECOND.text(), SIGNER), "KEY_NOTE_NEW"),
    "another log's origin, the old key alone": (sign(ELSEWHERE, SIGNER), "KEY_NOTE_ORIGIN"),
    "another log's origin": (sign(ELSEWHERE, SECOND, SIGNER), "KEY_NOTE_ORIGIN"),
    "of keys that nobody trusts": (succession(THIEF, THIRD, 700), "KEY_NOTE_STRANGE"),
    "no note": ("nonsense", "NOTE_FORM"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_note_of_a_successor(tmp_path: Path, name: str) -> None:
    """It is told, and no key that it names is trusted."""
    note, expected = FORGED[name]
    folder = folder_of(tmp_path / "log", 602, THIEF, SECOND, notes=(note,))
    report = verified(folder)
    assert codes(report) == [expected, "SIGNATURE_MISSING"]
    assert report.keys.verifiers == [SIGNER.verifier]


@pytest.mark.parametrize("from_size", [599, 601])
def test_a_range_that_overlaps_wrongly(tmp_path: Path, from_size: int) -> None:
    """Both keys signed it, at another time: the ranges of one key cannot be two."""
    other = succession(SIGNER, SECOND, from_size)
    report = verified(folder_of(tmp_path / "log", 601, SECOND, notes=(NOTES[0], other)))
    assert codes(report)[0] == "KEY_RANGE"
    earlier = succession(SECOND, THIRD, FIRST_END - 1)
    report = verified(folder_of(tmp_path / "log", 601, THIRD, notes=(NOTES[0], earlier)))
    assert codes(report)[0] == "KEY_RANGE"


def test_a_second_successor_of_one_key(tmp_path: Path) -> None:
    """The old key was stolen and vouches for the thief's: whoever has followed refuses."""
    followed = LogKeys.of(SIGNER.verifier, NOTES)
    folder = folder_of(tmp_path / "log", 1000, THIEF, notes=(succession(SIGNER, THIEF, 700),))
    assert codes(verified(folder, followed))[0] == "KEY_FORKED"


@pytest.mark.parametrize("left", [(), NOTES[:1]])
def test_a_list_of_keys_that_was_rolled_back(tmp_path: Path, left: tuple[str, ...]) -> None:
    """Without the note an ended key would prove everything again; the log itself tells of it."""
    signer = SECOND if left else SIGNER
    report = verified(folder_of(tmp_path / "log", 1000, signer, notes=left))
    assert codes(report) == ["KEY_LIST_SHORT"] * (2 - len(left))


REWRITES: dict[str, tuple[Verifier | LogKeys, tuple[str, ...], list[str]]] = {
    # What the verifier alone cannot know, and who knows: docs/threats.md.
    "alone": (SIGNER.verifier, (), []),
    "who followed": (LogKeys.of(SIGNER.verifier, NOTES), (), ["KEY_ENDED"]),
    "with a checkpoint of before": (
        SIGNER.verifier,
        (signed(ENTRIES[:700], SECOND, SIGNER),),
        ["HISTORY_DIFFERS"],
    ),
}


@pytest.mark.parametrize("name", REWRITES)
def test_a_thief_of_the_old_key_rewrites_the_log_since(tmp_path: Path, name: str) -> None:
    trusted, older, expected = REWRITES[name]
    folder = write(tmp_path / "log", REWRITTEN, signed(REWRITTEN, SIGNER))
    assert codes(verified(folder, trusted, older)) == expected


CHANGES: dict[str, Callable[[dict[str, object]], dict[str, object]]] = {
    "old": lambda told: told | {"old_key": THIEF.verifier.key_id.hex()},
    "new": lambda told: told | {"new_key": THIEF.verifier.key_id.hex()},
    "size": lambda told: told | {"from_size": 601},
    "nothing": lambda _: {},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_leaf_that_tells_of_another_succession(tmp_path: Path, name: str) -> None:
    told = {
        "old_key": SIGNER.verifier.key_id.hex(),
        "new_key": SECOND.verifier.key_id.hex(),
        "from_size": FIRST_END,
    }
    entries = [*ENTRIES[:602], leaf(602, kind="log.key", detail=CHANGES[name](told))]
    folder = write(tmp_path / "log", entries, signed(entries, SECOND))
    assert codes(verified(note_keys(folder, NOTES[0]))) == ["KEY_LIST_SHORT"]
