"""policies/backups.toml is read strictly, and what ships has no places and the limits of the notice."""

import pytest

from gateway.config.backups import load_backup_rules
from gateway.config.policies import shipped
from gateway.config.strict import SettingsError

SHIPPED = shipped("policies") / "backups.toml"


def test_what_ships() -> None:
    rules = load_backup_rules(SHIPPED)
    assert rules.places.paths == ()
    assert (rules.limits.drill_days, rules.schedule.drill_identity) == (92.0, "")
    assert (rules.limits.warn_hours, rules.limits.block_days) == (26.0, 7.0)
    assert rules.schedule.full_days == rules.retention.daily == 7


def test_a_policy_of_before_there_were_incremental_ones_makes_none(tmp_path) -> None:
    path = tmp_path / "backups.toml"
    path.write_text(SHIPPED.read_text(encoding="utf-8").replace("full_days = 7\n", ""))
    assert load_backup_rules(path).schedule.full_days == 1


def test_a_policy_of_before_there_were_backups_of_anothers_server_takes_what_is_offered(
    tmp_path,
) -> None:
    path = tmp_path / "backups.toml"
    path.write_text(
        SHIPPED.read_text(encoding="utf-8")
        .replace("[external]", "")
        .replace('form = "offered"', "")
    )
    assert (
        load_backup_rules(path).external.form
        == load_backup_rules(SHIPPED).external.form
        == "offered"
    )


def test_two_places_are_taken(tmp_path) -> None:
    path = tmp_path / "backups.toml"
    path.write_text(SHIPPED.read_text().replace("folders = []", 'folders = ["/a/b", "/c"]'))
    assert [str(one) for one in load_backup_rules(path).places.paths] == ["/a/b", "/c"]


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ("folders = []", 'folders = ["/a"]', "places.folders"),
        ("folders = []", 'folders = ["/a", "/a/"]', "places.folders"),
        ("folders = []", 'folders = ["/a", "b"]', "places.folders"),
        ("folders = []", 'folders = ["/a", "/b/../a"]', "places.folders"),
        ("rate_kib = 0", "rate_kib = -1", "places.rate_kib"),
        ('times = ["02:00"]', "times = []", "schedule.times"),
        ('times = ["02:00"]', 'times = ["24:00"]', "schedule.times"),
        ('times = ["02:00"]', 'times = ["14:00", "02:00"]', "schedule.times"),
        ("full_days = 7", "full_days = 0", "schedule.full_days"),
        ("full_days = 7", "full_days = 32", "schedule.full_days"),
        ('form = "offered"', 'form = "files"', "external.form"),
        ("daily = 7", "daily = 0", "retention.daily"),
        ("weekly = 5", "weekly = -1", "retention.weekly"),
        ("monthly = 12", "monthly = 1001", "retention.monthly"),
        ("warn_hours = 26.0", "warn_hours = 0", "limits.warn_hours"),
        ("block_days = 7.0", "block_days = 1", "limits.block_days"),
        ("drill_days = 92.0", "drill_days = 0", "limits.drill_days"),
        ('drill_identity = ""', 'drill_identity = "key"', "schedule.drill_identity"),
    ],
)
def test_what_has_no_sense_is_refused_by_its_key(tmp_path, before, after, key) -> None:
    good = SHIPPED.read_text(encoding="utf-8")
    assert before in good
    path = tmp_path / "backups.toml"
    path.write_text(good.replace(before, after), encoding="utf-8")
    with pytest.raises(SettingsError, match=key):
        load_backup_rules(path)
