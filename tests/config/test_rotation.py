import shutil

import pytest

from gateway.config.policies import load_policies, shipped
from gateway.config.rotation import load_rotation_rules
from gateway.config.strict import SettingsError


@pytest.fixture
def path(tmp_path):
    return shutil.copy(shipped("policies") / "rotation.toml", tmp_path / "rotation.toml")


def test_the_shipped_rules_load_and_stand_among_the_policies(path) -> None:
    rules = load_rotation_rules(path)
    assert (rules.token_keys.sign_days, rules.token_keys.publish_hours) == (30, 24)
    assert rules.token_keys.verify_hours == 1
    assert load_policies(shipped("policies")).rotation == rules


def test_a_file_of_an_older_version_has_the_logs_keys_overlap_of_a_month(path) -> None:
    path.write_text(path.read_text().replace("[signer_key]", "").replace("overlap_days = 30.0", ""))
    assert load_rotation_rules(path).signer_key.overlap_days == 30


def test_a_file_of_a_version_without_exports_has_their_keys_ages(path) -> None:
    lines = [
        line
        for line in path.read_text().splitlines()
        if not line.startswith(("export_", "side_part_", "subject_tag_"))
    ]
    path.write_text("\n".join(lines))
    ages = load_rotation_rules(path).ages
    assert (ages.export_key_days, ages.export_token_key_days) == (365, 0)
    assert (ages.export_ticket_key_days, ages.side_part_key_days) == (0, 0)
    assert (ages.subject_tag_key_days, ages.invitation_key_days) == (0, 0)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("publish_hours = 24.0", "publish_hours = 23.9", "token_keys.publish_hours: a day or more"),
        ("sign_days = 30.0", "sign_days = 1.0", "token_keys.publish_hours: a day or more"),
        ("sign_days = 30.0", "sign_days = inf", "token_keys.sign_days: a century"),
        ("sign_days = 30.0", "sign_days = nan", "token_keys.sign_days: a century"),
        ("verify_hours = 1.0", "verify_hours = 0.9", "token_keys.verify_hours: an hour"),
        ("verify_hours = 1.0", "verify_hours = 24.0", "token_keys.verify_hours: an hour"),
        ("overlap_days = 30.0", "overlap_days = 0.9", "signer_key.overlap_days: a day"),
        ("overlap_days = 30.0", "overlap_days = inf", "signer_key.overlap_days: a day"),
        ("sealing_key_days = 365.0", "sealing_key_days = -1", "ages.sealing_key_days: not"),
        (
            "sealing_key_days = 365.0",
            "sealing_key_days = 0.9",
            "ages.sealing_key_days: 0, or a day",
        ),
        ("database_password_days = 365.0", "database_password_days = 0.1", "0, or a day or more"),
        ("export_key_days = 365.0", "export_key_days = 0.5", "ages.export_key_days: 0, or a day"),
        ("index_key_days = 0.0", "", "ages.index_key_days: missing"),
        ("[30, 14, 7, 1]", "[]", "engine.warning_days: days above 0"),
        ("[30, 14, 7, 1]", "[30, 0]", "engine.warning_days: days above 0"),
        ("[30, 14, 7, 1]", "[7, 14]", "engine.warning_days: longest first"),
        ("[30, 14, 7, 1]", "[7, 7]", "engine.warning_days: longest first"),
        ("late_hours = 2.0", "late_hours = 0", "engine.late_hours: above 0"),
        ("alarm_failures = 2", "alarm_failures = 0", "engine.alarm_failures: above 0"),
        ("alarm_failures = 2", "alarms = 2", "engine.alarms: unknown key"),
    ],
)
def test_a_wrong_number_is_named(path, old, new, complaint) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(SettingsError, match=complaint.replace(".", r"\.")):
        load_rotation_rules(path)
