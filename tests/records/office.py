"""A desk for tests of rules: the real tables, the register of two counties, one day."""

from functools import cache
from typing import Any

from gateway.records.desk import Desk
from gateway.records.rulebook import Finding
from gateway.records.tables import Tables
from gateway.store.seal import BlindIndex
from tests.audit.stage import NOW_US
from tests.uploads.county import COUNTY, POLICIES, Register


@cache
def tables() -> Tables:
    return Tables.load(POLICIES)


def desk(**changes: Any) -> Desk:
    given = {
        "tables": tables(),
        "units": Register(),
        "tagger": BlindIndex(bytes(32)),
        "organisation": COUNTY,
        "now_us": NOW_US,
    }
    return Desk(**(given | changes))


def ids(findings: list[Finding]) -> list[str]:
    """Return rule ids, each once."""
    return sorted({finding.rule_id for finding in findings})


def paths(findings: list[Finding]) -> list[str]:
    return [finding.path for finding in findings]
