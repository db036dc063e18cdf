"""How held items are kept: states, findings and key columns there and back."""

import json

import pytest

from gateway.records import dose
from gateway.records.rulebook import Finding
from gateway.uploads.held import columns_json, findings_json, findings_of, state_of, waiting_of
from gateway.v1 import upload_service_pb2 as u
from tests.records.office import desk, tables
from tests.uploads.county import a_child, a_dose


@pytest.mark.parametrize(
    ("rules", "state"),
    [
        ([], u.ITEM_STATE_ACCEPTED),
        (["VA-09"], u.ITEM_STATE_ACCEPTED),
        (["VA-09", "VA-06"], u.ITEM_STATE_FLAGGED),
        (["VA-06", "VA-05"], u.ITEM_STATE_QUARANTINED),
        (["VA-05", "VA-03"], u.ITEM_STATE_REJECTED),
    ],
)
def test_the_worst_finding_decides(rules: list[str], state: int) -> None:
    assert state_of([Finding(rule, "") for rule in rules], tables().severities) == state


def test_a_waiting_dose_there_and_back() -> None:
    key = dose.key_of(dose.read(a_dose(a_child(), revision=3)), desk(), 4)
    assert key is not None
    findings = [
        Finding("VA-14", "vaccination.free_of_charge"),
        Finding("VA-01", "vaccination.child_code"),
    ]
    stored = {"key": columns_json(key, has_reason=True), "findings": findings_json(findings)}
    waiting = waiting_of(key.child_tag, json.loads(json.dumps(stored)), 99, 7, 4)
    assert waiting.dose == key._replace(batch_id=7)
    assert waiting.found == findings[:1]
    assert (waiting.has_reason, waiting.deadline_us, waiting.state) == (True, 99, 0)


def test_findings_there_and_back() -> None:
    findings = [Finding("VA-14", "a.b")]
    assert findings_of(json.loads(json.dumps(findings_json(findings)))) == findings
