"""`gateway export download|acknowledge|destroyed`: one command for the file, one for what the gateway missed, one for its end."""

import pytest

from gateway.cli import export_receive
from gateway.clock import SYSTEM, civil_day
from gateway.errors import Reason
from gateway.v1 import export_service_pb2 as pb
from tests.cli.small_admin import served
from tests.cli.small_exports import TICKET
from tests.client.exporting import DATA, Exporting
from tests.exports.shipping import a_reader


@pytest.fixture
def small():
    with served(Exporting()) as gateway:
        yield gateway


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_the_file_lies_here_under_the_ticket_s_number_and_is_acknowledged(small, told, here):
    answer = told("export", "download", TICKET)
    assert (here / f"{TICKET}.csv").read_bytes() == DATA
    assert (answer["rows"], answer["purpose"], answer["acknowledged"]) == (30_000, "survey", True)
    assert answer["destroy_by"] == "2026-12-31"
    assert small.ticket.state == pb.EXPORT_STATE_ACKNOWLEDGED


def test_people_are_told_what_it_is_for_and_when_it_ends(small, said, here):
    english = said("export", "download", TICKET, "--to", "rows.csv")
    for words in ("30000 rows", "survey", "2026-12-31", f"gateway export destroyed {TICKET}"):
        assert words in english, words
    small.build()
    assert "销毁" in said("export", "download", TICKET, lang="zh")
    assert sorted(one.name for one in here.iterdir()) == [f"{TICKET}.csv", "rows.csv"]


def test_where_the_gateway_could_not_be_told_it_is_told_later(small, told, said, here):
    small.lost = ["acknowledge"]
    assert told("export", "download", TICKET)["acknowledged"] is False
    assert small.ticket.state == pb.EXPORT_STATE_RELEASED
    assert TICKET in said("export", "acknowledge", TICKET)
    assert small.ticket.state == pb.EXPORT_STATE_ACKNOWLEDGED
    small.build()
    small.lost = ["acknowledge"]
    again = said("export", "download", TICKET, "--to", "again.csv")
    assert f"gateway export acknowledge {TICKET}" in again


def test_what_our_own_side_refuses_is_told_with_its_code_and_leaves_nothing(small, told, here):
    assert told("export", "acknowledge", "EX-1", status=1)["refused"] == "TICKET_NUMBER"
    assert told("export", "acknowledge", TICKET, status=1)["refused"] == "NOT_OPENED"
    (here / f"{TICKET}.csv").write_text("mine")
    assert told("export", "download", TICKET, status=2)["refused"] == "TARGET_EXISTS"
    absent = told("export", "download", TICKET, "--to", "absent/rows.csv", status=2)
    assert absent["refused"] == "TARGET_FOLDER"
    small.tickets[TICKET].plan += b" "
    assert told("export", "download", TICKET, status=1)["refused"] == "PLAN_INVALID"
    small.reader = a_reader()
    small.build()
    other = told("export", "download", TICKET, "--to", "other.csv", status=1)
    assert other["refused"] == "ENCRYPTION_CERTIFICATE"
    assert [one.name for one in here.iterdir()] == [f"{TICKET}.csv"]


def test_a_refusal_of_the_gateway_is_told_and_leaves_nothing(small, told, here):
    small.cuts = [(1, Reason.TICKET_REVOKED)]
    assert told("export", "download", TICKET, status=1)["refused"] == "TICKET_REVOKED"
    assert not [*here.iterdir()]


def test_the_destruction_is_signed_once_the_file_is_gone_and_somebody_says_so(small, told, here):
    told("export", "download", TICKET)
    file = here / f"{TICKET}.csv"
    assert told("export", "destroyed", TICKET, "--yes", status=1)["refused"] == "FILE_PRESENT"
    file.unlink()
    assert told("export", "destroyed", TICKET, status=2)["refused"] == "CONSENT_MISSING"
    wrong = told("export", "destroyed", TICKET, "--on", "soon", status=2)
    assert wrong["refused"] == "DAY_INVALID"
    assert small.ticket.state == pb.EXPORT_STATE_ACKNOWLEDGED
    told("export", "destroyed", TICKET, "--yes")
    today, day = civil_day(SYSTEM.now_us()), small.asked[-1].destroyed_date
    assert abs(today.toordinal() - today.replace(day.year, day.month, day.day).toordinal()) <= 1
    told("export", "destroyed", TICKET, "--yes", "--on", "2026-08-31")
    assert small.asked[-1].destroyed_date.month == 8


@pytest.mark.parametrize(("answer", "status"), [(True, 0), (False, 1)])
def test_at_a_terminal_he_is_asked(small, told, monkeypatch, answer, status):
    monkeypatch.setattr(export_receive.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(export_receive.typer, "confirm", lambda *_, **__: answer)
    told("export", "destroyed", TICKET, status=status)
    assert len(small.asked) == int(answer)
