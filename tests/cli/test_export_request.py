"""A plan in a file becomes a draft; whatever the file cannot say is wrong usage, named."""

import pytest

from gateway.v1 import export_service_pb2 as pb
from tests.cli.small_admin import served
from tests.cli.small_exports import TICKET, SmallExports
from tests.exports.tickets import PLAN

GOOD = """
dataset = "vaccinations"
divisions = ["140105"]
columns = ["child_token", "vaccinated_date"]
purpose = "survey"
legal_basis = "vaccine-law-art-49"
recipient = "140100/wu.export"
connection_certificate = "ABAB:abab"
encryption_certificate = "cdcd"
tunnel = "listen/127.0.0.12"
rows = 1000
children = 500
not_before = "2026-11-30T08:00:00+08:00"
not_after = "2026-12-02T08:00:00+08:00"
destroy_by = "2026-12-31"
happened_from = "2026-01-01"
vaccines = ["0101"]
"""


@pytest.fixture
def small():
    with served(SmallExports()) as gateway:
        yield gateway


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(GOOD, encoding="utf-8")
    return path


def test_a_file_becomes_a_draft(small, told, said, plan):
    told("export", "request", str(plan))
    [request] = small.asked
    assert request.dataset == pb.EXPORT_DATASET_VACCINATIONS
    assert request.format == pb.EXPORT_FORMAT_CSV
    assert (request.recipient_organisation_code, request.recipient_account_name) == (
        *("140100", "wu.export"),
    )
    assert request.connection_certificate_sha256 == "abababab"
    assert request.not_before_time.ToJsonString() == "2026-11-30T00:00:00Z"
    assert (request.happened_from_date.year, request.HasField("happened_until_date")) == (
        2026,
        False,
    )
    assert "gateway export submit" in said("export", "request", str(plan))


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ('"vaccinations"', '"everything"', "WORD_UNKNOWN"),
        ("rows = 1000", 'rows = 1000\nformat = "xls"', "WORD_UNKNOWN"),
        ("2026-01-01", "2026-02-30", "DAY_INVALID"),
        ("2026-11-30T08:00:00+08:00", "2026-11-30T08:00:00", "MOMENT_INVALID"),
        ("2026-11-30T08:00:00+08:00", "soon", "MOMENT_INVALID"),
        ("rows = 1000", "", "SETTINGS_INVALID"),
        ("rows = 1000", 'rows = 1000\nwish = "all"', "SETTINGS_INVALID"),
        ('divisions = ["140105"]', 'divisions = "140105"', "SETTINGS_INVALID"),
    ],
)
def test_what_a_file_cannot_say_is_wrong_usage(small, told, plan, before, after, code):
    plan.write_text(GOOD.replace(before, after), encoding="utf-8")
    assert told("export", "request", str(plan), status=2)["refused"] == code
    assert small.asked == []


def test_a_draft_is_submitted_under_the_digest_of_its_own_bytes(small, told):
    small.keep(0)
    told("export", "submit", TICKET)
    [request] = small.asked
    assert request.plan_sha256 == PLAN.sha256
