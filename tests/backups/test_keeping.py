"""The backup that is due stands in every place of the policy, verified and on the log; or an alarm says what is missing."""

import os
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.backups import checking, keeping, schedule, spreading
from gateway.backups.keeping import Kept
from gateway.clock import SHANGHAI, SYSTEM, to_datetime
from gateway.config.backups import BackupRules, PlaceRules, ScheduleRules, load_backup_rules
from gateway.config.policies import shipped
from tests.backups.small import small
from tests.backups.stand import IDENTITY, Stand, code

SHIPPED = load_backup_rules(shipped("policies") / "backups.toml")


@pytest.fixture
def places(tmp_path: Path) -> list[Path]:
    made = [tmp_path / name for name in ("first", "second", "third")]
    for one in made:
        one.mkdir()
    return made


def ruling(*places: Path) -> BackupRules:
    """The shipped rules with places, due a minute ago."""
    local = to_datetime(SYSTEM.now_us()).astimezone(SHANGHAI) - timedelta(minutes=1)
    folders = tuple(map(str, places))
    return replace(
        SHIPPED,
        places=PlaceRules(folders, 0),
        schedule=ScheduleRules((f"{local:%H:%M}",), ""),
    )


def keep(stand: Stand, rules: BackupRules) -> Kept:
    return stand.run(lambda source: keeping.keep(source, rules, stand.keys))


def test_it_tells_what_is_read_and_what_is_copied(stand: Stand, places) -> None:
    first, second, _ = places
    read, copied = [], []
    rules = ruling(first, second)
    made = stand.run(
        lambda source: keeping.keep(
            source, rules, stand.keys, read.append, lambda *one: copied.append(one)
        )
    )
    assert read == sorted(read)
    assert read[-1] == made.found.manifest.parts[1].plain_bytes
    total = made.found.manifest.total_bytes
    # Read back where it was made; copied; read back there.
    assert len([done for done, of in copied if done >= of]) >= 3
    assert {of for _, of in copied} == {total}


def test_it_is_made_once_copied_and_verified_and_the_log_says_so(stand: Stand, places) -> None:
    first, second, _ = places
    made = keep(stand, ruling(first, second))
    assert (made.new, made.copies, made.missing, made.removed) == (True, 2, 0, 0)
    last = stand.leaves("backup.keep")[-1]
    assert (last["decision"], last["detail"]) == ("allow", {"manifest_sha256": made.found.sha256})
    assert last["counts"]["copies"] == 2
    for place in (first, second):
        folder = place / made.found.folder.name
        assert checking.rehearse(folder, stand.keys, IDENTITY).sha256 == made.found.sha256
    created = len(stand.leaves("backup.create"))
    again = keep(stand, ruling(first, second))
    assert (again.new, again.found.sha256) == (False, made.found.sha256)
    assert len(stand.leaves("backup.create")) == created


def test_a_run_goes_on_where_the_last_one_was_killed(stand: Stand, places) -> None:
    """Killed after the first place has it, in the midst of the copy."""
    first, second, _ = places
    made = stand.make(first)
    (second / f"{spreading.PARTIAL}{made.folder.name}").mkdir()
    kept = keep(stand, ruling(first, second))
    assert (kept.new, kept.copies) == (False, 2)
    assert [one.name for one in second.iterdir()] == [made.folder.name]


def test_a_place_that_is_away_alarms_and_with_two_left_it_counts(stand: Stand, places) -> None:
    first, second, third = places
    first.rmdir()
    kept = keep(stand, ruling(first, second, third))
    assert (kept.copies, kept.missing) == (2, 1)
    failed, counted = stand.leaves("backup.keep")[-2:]
    assert failed["detail"] == {"alert": "backup-failed", "cause": "backup-place-away"}
    assert (counted["decision"], counted["counts"]["missing"]) == ("allow", 1)
    assert not first.exists()


def test_in_one_place_alone_it_does_not_count(stand: Stand, places) -> None:
    first, second, _ = places
    second.rmdir()
    assert code(lambda: keep(stand, ruling(first, second))) == "BACKUP_PLACE_AWAY"
    last = stand.leaves("backup.keep")[-1]
    assert (last["decision"], last["counts"]) == ("error", {"copies": 1})
    second.mkdir()
    assert keep(stand, ruling(first, second)).copies == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_full_first_place_keeps_no_backup_from_the_others(stand: Stand, places) -> None:
    """One leaf tells of it; the backup stands in the other two, and later in all."""
    first, second, third = places
    created, kept = len(stand.leaves("backup.create")), len(stand.leaves("backup.keep"))
    with small(first, "4m"):
        made = keep(stand, ruling(first, second, third))
        assert list(first.iterdir()) == []
    assert (made.new, made.copies, made.missing) == (True, 2, 1)
    assert made.found.folder.parent == second
    failed, good = stand.leaves("backup.create")[created:]
    assert failed["detail"] == {"alert": "backup-failed", "cause": "backup-not-written"}
    assert (failed["decision"], good["decision"]) == ("error", "allow")
    [counted] = stand.leaves("backup.keep")[kept:]
    assert (counted["decision"], counted["counts"]["missing"]) == ("allow", 1)
    again = keep(stand, ruling(first, second, third))
    assert (again.new, again.copies, again.found.sha256) == (False, 3, made.found.sha256)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_full_second_place_is_told_once_and_holds_no_half(stand: Stand, places) -> None:
    first, second, third = places
    kept = len(stand.leaves("backup.keep"))
    with small(second, "4m"):
        made = keep(stand, ruling(first, second, third))
        assert list(second.iterdir()) == []
    failed, counted = stand.leaves("backup.keep")[kept:]
    assert failed["detail"] == {"alert": "backup-failed", "cause": "backup-not-written"}
    assert (counted["decision"], made.copies, made.missing) == ("allow", 2, 1)
    assert keep(stand, ruling(first, second, third)).copies == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_where_every_place_is_full_it_is_an_alarm_and_the_next_run_makes_it(
    stand: Stand, places
) -> None:
    first, second, _ = places
    created, kept = len(stand.leaves("backup.create")), len(stand.leaves("backup.keep"))
    with small(first, "4m"), small(second, "4m"):
        assert code(lambda: keep(stand, ruling(first, second))) == "BACKUP_NOT_WRITTEN"
        assert [*first.iterdir(), *second.iterdir()] == []
    tried = stand.leaves("backup.create")[created:]
    assert [one["detail"]["cause"] for one in tried] == ["backup-not-written"] * 2
    [failed] = stand.leaves("backup.keep")[kept:]
    assert (failed["decision"], failed["counts"]) == ("error", {"copies": 0})
    assert keep(stand, ruling(first, second)).copies == 2


def test_nothing_is_taken_away_before_the_new_one_stands(stand: Stand, places, monkeypatch) -> None:
    first, second, _ = places
    old = stand.make(first)
    one_day = replace(SHIPPED.retention, daily=1, weekly=0, monthly=0)
    rules = replace(ruling(first, second), retention=one_day)
    monkeypatch.setattr(schedule, "due_since_us", lambda *_: SYSTEM.now_us())  # whatever there is
    second.rmdir()
    assert code(lambda: keep(stand, rules)) == "BACKUP_PLACE_AWAY"
    assert old.folder.is_dir()
    assert len(list(first.iterdir())) == 2
    second.mkdir()
    kept = keep(stand, rules)
    assert kept.removed == 2
    assert [one.name for one in first.iterdir()] == [kept.found.folder.name]
    assert [one.name for one in second.iterdir()] == [kept.found.folder.name]


def test_without_places_it_is_refused_and_told(stand: Stand) -> None:
    assert code(lambda: keep(stand, ruling())) == "BACKUP_NO_PLACE"
    last = stand.leaves("backup.keep")[-1]
    assert last["detail"] == {"alert": "backup-failed", "cause": "backup-no-place"}


def test_between_whole_ones_it_keeps_what_changed(stand: Stand, places, monkeypatch) -> None:
    """In every place with its parents; retention leaves what the newest needs; then a whole one is due again."""
    first, second, _ = places
    rules = replace(
        ruling(first, second), retention=replace(SHIPPED.retention, daily=1, weekly=0, monthly=0)
    )
    weekly = replace(rules, schedule=replace(rules.schedule, full_days=7))
    monkeypatch.setattr(schedule, "due_since_us", lambda *_: SYSTEM.now_us())  # always due
    kept = [keep(stand, weekly) for _ in range(3)]
    assert [one.why for one in kept] == ["first", "", ""]
    forms = [one.found.manifest.form for one in kept]
    assert forms == ["base", "incremental", "incremental"]
    assert [one.removed for one in kept] == [0, 0, 0]
    for place in (first, second):
        folder = place / kept[-1].found.folder.name
        assert len(checking.rehearse(folder, stand.keys, IDENTITY).whole) == 3
    last = keep(stand, rules)
    assert (last.found.manifest.form, last.why, last.removed) == ("base", "scheduled", 6)
    assert [one.name for one in second.iterdir()] == [last.found.folder.name]


def test_where_the_first_place_lost_a_parent_it_gets_it_back(
    stand: Stand, places, monkeypatch
) -> None:
    """What is good in another place is brought back with its parents; nothing new is made."""
    first, second, _ = places
    rules = ruling(first, second)
    weekly = replace(rules, schedule=replace(rules.schedule, full_days=7))
    with monkeypatch.context() as always:
        always.setattr(schedule, "due_since_us", lambda *_: SYSTEM.now_us())
        base, newest = keep(stand, weekly), keep(stand, weekly)
    shutil.rmtree(first / base.found.folder.name)
    assert spreading.newest(first, stand.keys) is None
    again = keep(stand, weekly)
    assert (again.new, again.found.sha256, again.copies) == (False, newest.found.sha256, 2)
    assert spreading.newest(first, stand.keys).sha256 == newest.found.sha256


def test_each_byte_of_a_chain_is_read_once_a_run_and_in_each_place(
    stand: Stand, places, monkeypatch
) -> None:
    first, second, _ = places
    rules = ruling(first, second)
    weekly = replace(rules, schedule=replace(rules.schedule, full_days=7))
    monkeypatch.setattr(schedule, "due_since_us", lambda *_: SYSTEM.now_us())
    chain = [keep(stand, weekly), keep(stand, weekly)]
    read, check_parts = [], checking.check_parts
    monkeypatch.setattr(
        checking, "check_parts", lambda one, tell: (read.append(one.folder), check_parts(one, tell))
    )
    made = keep(stand, weekly)
    names = [one.found.folder.name for one in chain]
    before = [place / name for place in (first, second) for name in names]
    new = made.found.folder.name
    assert sorted(read) == sorted([*before, first / new, second / f"{spreading.PARTIAL}{new}"])
    assert len(made.found.whole) == 3
