"""The rule book: every rule once, in both languages, without values."""

import re

from gateway.records.rulebook import RULES, Severity
from gateway.v1 import upload_service_pb2 as u
from tests.house.tree import ROOT


def test_every_rule_that_is_found_is_in_the_book():
    named = set()
    for room in ("records", "uploads"):
        for path in (ROOT / "gateway" / room).glob("*.py"):
            if path.name != "rulebook.py":
                named |= set(
                    re.findall(r'"((?:EN|CH|VA|TR|ST|AE|ME|DE)-[0-9]{2})"', path.read_text())
                )
    # EN-04 is told as the refusal REQUEST_ID_REUSED.
    assert named == set(RULES) - {"EN-04"}


def test_texts():
    for rule in RULES.values():
        assert rule.english.endswith("."), rule
        assert rule.chinese.endswith("。"), rule
        assert re.search(r"[\u4e00-\u9fff]", rule.chinese), rule
        assert not re.search(r"[\u4e00-\u9fff]", rule.english), rule


def test_numbers_are_the_contracts():
    for severity in Severity:
        assert u.Severity.Name(int(severity)) == f"SEVERITY_{severity.name}"


def test_the_impossible_cannot_be_loosened():
    for rule in RULES.values():
        assert rule.severity is not Severity.REJECT or not rule.changeable, rule
