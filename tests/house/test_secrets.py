"""Every kind of secret has its rule in a policy, its row in the operators' page and its words in both languages.

That each is counted: tests/identity/test_census.py.
"""

import re
import tomllib
from pathlib import Path

import pytest

from gateway.identity.rotation import KINDS, STAGES, STEPS, Kind
from gateway.messages.texts import catalogue
from tests.house.tree import ROOT

PAGE = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
SECTION = PAGE.split("\n## Rotation")[1].split("\n## ")[0]
# The cells of each row of the table of secrets.
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in SECTION.split("| what | changed by")[1].splitlines()
    if line.startswith("| ") and "---" not in line
]


def rows_of(kind: Kind) -> list[list[str]]:
    name = catalogue("en")[f"rotation.kind.{kind}"]
    return [row for row in ROWS if name in re.split(r", ", row[0])]


def keys_of(path: Path) -> set[str]:
    """Return the keys of a policy file, those within its tables too."""

    def within(table: dict[str, object]) -> set[str]:
        nested = [within(value) for value in table.values() if isinstance(value, dict)]
        return set(table).union(*nested)

    return within(tomllib.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_one_row_that_says_who_changes_it_and_when(kind):
    [row] = rows_of(kind)
    assert all(row)


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_that_rules_a_kind_is_where_the_page_says(kind):
    [row] = rows_of(kind)
    file, key = re.fullmatch(r"`([\w./]+)`: `(\w+)`", row[-1]).groups()
    place = ROOT / "policies" / file
    files = sorted(place.glob("*.toml")) if place.is_dir() else [place]
    assert files
    assert all(key in keys_of(one) for one in files)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_kinds_stages_and_steps_have_their_words(lang):
    words = catalogue(lang)
    named = {"kind": KINDS, "stage": STAGES, "step": STEPS}
    for what, names in named.items():
        for name in names:
            assert words[f"rotation.{what}.{name}"]


def test_no_row_tells_of_a_kind_that_is_not():
    assert len(ROWS) == len({tuple(row) for kind in KINDS for row in rows_of(kind)})
