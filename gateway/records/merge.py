"""Merges of duplicate cards, and devices: their structure (ME-01, ME-02, DE-01)."""

from collections.abc import Collection, Mapping

from gateway.records.desk import Desk
from gateway.records.form import form_findings, to_day
from gateway.records.ids import CHILD_CODE, is_document_id
from gateway.records.keys import ChildKey
from gateway.records.rulebook import Finding, Findings
from gateway.records.vaccination import MOST_REVISIONS
from gateway.v1.child_pb2 import ChildMerge
from gateway.v1.types_pb2 import Device

MERGE = "child_merge"
DEVICE = "device"
# A duplicate set is a handful of cards; more is a mistake that a person should split.
MOST_RETIRED = 20


def merge_id(record: ChildMerge) -> str:
    """Return the merge's id within its unit, or "" when it has none in our form."""
    return record.merge_id if is_document_id(record.merge_id) else ""


def device_id(record: Device) -> str:
    """Return the device's id within its unit, or "" when it has none in our form."""
    return record.device_id if is_document_id(record.device_id) else ""


def judge_merge(record: ChildMerge, desk: Desk) -> Findings:
    """Return every finding about a merge that needs no stored card."""
    found = form_findings(record, MERGE)
    if not merge_id(record):
        found.append(Finding("EN-10", f"{MERGE}.merge_id"))
    if not desk.in_scope(record.unit_code):
        found.append(Finding("EN-03", f"{MERGE}.unit_code"))
    retired = record.retired_child_codes
    if not all(CHILD_CODE.fullmatch(code) for code in (record.kept_child_code, *retired)):
        found.append(Finding("CH-01", MERGE))
    distinct = set(retired) - {record.kept_child_code}
    if not distinct or len(distinct) != len(retired) or len(retired) > MOST_RETIRED:
        found.append(Finding("ME-01", f"{MERGE}.retired_child_codes"))
    if not record.reason.strip():
        found.append(Finding("ME-01", f"{MERGE}.reason"))
    return found


def merge_tags(record: ChildMerge, desk: Desk) -> tuple[bytes, ...]:
    """Return the tags of the kept card and then of the retired ones."""
    return tuple(
        desk.child_tag(code) for code in (record.kept_child_code, *record.retired_child_codes)
    )


def judge_merge_known(
    tags: tuple[bytes, ...], cards: Mapping[bytes, ChildKey], retired: Collection[bytes], desk: Desk
) -> Findings:
    """ME-02: every card is known, in use, and managed by a unit of the sender.

    Nobody retires another's card.
    """
    for tag in tags:
        card = cards.get(tag)
        if card is None or tag in retired or not desk.in_scope(card.unit_code):
            return [Finding("ME-02", MERGE)]
    return []


def judge_device(record: Device, desk: Desk) -> Findings:
    """Return every finding about a device."""
    found = form_findings(record, DEVICE)
    day = to_day(record.commissioned_date)
    wrong = (
        ("EN-10", "device_id", not device_id(record)),
        ("EN-03", "unit_code", not desk.in_scope(record.unit_code)),
        ("DE-01", "type", record.type == Device.TYPE_UNSPECIFIED),
        ("EN-10", "commissioned_date", day is None and record.HasField("commissioned_date")),
        ("EN-10", "revision", record.revision >= MOST_REVISIONS),
    )
    return found + [
        Finding(rule_id, f"{DEVICE}.{name}") for rule_id, name, is_wrong in wrong if is_wrong
    ]
