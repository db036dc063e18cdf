"""The page says everything that is signed, in words of both languages."""

import dataclasses

import pytest

from gateway.cli import export_page
from gateway.cli.output import Output
from gateway.client.approving import FIELDS, read
from gateway.exports.approval import Standing
from gateway.exports.plan import Plan
from gateway.exports.ticket import Act, State
from gateway.policy import fields
from gateway.services import export_wire
from gateway.v1 import export_service_pb2 as pb
from gateway.v1.options_pb2 import ExportClass
from tests.exports.tickets import HOUR, START_US, along, officer, step


def test_every_field_of_a_plan_is_on_the_page():
    assert set(FIELDS) == {one.name for one in dataclasses.fields(Plan)}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_word_is_missing(language):
    output = Output(language)
    words = [f"export.plan.{name}" for name in FIELDS]
    words += [f"export.state.{state.value}" for state in State]
    words += [f"export.column.{name}" for name in export_page._COLUMNS]
    words += [f"export.dataset.{name}" for name in fields.DATASETS]
    words += [f"export.format.{name}" for name in ("csv", "csv-bom", "parquet")]
    left = set(ExportClass.keys()) - {"EXPORT_CLASS_UNSPECIFIED", "EXPORT_CLASS_NEVER"}
    words += [f"export.class.{one.removeprefix('EXPORT_CLASS_').lower()}" for one in left]
    assert [word for word in words if output.text(word) == word] == []


def test_a_column_that_this_program_does_not_know_says_so():
    ticket = export_wire.message(along(1, columns=("child_token", "brand_new")))
    page = export_page.page(Output("en"), ticket, read(ticket))
    assert "brand_new: UNKNOWN to this program: do not sign" in page


def test_an_open_filter_says_that_it_is_open():
    ticket = export_wire.message(along(1, vaccine_codes=(), born_from=None, units=()))
    page = export_page.page(Output("en"), ticket, read(ticket))
    assert page.count("all there are") == 5


def test_a_held_ticket_is_told_as_frozen_in_the_list():
    ticket = export_wire.message(along(3))
    ticket.held = True
    listed = export_page.listing(Output("en"), [ticket], [read(ticket)])
    assert "approved, frozen" in listed
    assert "li@140100" in listed
    assert (
        export_page.state_word(pb.ExportTicket(state=pb.EXPORT_STATE_ONCE_APPROVED))
        == "once_approved"
    )


def test_what_was_called_back_says_until_when():
    recalled = step(along(8), Act.RECALL, officer(), START_US + HOUR)
    ticket = export_wire.message(recalled)
    for language, words in (("en", "Called back"), ("zh", "已召回")):
        page = export_page.page(Output(language), ticket, read(ticket))
        assert words in page
        assert "2026-11-09T16:00:00" in page
    before = export_wire.message(along(8))
    assert "Called back" not in export_page.page(Output("en"), before, read(before))


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (Standing.RETIRED, ("retired since", "其后已停用")),
        (Standing.FALSE, ("NOT the approver's", "并非该审批人所签")),
    ],
)
def test_an_approval_that_is_worth_nothing_more_says_so(standing, words):
    ticket = export_wire.message(along(3), (Standing.GENUINE, standing))
    for language, said in zip(("en", "zh"), words, strict=True):
        page = export_page.page(Output(language), ticket, read(ticket))
        assert page.count(said) == 1
