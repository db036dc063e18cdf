"""Every attack of the list is tried by a test that exists, and each answer that is a reason is one of ours."""

import re

import pytest

from gateway.audit.failures import FAILURES, NOTICES
from gateway.errors import Reason
from gateway.messages.texts import catalogue
from tests.house.tree import ROOT
from tests.pki.forgeries import FORGED_DEFECTS, FORGERIES


def rows(page):
    """What a page says of each attack, by its number."""
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    cells = [
        [cell.strip() for cell in line.split("|")] for line in lines if re.match(r"\| \d+ \|", line)
    ]
    assert len({int(one[1]) for one in cells}) == len(cells), "a number twice"
    return {int(one[1]): one[2:] for one in cells}


ROWS = rows("attacks.md")
EXPORTS = rows("attacks-exports.md")
EVIDENCE = rows("attacks-evidence.md")
BACKUPS = rows("attacks-backups.md")
TEST_ID = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
# 42 and 115 are no attack's number.
NUMBERS = {*range(1, 121)} - {42, 115}
# Of look-ups, aggregates and leak marks there are none yet. Beyond the list's last number they are our own.
LAST = 101
OF_EXPORTS = {*range(1, 77), 85, 86, 88} - {32}
# What one test makes of a list: its numbers must be in that list.
BY_LIST = "test_each_forgery_leaves_one_leaf_with_its_reason"


def test_every_attack_has_its_row():
    assert set(ROWS) == NUMBERS
    assert {number for number in EXPORTS if number <= LAST} == OF_EXPORTS


@pytest.mark.parametrize("page", [ROWS, EXPORTS], ids=["identity", "exports"])
def test_every_row_names_tests_that_exist(page):
    for number, (_, _, tests, *_) in page.items():
        ids = TEST_ID.findall(tests)
        assert ids, number
        for file, function in ids:
            text = (ROOT / file).read_text(encoding="utf-8")
            assert re.search(rf"^def {function}\b", text, re.MULTILINE), f"{number}: {function}"


@pytest.mark.parametrize("page", [ROWS, EXPORTS], ids=["identity", "exports"])
def test_every_reason_is_one_of_ours(page):
    for number, (_, answer, *_) in page.items():
        assert set(re.findall(r"`([A-Z0-9_]+)`", answer)) <= set(Reason), number


@pytest.mark.parametrize("number", EVIDENCE)
def test_every_attack_on_the_log_names_tests_and_codes_that_exist(number):
    """The last cell has the tests; "the same" are those of the first row."""
    cells = EVIDENCE[number]
    tests = next(cell for cell in reversed(cells) if cell)
    ids = TEST_ID.findall(tests)
    assert ids or tests.startswith("the same"), number
    for file, function in ids:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {function}\b", text, re.MULTILINE), f"{number}: {function}"
    codes = {code for cell in cells for code in re.findall(r"`([A-Z_]+)`", cell)}
    assert codes <= {*FAILURES, *NOTICES, *Reason}, number


def test_every_attack_on_the_log_has_its_row():
    assert set(EVIDENCE) == {*range(1, 52)}


@pytest.mark.parametrize("number", BACKUPS)
def test_every_attack_on_backups_names_tests_and_codes_that_exist(number):
    _, answer, tests, *_ = BACKUPS[number]
    ids = TEST_ID.findall(tests)
    assert ids, number
    for file, function in ids:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {function}\b", text, re.MULTILINE), f"{number}: {function}"
    for code in re.findall(r"`([A-Z_]+)`", answer):
        assert f"backup.code.{code}" in catalogue("en"), number


def test_who_points_at_the_forgeries_is_among_them():
    names = [one.name for one in (*FORGERIES, *FORGED_DEFECTS)]
    tried = {int(name.split()[0]) for name in names if name[0].isdigit()}
    for number, (_, _, tests, *_) in ROWS.items():
        assert BY_LIST not in tests or number in tried, number
