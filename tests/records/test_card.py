"""Reading a card, its key columns, and what makes two cards the same."""

import pytest

from gateway.records import card
from gateway.v1.child_pb2 import IDENTITY_DOCUMENT_RESIDENT_CARD, TEST_RESULT_NEGATIVE, Child
from tests.records.office import desk
from tests.records.test_child import number
from tests.uploads.county import BORN, SECOND_UNIT, TODAY, a_child


def key(record, index=0):
    return card.key_of(card.read(record), desk(), index)


def full():
    """Return a card with every field filled."""
    record = a_child(
        status_date=TODAY, status_reason="x", correction_reason="y", nationality_code="CHN"
    )
    record.restricted.mother_hbsag = TEST_RESULT_NEGATIVE
    record.restricted.contraindicated_vaccine_codes.append("0101")
    record.guardians[0].document_number = "1"
    return record


def fields(message, prefix=()):
    """Yield the path of every field that is no message, of the first element of a list."""
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        place = (*prefix, field.name)
        if field.is_repeated and field.message_type is not None:
            yield from fields(value[0], (*place, 0))
        elif field.is_repeated:
            yield (*place, 0)
        elif field.message_type is not None:
            yield from fields(value, place)
        else:
            yield place


def change(message, path):
    for name in path[:-1]:
        message = message[name] if isinstance(name, int) else getattr(message, name)
    last = path[-1]
    value = message[last] if isinstance(last, int) else getattr(message, last)
    if last == "child_code":
        value = f"{value[:-1]}9"
    elif isinstance(value, str):
        value += "1"
    else:
        value = value - 1 if last in ("year", "month", "day") and value > 1 else value + 1
    if isinstance(last, int):
        message[last] = value
    else:
        setattr(message, last, value)


@pytest.mark.parametrize("path", list(fields(full())), ids=str)
def test_every_field_but_the_revision_and_its_reason_is_content(path):
    record = full()
    before = key(record).child.content_tag
    change(record, path)
    same = path[0] in ("revision", "correction_reason")
    assert (key(record).child.content_tag == before) == same


def test_parts_cannot_be_moved():
    one, other = a_child(name="ab", nationality_code="c"), a_child(name="a", nationality_code="bc")
    assert key(one).child.content_tag != key(other).child.content_tag
    twice = a_child()
    twice.guardians.append(twice.guardians[0])
    assert key(twice).child.content_tag != key(a_child()).child.content_tag
    empty = a_child()
    empty.guardians.add()
    assert key(empty).child.content_tag != key(a_child()).child.content_tag
    present = a_child()
    present.restricted.SetInParent()
    assert key(present).child.content_tag != key(a_child()).child.content_tag


def test_the_managing_unit():
    assert card.unit_of(a_child(current_unit_code="")) == a_child().file_unit_code
    assert card.unit_of(a_child(current_unit_code=SECOND_UNIT)) == SECOND_UNIT


def test_reading():
    read = card.read(a_child(document=1, document_number=number().lower()))
    assert (read.birth, read.number, read.number_day) == (BORN, number(), BORN)
    assert card.read(Child()).birth is None


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"document": 88, "document_number": "888888888888888888"},
        {"document": IDENTITY_DOCUMENT_RESIDENT_CARD, "document_number": "140105202401010000"},
        {"document": 3, "document_number": number()},
        {"birth_certificate_number": "不详"},
    ],
)
def test_what_names_nobody_is_no_identity(changes):
    assert key(a_child(**changes)).identities == ()


def test_key_columns():
    record = a_child(status=2, status_date=TODAY)
    found = key(record, 5).child
    assert (found.birth_date, found.status_date, found.item_index) == (BORN, TODAY, 5)
    assert found.mother_tag == desk().tag("mother", "李秀英")
    assert found.name_tag == desk().tag("name", "王小明")
    assert key(a_child(guardians=[])).child.mother_tag is None


@pytest.mark.parametrize("changes", [{"child_code": "1"}, {"birth_date": None}])
def test_what_cannot_be_stored_has_no_key(changes):
    assert key(a_child(**changes)) is None


def test_names_are_compared_without_spaces_width_and_case():
    assert card.normal_name(" Ａli　 bek ") == "ALIBEK"
