"""policies/activation.toml is read strictly, and what ships is right."""

from pathlib import Path

import pytest

from gateway.config.activation import ActivationRules, load_activation_rules
from gateway.config.policies import shipped
from gateway.config.strict import SettingsError


def test_what_ships() -> None:
    found = load_activation_rules(shipped("policies") / "activation.toml")
    assert found == ActivationRules(apart_s=120, loosening_hours=24)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("apart_s = 0\nloosening_hours = 24\n", "apart_s: must be above 0"),
        ("apart_s = 120\nloosening_hours = 0\n", "loosening_hours: must be above 0"),
        ("apart_s = 120\n", "loosening_hours: missing"),
        ("apart_s = 120\nloosening_hours = 24\nmore = 1\n", "more: unknown key"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "activation.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=said):
        load_activation_rules(path)
