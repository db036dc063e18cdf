"""Plans and tickets between messages and values: nothing is left out, and every state has its number."""

import pytest

from gateway.errors import Refusal
from gateway.exports.plan import DATASETS, FORMATS, Party, parse
from gateway.exports.ticket import State
from gateway.services import export_wire
from gateway.v1 import export_service_pb2 as pb
from gateway.v1.types_pb2 import Date
from tests.exports.tickets import PLAN, along

REQUESTER, RECIPIENT = PLAN.requester, PLAN.recipient


def request(**changes):
    given = {
        "dataset": pb.EXPORT_DATASET_STOCK,
        "format": pb.EXPORT_FORMAT_PARQUET,
        "division_codes": ["140106", "140105"],
        "vaccine_codes": ["0102", "0101"],
        "unit_codes": ["1401050002", "1401050001"],
        "columns": ["unit_code", "kind"],
        "happened_from_date": Date(year=2026, month=1, day=2),
        "destroy_by_date": Date(year=2026, month=12, day=31),
        **changes,
    }
    return pb.DraftExportRequest(**given)


def test_lists_are_sorted_columns_keep_their_order_and_absent_days_are_open():
    found = export_wire.plan(request(), REQUESTER, RECIPIENT)
    assert found.divisions == ("140105", "140106")
    assert found.vaccine_codes == ("0101", "0102")
    assert found.units == ("1401050001", "1401050002")
    assert found.columns == ("unit_code", "kind")
    assert str(found.happened_from) == "2026-01-02"
    assert (found.happened_until, found.born_from, found.born_until) == (None, None, None)
    assert (found.dataset, found.format) == ("stock", "parquet")
    assert (found.requester, found.recipient) == (REQUESTER, RECIPIENT)


def test_a_code_named_twice_stays_named_twice():
    assert export_wire.plan(request(division_codes=["1"] * 2), REQUESTER, RECIPIENT).divisions == (
        "1",
        "1",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": 0},
        {"dataset": 99},
        {"format": 0},
        {"happened_from_date": Date()},
        {"destroy_by_date": None},
    ],
)
def test_what_has_no_value_is_refused(changes):
    with pytest.raises(Refusal) as raised:
        export_wire.plan(request(**changes), REQUESTER, RECIPIENT)
    assert raised.value.reason.value == "FIELD_INVALID"


def test_every_dataset_format_and_state_has_its_number():
    datasets = {
        export_wire.plan(request(dataset=n), REQUESTER, RECIPIENT).dataset for n in range(1, 5)
    }
    formats = {
        export_wire.plan(request(format=n), REQUESTER, RECIPIENT).format for n in range(1, 4)
    }
    assert (datasets, formats) == (set(DATASETS), set(FORMATS))
    words = [export_wire.state(number) for number in range(19)]
    assert words == ["", *(one.value for one in sorted(State, key=lambda s: words.index(s.value)))]
    with pytest.raises(Refusal):
        export_wire.state(99)


def test_a_ticket_is_told_with_the_bytes_of_its_plan():
    told = export_wire.message(along(8))
    assert parse(told.plan) == PLAN
    assert told.plan_sha256 == PLAN.sha256
    assert told.state == pb.EXPORT_STATE_RELEASED
    assert [one.officer_name for one in told.approvals] == ["zhao", "qian"]
    assert (told.needed_count, told.counted_row_count, told.built_row_count) == (2, 1_200, 1_150)
    assert told.payload_sha256 == "12" * 32
    draft = export_wire.message(along(0))
    assert not draft.HasField("submitted_time")
    assert (draft.needed_count, draft.payload_sha256) == (0, "")


def test_faults_are_one_refusal():
    refusal = export_wire.faulty([])
    assert refusal.reason.value == "FIELD_INVALID"
    assert Party("140100", "li", "li.export") == REQUESTER
