import json

import pytest

from gateway.errors import Reason, refuse

UNIT = ("--unit", "1401050003")


@pytest.fixture
def doses(tmp_path):
    path = tmp_path / "doses.jsonl"
    path.write_text(
        "".join(json.dumps({"vaccination": {"recordId": f"r{n}"}}) + "\n" for n in range(25))
    )
    return str(path)


def test_files_are_uploaded_and_the_result_told(small, told, doses):
    shown = told("upload", doses, *UNIT, "--batch", "10")
    assert shown["records"] == shown["states"]["accepted"] == 25
    assert shown["batches"] == 3
    assert len(small.records()) == 25
    assert told("upload", doses, *UNIT, "--batch", "10") == shown
    assert len(small.records()) == 25


def test_people_see_a_table_in_their_language(said, doses):
    english = said("upload", doses, *UNIT)
    assert "accepted" in english
    assert "verified receipt" in english
    chinese = said("upload", doses, *UNIT, lang="zh")
    assert "接收" in chinese
    assert "此前已发送 25 条记录" in chinese


def test_refused_batches_are_told_with_status_one(small, said, doses):
    small.faults = [lambda _: refuse(Reason.BATCH_MALFORMED)]
    told = said("upload", doses, *UNIT, status=1)
    assert "25 records in refused batches (BATCH_MALFORMED)" in told


def test_a_gateway_that_stays_away_is_status_three(small, told, doses):
    small.faults = [lambda _: refuse(Reason.STORE_AWAY, retry_after_s=0.01)] * 1000
    assert told("upload", doses, *UNIT, "--patience", "0.2", status=3)["refused"] == "STORE_AWAY"


def test_a_receipt_that_proves_nothing_is_told(small, told, doses):
    small.change_receipt = lambda receipt: setattr(receipt, "salt", bytes(16))
    refused = told("upload", doses, *UNIT, status=1)
    assert refused["refused"] == "RECEIPT_COMMITMENT"


def test_a_line_that_cannot_be_read_is_named_and_what_came_before_is_uploaded(
    small, told, tmp_path
):
    path = tmp_path / "doses.csv"
    path.write_text(
        "record_id,dose_number\n" + "".join(f"r{n},1\n" for n in range(20)) + "r20,SECRET\n"
    )
    refused = told("upload", str(path), *UNIT, "--batch", "10", status=2)
    assert refused["refused"] == "LINE_INVALID"
    assert "22" in refused["message"]
    assert "SECRET" not in refused["message"]
    assert len(small.records()) == 20


def test_a_live_batch_says_so(small, told, doses):
    told("upload", doses, *UNIT, "--live")
    assert {batch.lane for batch in small.batches} == {1}


def test_a_certificate_that_ends_soon_is_told(small, said, told, doses, capsys):
    small.certificate_warning_days = 7
    assert "ends within 7 days" in said("upload", doses, *UNIT)
    assert "7 天内到期" in said("upload", doses, *UNIT, "--live", lang="zh")
    assert "ends within" not in said("upload", doses, *UNIT)
