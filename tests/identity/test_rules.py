"""The password file: what ships is in force, and a value out of range stops the start with its key."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config.policies import shipped
from gateway.config.strict import SettingsError
from gateway.identity import rules
from gateway.identity.rules import DAY_US, NEVER_US

SHIPPED = shipped("policies") / "passwords.toml"


def test_what_ships_is_the_profile_of_level_three() -> None:
    loaded = rules.load(SHIPPED)
    profile = loaded.active
    assert loaded.profile == "mlps3"
    assert (profile.minimum_length, profile.maximum_length, profile.minimum_classes) == (12, 128, 3)
    assert (profile.maximum_age_days, profile.warning_days, profile.history_count) == (
        90,
        (14, 7, 3, 1),
        12,
    )
    assert (profile.minimum_age_hours, profile.one_time_hours) == (24, 24)
    assert loaded.session.token_minutes == 10
    assert loaded.throttle.failures == 5


def test_the_other_profile_has_no_periodic_change() -> None:
    chosen = replace(rules.load(SHIPPED), profile="nist")
    assert chosen.active.expires_us(5) == NEVER_US
    assert chosen.active.warning(NEVER_US, 5) is None


def test_warnings_come_in_steps() -> None:
    profile = rules.load(SHIPPED).active
    end = profile.expires_us(0)
    assert end == 90 * DAY_US
    steps = [
        profile.warning(end, end - round(days * DAY_US)) for days in (14.001, 14, 8, 7, 3, 1, 0.5)
    ]
    assert steps == [None, 14, 14, 7, 3, 1, 1]


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
        ("grace_days = 7", "grace_days = -1", "profiles.mlps3.grace_days"),
        ("grace_days = 7", "grace_days = 31", "profiles.mlps3.grace_days"),
        ("grace_days = 7", "grace_days = 7\ntightened_us = 1", "profiles.mlps3.tightened_us"),
        ("minimum_length = 12", "minimum_length = 7", "profiles.mlps3.minimum_length"),
        ("minimum_length = 12", "minimum_length = 128", "profiles.mlps3.minimum_length"),
        ("minimum_classes = 3", "minimum_classes = 5", "profiles.mlps3.minimum_classes"),
        ("maximum_age_days = 90", "maximum_age_days = -1", "profiles.mlps3.maximum_age_days"),
        ("[14, 7, 3, 1]", "[14, 0]", "profiles.mlps3.warning_days"),
        ("history_count = 12", "history_count = 0", "profiles.mlps3.history_count"),
        ("minimum_age_hours = 24", "minimum_age_hours = -1", "profiles.mlps3.minimum_age_hours"),
        ("minimum_strength = 3", "minimum_strength = 5", "profiles.mlps3.minimum_strength"),
        ("minimum_changes = 4", "minimum_changes = 0", "profiles.mlps3.minimum_changes"),
        ("one_time_hours = 24", "one_time_hours = 73", "profiles.mlps3.one_time_hours"),
        ("one_time_hours = 24", "one_time_hour = 24", "profiles.mlps3.one_time_hour"),
    ],
)
def test_a_value_out_of_range_names_its_key(
    tmp_path: Path, line: str, changed: str, key: str
) -> None:
    text = SHIPPED.read_text()
    assert line in text
    path = tmp_path / "passwords.toml"
    path.write_text(text.replace(line, changed, 1))
    with pytest.raises(SettingsError) as refused:
        rules.load(path)
    assert str(refused.value).startswith(f"passwords.toml: {key}:")
