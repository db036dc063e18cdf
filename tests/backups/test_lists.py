"""A base backup or what changed since the last one: by the policy, by what is kept, by what the server still knows."""

import os
from dataclasses import replace

import pytest

from gateway.backups import checking, lists, manifest
from gateway.clock import US_PER_S
from tests.backups.stand import Stand, code

DAY_US = 86_400 * US_PER_S


def days(stand: Stand, found, later: int, full_days: int) -> str:
    """Why it is a base backup so many days after the base one that it would go on from; "" where it is none."""
    parent, why = lists.choose(
        stand.home, found, found.whole[0].manifest.made_us + later * DAY_US, full_days
    )
    assert (parent is None) == bool(why)
    assert parent is None or parent.found == found
    return why


def test_a_base_backup_every_so_many_days_of_the_calendar(stand: Stand, chained) -> None:
    found = checking.check(chained[-1].folder, stand.keys)
    lists.keep(stand.home, found.sha256, b"list")
    assert [days(stand, found, later, 7) for later in (0, 1, 6)] == ["", "", ""]
    assert [days(stand, found, later, 7) for later in (7, 8, 400)] == ["scheduled"] * 3
    assert days(stand, found, 0, 1) == "scheduled"
    assert days(stand, found, 1, 2) == ""


def test_without_one_that_can_be_gone_on_from_it_is_the_first(stand: Stand, chained) -> None:
    found = checking.check(chained[-1].folder, stand.keys)
    now_us = found.manifest.made_us + 1
    older = replace(found.manifest, server=16)
    dump = replace(found.manifest, form=manifest.DUMP)
    for newest in (None, replace(found, manifest=older), replace(found, manifest=dump)):
        assert lists.choose(stand.home, newest, now_us, 7) == (None, "first")


def test_without_the_servers_list_it_is_a_base_backup(stand: Stand, chained) -> None:
    """So is a restored gateway's, whose HOME has none."""
    found = checking.check(chained[-1].folder, stand.keys)
    lists.keep(stand.home, found.sha256, b"list")
    path = stand.home.database / lists.FOLDER / found.sha256
    aside = path.rename(path.with_suffix(".aside"))
    try:
        assert days(stand, found, 0, 7) == "unlisted"
    finally:
        aside.rename(path)
    assert days(stand, found, 0, 7) == ""


def test_few_lists_are_kept_and_none_that_is_half(stand: Stand, tmp_path) -> None:
    home = replace(stand.home, root=tmp_path)
    (home.database).mkdir(parents=True)
    for number in range(7):
        lists.keep(home, f"{number}", b"list")
        os.utime(home.database / lists.FOLDER / f"{number}", (number, number))
    folder = home.database / lists.FOLDER
    assert {one.name for one in folder.iterdir()} == {"3", "4", "5", "6"}
    assert (folder.stat().st_mode & 0o777, (folder / "6").stat().st_mode & 0o777) == (0o700, 0o600)


@pytest.mark.parametrize("there", [True, False])
def test_a_list_that_cannot_be_kept_fails_no_backup(stand: Stand, tmp_path, there: bool) -> None:
    """A file stands where the folder should, or there is nowhere to write."""
    home = replace(stand.home, root=tmp_path)
    if there:
        home.database.mkdir(parents=True)
        (home.database / lists.FOLDER).touch()
    assert code(lambda: lists.keep(home, "x", b"list")) == ""


def test_a_parent_stands_with_all_of_its_own(stand: Stand, chained) -> None:
    found = checking.check(chained[-1].folder, stand.keys)
    parent = lists.Parent(found, stand.home.root)
    assert parent.stands()
    path = chained[0].folder / manifest.MANIFEST_FILE
    content = path.read_bytes()
    path.write_bytes(content + b" ")
    assert not parent.stands()
    path.unlink()
    assert not parent.stands()
    path.write_bytes(content)
    assert parent.stands()
