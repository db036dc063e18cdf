"""The password files: what ships is in force, and what is not as it must be stops the start with file and key."""

import hashlib
import shutil
from dataclasses import fields
from pathlib import Path

import pytest

from gateway.clock import US_PER_S
from gateway.config.policies import digest, shipped
from gateway.config.strict import SettingsError
from gateway.identity import rule_files
from gateway.identity.rules import NEVER_US, Profile
from tests.identity.office import START_US

MLPS3, NIST = "mlps3-2019-12-01.toml", "nist-2025-08-01.toml"
# Identity.md 4.8, its rows: length, classes, age, warnings, grace, minimum age, history, score, one-time password.
TABLE = {
    "mlps3": (12, 128, 3, 90, (14, 7, 3, 1), 7, 24, 12, 3, 24),
    "nist": (8, 128, 1, 0, (), 0, 0, 1, 3, 24),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A copy of what ships: passwords.toml, its folder beside it."""
    shutil.copytree(shipped("policies"), tmp_path / "policies")
    return tmp_path / "policies" / "passwords.toml"


def refused(path: Path) -> str:
    with pytest.raises(SettingsError) as found:
        rule_files.load(path)
    return str(found.value)


def test_what_ships_is_the_profile_of_level_three(path: Path) -> None:
    loaded = rule_files.load(path)
    ruling = loaded.ruling(START_US)
    assert loaded.profile == ruling.name == "mlps3"
    assert (
        ruling.sha256
        == hashlib.sha256((path.parent / "passwords" / MLPS3).read_bytes()).hexdigest()
    )
    assert loaded.coming(START_US) == ()
    assert loaded.session.token_minutes == 10
    assert loaded.throttle.failures == 5


def test_both_profiles_have_every_row(path: Path) -> None:
    found = {one.name: one.profile for one in rule_files.load(path).dated}
    rows = {
        name: (
            each.minimum_length, each.maximum_length, each.minimum_classes, each.maximum_age_days,
            each.warning_days, each.grace_days, each.minimum_age_hours, each.history_count,
            each.minimum_strength, each.one_time_hours,
        )
        for name, each in found.items()
    }  # fmt: skip
    assert rows == TABLE
    # What the table has no number for is not left out either.
    assert all(each.minimum_rest_length and each.minimum_changes for each in found.values())
    for name in (MLPS3, NIST):
        text = (path.parent / "passwords" / name).read_text()
        keys = {line.partition(" = ")[0] for line in text.splitlines() if " = " in line}
        assert keys - {"valid_from"} == {one.name for one in fields(Profile)} - {"tightened_us"}


@pytest.mark.parametrize(
    ("since", "day", "us"),
    [
        ("2027-01-01T00:00:00+08:00", "2027-01-01", 1_798_732_800 * US_PER_S),
        ("2027-01-01T00:00:00.000001Z", "2027-01-01", 1_798_761_600 * US_PER_S + 1),
    ],
)
def test_a_later_file_waits_for_its_moment(path: Path, since: str, day: str, us: int) -> None:
    before = digest(path.parent)
    stricter = (
        (path.parent / "passwords" / MLPS3).read_text().replace("2019-12-01T00:00:00+08:00", since)
    )
    (path.parent / "passwords" / f"mlps3-{day}.toml").write_text(
        stricter.replace("maximum_age_days = 90", "maximum_age_days = 60")
    )
    loaded = rule_files.load(path)
    [coming] = loaded.coming(START_US)
    assert coming.valid_from_us == us
    assert [loaded.at(us + offset).maximum_age_days for offset in (-1, 0, 1)] == [90, 60, 60]
    # Whatever lies there is in the digest that goes on the log at the start.
    assert digest(path.parent) != before


def test_a_home_from_before_has_its_profiles_within(path: Path) -> None:
    """And one that is dated can be put beside them."""
    folder = path.with_suffix("")
    tables = {
        name: "".join(
            line for line in (folder / file).read_text().splitlines(keepends=True)
            if not line.startswith("valid_from")
        )
        for name, file in (("mlps3", MLPS3), ("nist", NIST))
    }  # fmt: skip
    within = "".join(f"[profiles.{name}]\n{text}\n" for name, text in tables.items())
    path.write_text(path.read_text() + within)
    (folder / NIST).unlink()
    loaded = rule_files.load(path)
    first = 1_575_129_600 * US_PER_S
    assert [loaded.ruling(us).valid_from_us for us in (0, first - 1, first)] == [0, 0, first]
    shutil.rmtree(folder)
    alone = rule_files.load(path)
    assert alone.at(0) == loaded.at(0)
    assert {one.name for one in alone.dated} == {"mlps3", "nist"}
    path.write_text(path.read_text().replace("[profiles.nist]", "[profiles.mine]"))
    assert refused(path) == "passwords.toml: profiles.mine: unknown key"


@pytest.mark.parametrize(
    ("name", "line", "changed", "told"),
    [
        ("mlps3.toml", "", "", "mlps3.toml: not named <profile>-<day>.toml"),
        ("mine-2019-12-01.toml", "", "", "mine-2019-12-01.toml: not named <profile>-<day>.toml"),
        ("mlps3-2019-12-02.toml", "", "", "valid_from: another day than the file's name"),
        (MLPS3, "T00:00:00+08:00", "", "valid_from: must be a time with its offset"),
        (MLPS3, "+08:00", "", "valid_from: must be a time with its offset"),
        (
            MLPS3,
            "valid_from = 2019-12-01T00:00:00+08:00",
            "",
            "valid_from: must be a time with its offset",
        ),
        ("mlps3-2019-12-01.txt", "", "", "mlps3-2019-12-01.txt: not named <profile>-<day>.toml"),
    ],
)
def test_a_file_that_says_no_clear_day_is_refused(
    path: Path, name: str, line: str, changed: str, told: str
) -> None:
    file = path.with_suffix("") / MLPS3
    text = file.read_text()
    file.unlink()
    (path.with_suffix("") / name).write_text(text.replace(line, changed, 1) if line else text)
    assert refused(path).startswith(f"passwords/{name}: ")
    assert refused(path).endswith(told)


def test_one_day_has_one_file_and_the_chosen_profile_one_at_least(path: Path) -> None:
    folder = path.with_suffix("")
    text = (folder / MLPS3).read_text()
    # The same moment, told in another zone.
    (folder / "mlps3-2019-11-30.toml").write_text(
        text.replace("2019-12-01T00:00:00+08:00", "2019-11-30T16:00:00Z")
    )
    assert refused(path) == "passwords/: valid_from: twice the same"
    (folder / "mlps3-2019-11-30.toml").unlink()
    (folder / MLPS3).unlink()
    assert refused(path) == "passwords.toml: profile: there is no file of mlps3"
    path.write_text(path.read_text().replace('profile = "mlps3"', 'profile = "nist"'))
    assert rule_files.load(path).at(START_US).expires_us(0) == NEVER_US


@pytest.mark.parametrize(
    ("line", "changed", "key"),
    [
        ('profile = "mlps3"', 'profile = "none"', "profile"),
        ("token_minutes = 10", "token_minutes = 11", "session.token_minutes"),
        ("token_minutes = 10", "token_minutes = 0", "session.token_minutes"),
        ("idle_minutes = 30", "idle_minutes = 10", "session.idle_minutes"),
        ("absolute_hours = 12", "absolute_hours = 25", "session.absolute_hours"),
        ("failures = 5", "failures = 0", "throttle.failures"),
        (
            "longest_block_minutes = 15",
            "longest_block_minutes = 0",
            "throttle.longest_block_minutes",
        ),
        ("forget_hours = 24", "forget_hours = 0", "throttle.forget_hours"),
        ("lock_failures = 100", "lock_failures = 5", "throttle.lock_failures"),
        ("lock_failures = 100", "lock_failures = 1001", "throttle.lock_failures"),
        # Three blocks of 15 minutes each beyond what a day has room for.
        ("lock_failures = 100", "lock_failures = 105", "throttle.lock_failures"),
        ("lock_hours = 24", "lock_hours = 23", "throttle.lock_failures"),
        ("lock_hours = 24", "lock_hours = 25", "throttle.lock_hours"),
        ("unused_warning_days = 14", "unused_warning_days = 90", "accounts.unused_warning_days"),
        ("unused_warning_days = 14", "unused_warning_days = 0", "accounts.unused_warning_days"),
        ("confirm_minutes = 15", "confirm_minutes = 0", "break_glass.confirm_minutes"),
        ("confirm_minutes = 15", "confirm_minutes = 61", "break_glass.confirm_minutes"),
        ("session_minutes = 60", "session_minutes = 0", "break_glass.session_minutes"),
        ("session_minutes = 60", "session_minutes = 61", "break_glass.session_minutes"),
        ("drill_days = 92", "drill_days = 0", "break_glass.drill_days"),
        ("drill_days = 92", "drill_days = 93", "break_glass.drill_days"),
        ("overlap_hours = 72", "overlap_hours = 23", "service.minimum_hours"),
        ("minimum_hours = 24", "minimum_hours = 0", "service.minimum_hours"),
        ("overlap_hours = 72", "overlap_hours = 169", "service.overlap_hours"),
        ("window_from = 0.4", "window_from = 0.7", "service.window_from"),
        ("window_until = 0.6", "window_until = 1.0", "service.window_from"),
        ("minimum_length = 32", "minimum_length = 26", "service.minimum_length"),
        ("minimum_distinct = 16", "minimum_distinct = 17", "service.minimum_distinct"),
    ],
)
def test_a_value_out_of_range_names_its_key(path: Path, line: str, changed: str, key: str) -> None:
    text = path.read_text()
    assert line in text
    path.write_text(text.replace(line, changed, 1))
    assert refused(path).startswith(f"passwords.toml: {key}:")


@pytest.mark.parametrize(
    ("line", "changed", "key"),
    [
        ("grace_days = 7", "grace_days = -1", "grace_days"),
        ("grace_days = 7", "grace_days = 31", "grace_days"),
        ("grace_days = 7", "grace_days = 7\ntightened_us = 1", "tightened_us"),
        ("minimum_length = 12", "minimum_length = 7", "minimum_length"),
        ("minimum_length = 12", "minimum_length = 128", "minimum_length"),
        ("minimum_classes = 3", "minimum_classes = 5", "minimum_classes"),
        ("maximum_age_days = 90", "maximum_age_days = -1", "maximum_age_days"),
        ("[14, 7, 3, 1]", "[14, 0]", "warning_days"),
        ("history_count = 12", "history_count = 0", "history_count"),
        ("minimum_age_hours = 24", "minimum_age_hours = -1", "minimum_age_hours"),
        ("minimum_strength = 3", "minimum_strength = 5", "minimum_strength"),
        ("minimum_changes = 4", "minimum_changes = 0", "minimum_changes"),
        ("one_time_hours = 24", "one_time_hours = 73", "one_time_hours"),
        ("one_time_hours = 24", "one_time_hour = 24", "one_time_hour"),
    ],
)
def test_a_value_of_a_profile_out_of_range_names_its_file_and_key(
    path: Path, line: str, changed: str, key: str
) -> None:
    file = path.with_suffix("") / MLPS3
    text = file.read_text()
    assert line in text
    file.write_text(text.replace(line, changed, 1))
    assert refused(path).startswith(f"passwords/{MLPS3}: {key}:")


def test_dates_are_no_key_of_the_file(path: Path) -> None:
    path.write_text("dated = []\n" + path.read_text())
    assert "dated" in refused(path)
