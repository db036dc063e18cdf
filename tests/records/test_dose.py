"""Reading a dose and what makes two doses the same."""

import uuid

import pytest

from gateway.records import dose
from tests.records.office import desk
from tests.uploads.county import BORN, a_child, a_dose

CHILD = a_child()


def key(record, index=0):
    return dose.key_of(dose.read(record), desk(), index)


def test_key_columns():
    record = a_dose(CHILD, vaccine="5001", number=2)
    found = key(record, 7)
    assert found.record_id == uuid.UUID(record.record_id).bytes
    assert (found.vaccine_code, found.series) == ("5001", "DTaP|Polio|Hib")
    assert (found.vaccinated_date, found.dose_number, found.item_index) == (BORN, 2, 7)
    assert found.child_tag == desk().child_tag(CHILD.child_code)
    assert len(found.child_tag) == len(found.content_tag) == 16


@pytest.mark.parametrize(
    "changes",
    [
        {"record_id": str(uuid.uuid4())},
        {"revision": 4},
        {"correction_reason": "x"},
        {"entered_time__seconds": 5},
    ],
)
def test_the_same_content_under_another_name(changes):
    record = a_dose(CHILD)
    other = type(record).FromString(record.SerializeToString())
    for name, value in changes.items():
        if "__" in name:
            other.entered_time.seconds = value
        else:
            setattr(other, name, value)
    assert key(other).content_tag == key(record).content_tag


def fields(message, prefix=""):
    for field in message.DESCRIPTOR.fields:
        name = f"{prefix}{field.name}"
        if field.message_type is not None and field.name != "entered_time":
            yield from fields(getattr(message, field.name), f"{name}.")
        else:
            yield name


SAME = {"record_id", "revision", "correction_reason", "entered_time"}


@pytest.mark.parametrize("path", [p for p in fields(a_dose(CHILD)) if p not in SAME])
def test_every_other_field_is_content(path):
    record = a_dose(CHILD)
    before = key(record).content_tag
    *parents, last = path.split(".")
    message = record
    for parent in parents:
        message = getattr(message, parent)
    value = getattr(message, last)
    if last == "child_code":
        changed = "140105000120240009"
    elif last == "vaccine_code":
        changed = "0203"
    elif isinstance(value, bool):
        changed = not value
    elif isinstance(value, str):
        changed = value + "1"
    else:
        changed = value - 1 if last in ("day", "month", "year") and value > 1 else value + 1
    setattr(message, last, changed)
    assert key(record).content_tag != before, path


def test_parts_cannot_be_moved_from_one_text_to_the_next():
    one, other = a_dose(CHILD, dose_amount="ab", no_scan_reason="c"), None
    other = type(one).FromString(one.SerializeToString())
    other.dose_amount, other.no_scan_reason = "a", "bc"
    assert key(one).content_tag != key(other).content_tag


@pytest.mark.parametrize(
    "changes", [{"record_id": "x"}, {"child_code": "1"}, {"vaccinated_date": None}]
)
def test_what_cannot_be_stored_has_no_key(changes):
    assert key(a_dose(CHILD, **changes)) is None
