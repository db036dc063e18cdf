"""What lies in the places: one backup with its copies, each judged; how far the journal beside it goes."""

import shutil
from pathlib import Path

import pytest

from gateway.backups import line as lines
from gateway.backups import listing
from gateway.clock import SYSTEM
from tests.backups.stand import Stand
from tests.backups.test_shipping import grow, turn


@pytest.fixture
def places(stand: Stand, tmp_path: Path) -> tuple[Path, Path]:
    """Two places; both have the stand's backup."""
    two = tmp_path / "a", tmp_path / "b"
    for one in two:
        shutil.copytree(stand.kept.folder, one / stand.kept.folder.name)
    return two


def test_a_backup_stands_once_with_its_copies(stand: Stand, places) -> None:
    away = places[0].parent / "away"
    [one] = listing.look([*places, away], stand.keys)
    assert one.found is not None
    assert one.found.manifest == stand.kept.manifest
    assert [copy.folder.parent for copy in one.good] == [*places]


@pytest.mark.parametrize("whole", [False, True])
def test_what_is_wrong_in_one_place_is_told_of_that_one(stand: Stand, places, whole: bool) -> None:
    name = stand.kept.folder.name
    part = places[1] / name / "database.tar.age"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    [one] = listing.look(places, stand.keys, whole=whole)
    # A flipped bit is found by whoever reads.
    told = ["", "BACKUP_PART_CHANGED"] if whole else ["", ""]
    assert [copy.refused for copy in one.copies] == told
    part.write_bytes(content[:-1])
    [one] = listing.look(places, stand.keys, whole=whole)
    assert [copy.refused for copy in one.copies] == ["", "BACKUP_PART_LENGTH"]
    part.unlink()
    [one] = listing.look(places, stand.keys, whole=whole)
    assert [copy.refused for copy in one.copies] == ["", "BACKUP_PART_MISSING"]
    assert [copy.folder.parent for copy in one.good] == [places[0]]


def test_what_nobody_signed_is_no_backup_and_comes_last(stand: Stand, places) -> None:
    shutil.copytree(stand.kept.folder, places[0] / "99990101T000000")
    (places[0] / "99990101T000000" / "receipt").write_text("nothing")
    good, strange = listing.look(places, stand.keys)
    assert good.found is not None
    assert strange.found is None
    assert [copy.refused for copy in strange.copies] == ["BACKUP_UNSIGNED"]


def test_the_journal_is_told_with_what_is_wrong_with_it(stand: Stand, tmp_path: Path) -> None:
    two = tmp_path / "a", tmp_path / "b"
    for one in two:
        one.mkdir()
    turn(stand, two)
    made = stand.make(two[0])
    [alone] = listing.look(two, stand.keys)
    before = SYSTEM.now_us()
    grow(stand)
    turn(stand, two)
    [one] = listing.look(two, stand.keys, whole=True)
    assert one.reach_us is not None
    assert one.reach_us >= before > made.manifest.made_us
    assert one.reach_us > (alone.reach_us or 0)
    assert one.journal == ""
    # A byte of the journal, in the place where the backup is.
    folder = two[0] / lines.FOLDER / made.manifest.line
    sealed = max(folder.glob("*.age"))
    content = bytearray(sealed.read_bytes())
    content[-1] ^= 1
    sealed.write_bytes(content)
    [one] = listing.look(two, stand.keys, whole=True)
    assert (one.reach_us, one.journal) == (None, "BACKUP_PART_CHANGED")
    for entry in folder.glob("*.json"):
        if entry.name != lines.LINE_FILE:
            entry.write_bytes(b"{}")
    [one] = listing.look(two, stand.keys)
    assert (one.reach_us, one.journal) == (None, "BACKUP_WAL_FOREIGN")


def test_what_goes_on_from_a_backup_that_is_away_is_told(stand: Stand, chained) -> None:
    """Each of a chain is listed; once one is gone, or cut, those after it are worth nothing."""
    first = chained[1]
    place = first.folder.parent
    listed = listing.look([place], stand.keys)
    assert [one.found.manifest for one in listed] == [one.manifest for one in reversed(chained)]
    assert [one.copies[0].refused for one in listed] == ["", "", ""]
    part = first.folder / "home.tar.age"
    part.write_bytes(part.read_bytes()[:-1])
    wrong = [one.copies[0].refused for one in listing.look([place], stand.keys)]
    assert wrong == ["BACKUP_PART_LENGTH", "BACKUP_PART_LENGTH", ""]
    shutil.rmtree(first.folder)
    wrong = [one.copies[0].refused for one in listing.look([place], stand.keys)]
    assert wrong == ["BACKUP_PARENT_MISSING", ""]
