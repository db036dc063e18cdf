"""The twelve attacks of reference/audit.md section 5 on a log of 1,500 entries, outside checkpoint at 1,200.

Each is run against the verifier alone, with the checkpoint that somebody outside kept, with one that witnesses cosigned near
the end, and with the quorum's policy alone. What the table says is missed is missed here too: that is the un-witnessed tail,
and no promise of ours. From the fourth on the thief has the signer's key; a witness's he has not.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gateway.audit.verify import verify_folder
from gateway.tlog import tiles
from gateway.tlog.note import Signer
from tests.audit.folder import ORIGIN, SIGNER, cosigned, leaf, put, quorum, signed, write

Entries = Sequence[bytes]
LOG = [leaf(i) for i in range(1500)]
OUTSIDE = signed(LOG[:1200])
EDITED = [*LOG[:500], leaf(500, decision="deny"), *LOG[501:]]


def edit_only(folder: Path) -> None:
    write(folder, LOG)
    place = tiles.Tile(None, 1)
    put(folder, place, tiles.pack_bundle(EDITED[256:512]))


def rebuilt(entries: Entries, note: str | None = None) -> Callable[[Path], None]:
    return lambda folder: (write(folder, entries, note), None)[1]


# name: (attack, found alone, found with the outside checkpoint); None: missed
ATTACKS: dict[str, tuple[Callable[[Path], None], str | None, str | None]] = {
    "1 edit an entry file": (edit_only, "ENTRY_DIFFERS", "ENTRY_DIFFERS"),
    "2 edit and rebuild, no key": (rebuilt(EDITED, signed(LOG)), "ROOT_DIFFERS", "ROOT_DIFFERS"),
    "3 rebuild, other key": (
        rebuilt(EDITED, signed(EDITED, Signer(ORIGIN, bytes(32)))),
        "SIGNATURE_MISSING",
        "SIGNATURE_MISSING",
    ),
    "4 rebuild, stolen key": (rebuilt(EDITED), None, "HISTORY_DIFFERS"),
    "5 delete one": (rebuilt([*LOG[:500], *LOG[501:]]), None, "HISTORY_DIFFERS"),
    "6 reorder": (rebuilt([*LOG[:500], LOG[501], LOG[500], *LOG[502:]]), None, "HISTORY_DIFFERS"),
    "7 insert": (rebuilt([*LOG[:500], leaf(499, kind="x"), *LOG[500:]]), None, "HISTORY_DIFFERS"),
    "8 truncate below the witnessed size": (rebuilt(LOG[:1100]), None, "LOG_SHORTENED"),
    "10 old backup with its genuine checkpoint": (
        rebuilt(LOG[:900], signed(LOG[:900])),
        None,
        "LOG_SHORTENED",
    ),
    "9 truncate above the witnessed size": (rebuilt(LOG[:1300]), None, None),
    "11 fork after the witnessed size": (
        rebuilt([*LOG[:1300], *(leaf(i, kind="x") for i in range(1300, 1500))]),
        None,
        None,
    ),
    "12 delete rows of the tail": (rebuilt([*LOG[:1300], *LOG[1310:]]), None, None),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(tmp_path: Path, name: str) -> None:
    attack, alone, with_checkpoint = ATTACKS[name]
    attack(tmp_path / "log")
    for older, expected in (((), alone), ((OUTSIDE,), with_checkpoint)):
        report = verify_folder(tmp_path / "log", SIGNER.verifier, older=older)
        found = [each.code for each in report.failures]
        assert (expected in found) if expected else (found == [])


def test_the_untouched_log_passes(tmp_path: Path) -> None:
    report = verify_folder(write(tmp_path / "log", LOG), SIGNER.verifier, older=[OUTSIDE])
    assert (report.failures, report.notices, report.older_sizes) == ((), (), (1200,))


# What the witnesses cosigned while the log was true, and near its end.
GENUINE = {size: cosigned(LOG[:size], 1, 2) for size in (300, 1200, 1400)}
LATE = cosigned(LOG[:1490], 1, 2)
POLICY = quorum(2, 1, 2, 3)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_cosigned_checkpoint_near_the_end_catches_every_attack_before_it(
    tmp_path: Path, name: str
) -> None:
    """Also those of the tail: what is missed is never more than what came after it."""
    ATTACKS[name][0](tmp_path / "log")
    report = verify_folder(tmp_path / "log", SIGNER.verifier, older=[LATE], policy=POLICY)
    assert report.failures


@pytest.mark.parametrize("name", ATTACKS)
def test_what_the_quorum_vouches_for_is_the_true_log(tmp_path: Path, name: str) -> None:
    """The thief may leave out what witnesses said, but not make any of it up: what he can show is less."""
    folder = tmp_path / "log"
    ATTACKS[name][0](folder)
    shown = present(folder)
    (folder / "cosigned").mkdir()
    for size, note in GENUINE.items():
        if [*shown[:size]] == LOG[:size]:
            (folder / "cosigned" / str(size)).write_text(note)
    found = verify_folder(folder, SIGNER.verifier, policy=POLICY).witnessed(quorum=True)
    # Of a log that is not signed nothing is vouched for.
    size = 0 if found is None else found.checkpoint.size
    assert (size == 0) is name.startswith("3 ")
    assert size < 1400
    assert [*shown[:size]] == LOG[:size]
    # And with all of it left out nothing is vouched for, which the policy does not let pass.
    for each in GENUINE:
        (folder / "cosigned" / str(each)).unlink(missing_ok=True)
    report = verify_folder(folder, SIGNER.verifier, policy=POLICY)
    assert "QUORUM_MISSING" in [each.code for each in report.failures]


def present(folder: Path) -> list[bytes]:
    """The entries of a folder."""
    entries: list[bytes] = []
    size = int((folder / "checkpoint").read_text().split("\n")[1])
    for bundle in tiles.bundles_of(size):
        entries += tiles.split_bundle(bundle, (folder / bundle.path).read_bytes())
    return entries


def test_cosignatures_are_not_made_up(tmp_path: Path) -> None:
    """Lines of a witness moved from the true log's checkpoint onto the thief's of the same size."""
    lines = GENUINE[1200].rpartition("\n\n")[2].split("\n", 1)[1]
    write(tmp_path / "log", EDITED[:1200], signed(EDITED[:1200]) + lines)
    report = verify_folder(tmp_path / "log", SIGNER.verifier, policy=POLICY)
    assert [each.code for each in report.failures] == ["COSIGNATURE_INVALID", "QUORUM_MISSING"]
    assert report.witnessed(quorum=False) is None


@pytest.mark.parametrize("count", [1, 2, 3])
def test_029_bundles_removed_in_a_row_are_told_one_by_one(tmp_path: Path, count: int) -> None:
    """aws-cli 7054: a verifier that overlooked two archives removed one after the other."""
    folder = write(tmp_path / "log", LOG)
    for n in range(1, 1 + count):
        (folder / tiles.Tile(None, n).path).unlink()
    report = verify_folder(folder, SIGNER.verifier)
    assert [(each.code, each.where) for each in report.failures] == [
        ("BUNDLE_MISSING", f"tile/entries/00{n}") for n in range(1, 1 + count)
    ]


def test_030_an_unsigned_log_is_no_log(tmp_path: Path) -> None:
    """systemd 15425: what was never sealed passed. Here: text alone, and with lines of strangers only."""
    folder = write(tmp_path / "log", LOG)
    text = signed(LOG).rpartition("\n\n")[0] + "\n"
    stranger = Signer("other.invalid/log", bytes(32)).line(text)
    for note, code in (
        (text, "NOTE_FORM"),
        (f"{text}\n", "NOTE_FORM"),
        (f"{text}\n{stranger}", "SIGNATURE_MISSING"),
    ):
        (folder / "checkpoint").write_text(note)
        report = verify_folder(folder, SIGNER.verifier)
        assert [each.code for each in report.failures] == [code]
        assert report.checkpoint is None


def test_031_a_release_that_was_killed_is_told(tmp_path: Path) -> None:
    begin = leaf(3, kind="export.begin", request_id="r1")
    report = verify_folder(write(tmp_path / "log", [*LOG[:3], begin, *LOG[4:9]]), SIGNER.verifier)
    assert report.failures == ()
    assert [(each.code, each.where) for each in report.notices] == [
        ("BEGIN_WITHOUT_END", "entry 3")
    ]


def test_013_a_clock_set_back_an_hour_is_told_and_fails_nothing(tmp_path: Path) -> None:
    hour_us = 3600 * 10**6
    back = [*LOG[:9], leaf(9 - hour_us), *LOG[10:12]]
    report = verify_folder(write(tmp_path / "log", back), SIGNER.verifier)
    assert report.failures == ()
    assert [each.code for each in report.notices] == ["CLOCK_STEP"]
    told = [*LOG[:9], leaf(9 - hour_us, kind="log.clock"), leaf(10 - hour_us)]
    report = verify_folder(write(tmp_path / "log", told), SIGNER.verifier)
    assert (report.failures, report.notices) == ((), ())
