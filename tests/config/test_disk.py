"""How much room there must be: the levels, the file, and what cannot be looked at."""

import os
from pathlib import Path

import pytest

from gateway.config.disk import Disk, DiskRules, Room, load_disk_rules, look
from gateway.config.policies import shipped
from gateway.config.strict import SettingsError

RULES = DiskRules(20.0, 10.0, 5.0, 64)


@pytest.mark.parametrize(
    ("free", "level", "exports", "uploads"),
    [
        (100.0, "good", True, True),
        (20.0, "good", True, True),
        (19.9, "low", True, True),
        (10.0, "low", True, True),
        (9.9, "exports_stopped", False, True),
        (5.0, "exports_stopped", False, True),
        (4.9, "uploads_stopped", False, False),
        (0.0, "uploads_stopped", False, False),
    ],
)
def test_levels(free, level, exports, uploads):
    assert RULES.level(free) == level
    disk = Disk(Path("/"), RULES, lambda _: Room(free, 0))
    assert (disk.allows("exports"), disk.allows("uploads")) == (exports, uploads)


def test_a_disk_that_nobody_can_look_at_has_no_room(tmp_path):
    disk = Disk(tmp_path / "gone", RULES)
    assert not disk.allows("uploads")
    assert not disk.allows("exports")


def test_what_there_is_is_what_the_kernel_says(tmp_path):
    found, said = look(tmp_path), os.statvfs(tmp_path)
    assert 0 <= found.free_percent <= 100
    assert found.free_bytes == pytest.approx(said.f_bavail * said.f_frsize, rel=0.5)


def test_the_shipped_file(tmp_path):
    assert load_disk_rules(shipped("policies") / "disk.toml") == RULES
    good = (shipped("policies") / "disk.toml").read_text(encoding="utf-8")
    for before, after in (
        ("low_percent = 20.0", "low_percent = 9.0"),
        ("uploads_percent = 5.0", "uploads_percent = 10.0"),
        ("uploads_percent = 5.0", "uploads_percent = 0.0"),
        ("low_percent = 20.0", "low_percent = 100.0"),
        ("reserve_mib = 64", "reserve_mib = 0"),
        ("reserve_mib = 64", "reserve_mib = 64\nother = 1"),
    ):
        (tmp_path / "disk.toml").write_text(good.replace(before, after), encoding="utf-8")
        with pytest.raises(SettingsError):
            load_disk_rules(tmp_path / "disk.toml")
