"""How a held item is kept.

Its findings as JSON, and the key columns of a dose that waits for its child.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from gateway.records.keys import DoseKey
from gateway.records.rulebook import Finding, Findings, Severity
from gateway.v1.upload_service_pb2 import (
    ITEM_STATE_ACCEPTED,
    ITEM_STATE_FLAGGED,
    ITEM_STATE_QUARANTINED,
    ITEM_STATE_REJECTED,
)

# The rule of a dose whose child is not known: the only one that time and other records can settle.
WAITS = "VA-01"
Json = dict[str, Any]  # Any: what JSON holds

_STATES: Mapping[Severity, int] = {
    Severity.REJECT: ITEM_STATE_REJECTED,
    Severity.QUARANTINE: ITEM_STATE_QUARANTINED,
    Severity.FLAG: ITEM_STATE_FLAGGED,
    Severity.INFO: ITEM_STATE_ACCEPTED,
}


def state_of(findings: Sequence[Finding], severities: Mapping[str, Severity]) -> int:
    """Return the ItemState that follows from findings: their worst severity decides."""
    if not findings:
        return ITEM_STATE_ACCEPTED
    return _STATES[min(severities[finding.rule_id] for finding in findings)]


@dataclass(slots=True)
class Waiting:
    """A held dose whose child may have come (VA-01). `found` are its other findings.

    Judging fills `findings` and `state`.
    """

    dose: DoseKey
    found: Findings
    has_reason: bool
    deadline_us: int
    findings: Sequence[Finding] = ()
    state: int = 0


def findings_json(findings: Sequence[Finding]) -> list[list[str]]:
    """Return findings as they are stored: pairs of rule id and field path.

    Texts and severities come from the rule book.
    """
    return [[finding.rule_id, finding.path] for finding in findings]


def findings_of(stored: list[list[str]]) -> Findings:
    """Return stored findings."""
    return [Finding(rule_id, path) for rule_id, path in stored]


def columns_json(key: DoseKey, *, has_reason: bool) -> Json:
    """Return the key columns of a waiting dose as they are stored, without its child tag.

    Which has a column.
    """
    return {
        "record_id": key.record_id.hex(),
        "unit_code": key.unit_code,
        "vaccine_code": key.vaccine_code,
        "series": key.series,
        "dose_number": key.dose_number,
        "vaccinated_date": key.vaccinated_date.isoformat(),
        "route": key.route,
        "site": key.site,
        "content_tag": key.content_tag.hex(),
        "revision": key.revision,
        "has_reason": has_reason,
    }


def waiting_of(
    child_tag: bytes, stored: Json, deadline_us: int, batch_id: int, item_index: int
) -> Waiting:
    """Return a waiting dose from its row.

    `stored` has its key columns under "key" and its findings under "findings".
    """
    key = stored["key"]
    return Waiting(
        DoseKey(
            child_tag=child_tag,
            record_id=bytes.fromhex(key["record_id"]),
            vaccine_code=key["vaccine_code"],
            dose_number=key["dose_number"],
            vaccinated_date=date.fromisoformat(key["vaccinated_date"]),
            route=key["route"],
            site=key["site"],
            content_tag=bytes.fromhex(key["content_tag"]),
            unit_code=key["unit_code"],
            series=key["series"],
            revision=key["revision"],
            batch_id=batch_id,
            item_index=item_index,
        ),
        [finding for finding in findings_of(stored["findings"]) if finding.rule_id != WAITS],
        key["has_reason"],
        deadline_us,
    )
