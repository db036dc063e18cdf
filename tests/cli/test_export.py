"""`gateway export`: every act is one call; an approver signs what he was shown, and nothing else."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.cli import export
from gateway.exports.approval import statement
from gateway.v1 import export_service_pb2 as pb
from tests.cli.small_admin import cli, served
from tests.cli.small_exports import TICKET, SmallExports
from tests.exports.tickets import PLAN


@pytest.fixture
def small():
    with served(SmallExports()) as gateway:
        yield gateway


def test_a_page_shows_every_field_of_the_plan_in_both_languages(small, said):
    small.keep(2)
    english = said("export", "show", TICKET)
    for words in (
        *("140105", "vaccinations", "survey", "vaccine-law-art-49", "li@140100", "wu@140100"),
        *("all there are", "2020-01-01", "listen/127.0.0.12", "10000", "5000", "2026-12-31"),
        *("child_token: a token of this export", "approved in part", "Persons who must approve: 2"),
        "Approved by zhao of 140000",
    ):
        assert words in english, words
    grouped = ":".join(PLAN.sha256[at : at + 4] for at in range(0, 64, 4))
    assert grouped in english
    chinese = said("export", "show", TICKET, lang="zh")
    for words in ("接种记录", "用途", "申请人", "部分批准", grouped):
        assert words in chinese, words


def test_a_list_is_read_over_all_pages_and_by_state(small, told, said):
    small.keep(1)
    small.keep(3, "EX-00000002")
    found = told("export", "list", "--state", "submitted")["tickets"]
    assert [one["ticket_id"] for one in found] == [TICKET, "EX-00000002"]
    assert small.asked[0].state == pb.EXPORT_STATE_SUBMITTED
    assert "waits for approval" in said("export", "list")
    assert told("export", "list", "--state", "gone", status=2)["refused"] == "STATE_UNKNOWN"
    assert told("export", "show", "EX-00000009", status=1)["refused"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("deny", ["--reason", "too wide"]),
        ("withdraw", []),
        ("revoke", ["--reason", "stop"]),
        ("hold", ["--reason", "a question of the court"]),
        ("unhold", []),
        ("recall", ["--reason", "wrong recipient"]),
    ],
)
def test_an_act_is_one_call_and_says_what_came_of_it(small, told, said, verb, words):
    small.keep(3)
    shown = told("export", verb, TICKET, *words)
    assert shown["ticket_id"] == TICKET
    [request] = small.asked
    assert type(request).__name__ == f"{verb.capitalize()}ExportRequest"
    assert request.ticket_id == TICKET
    assert getattr(request, "reason", "") == (words[1] if words else "")
    assert TICKET in said("export", verb, TICKET, *words)


def test_an_approver_signs_the_bytes_he_was_shown(small, told, profile):
    small.keep(1)
    told("export", "approve", TICKET, "--plan", PLAN.sha256)
    [request] = small.asked
    assert request.plan_sha256 == PLAN.sha256
    key = load_pem_private_key((profile / "key.pem").read_bytes(), None)
    key.public_key().verify(request.signature, statement(TICKET, PLAN.sha256), ec.ECDSA(SHA256()))


def test_without_a_terminal_the_plan_must_be_named_and_must_be_this_one(small, told):
    small.keep(1)
    assert told("export", "approve", TICKET, status=2)["refused"] == "CONSENT_MISSING"
    other = told("export", "approve", TICKET, "--plan", "0" * 64, status=1)
    assert other["refused"] == "PLAN_CHANGED"
    assert small.asked == []


@pytest.mark.parametrize(("answer", "status"), [(True, 0), (False, 1)])
def test_at_a_terminal_he_reads_the_page_and_says_yes_or_no(
    small, profile, capsys, monkeypatch, answer, status
):
    small.keep(1)
    monkeypatch.setattr(export.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(export.typer, "confirm", lambda *_, **__: answer)
    capsys.readouterr()
    assert cli("export", "approve", TICKET, "-p", str(profile), "--lang", "en") == status
    assert "Purpose" in capsys.readouterr().err
    assert len(small.asked) == int(answer)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("plan_sha256", "0" * 64),
        ("plan", PLAN.canonical().replace(b"10000", b"10001")),
        ("plan", PLAN.canonical() + b" "),
    ],
)
def test_a_plan_whose_bytes_are_not_what_the_ticket_says_is_not_shown_and_not_signed(
    small, told, field, value
):
    """A gateway that shows one plan and has another signed does not get that signature."""
    setattr(small.keep(1), field, value)
    for words in (("show",), ("approve", "--plan", PLAN.sha256)):
        assert told("export", words[0], TICKET, *words[1:], status=1)["refused"] == "PLAN_INVALID"
    assert small.asked == []


def test_json_is_one_document(small, profile, capsys):
    small.keep(1)
    capsys.readouterr()
    assert cli("export", "show", TICKET, "-p", str(profile), "--json") == 0
    assert json.loads(capsys.readouterr().out)["plan_sha256"] == PLAN.sha256
