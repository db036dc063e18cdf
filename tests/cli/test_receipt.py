import json

import pytest

from gateway.client import delimited


@pytest.fixture
def receipts(told, tmp_path):
    path = tmp_path / "doses.jsonl"
    path.write_text(
        "".join(json.dumps({"vaccination": {"recordId": f"r{n}"}}) + "\n" for n in range(25))
    )
    return told("upload", str(path), "--unit", "1401050003", "--batch", "10")["receipts"]


def test_receipts_are_shown_and_proven_without_a_server(small, told, said, receipts, capsys):
    calls = len(small.calls)
    assert told("receipt", "verify", receipts)["records"] == 25
    assert "3 receipts" in said("receipt", "verify", receipts)
    assert len(small.calls) == calls


def test_what_a_receipt_says_is_shown(receipts, capsys):
    from tests.cli.small_admin import cli

    capsys.readouterr()
    assert cli("receipt", "show", receipts, "--json") == 0
    shown = json.loads(capsys.readouterr().out)["receipts"]
    assert [each["records"] for each in shown] == [10, 10, 5]
    assert shown[0]["leaf"]["organisation"] == "140105"
    assert cli("receipt", "show", receipts, "--lang", "en") == 0
    assert "log entry" in capsys.readouterr().out


def test_a_changed_receipt_is_told_with_its_number(told, receipts, tmp_path):
    changed = list(delimited.read(tmp_path / receipts))
    changed[1].items[0].state = 5
    path = tmp_path / "changed"
    path.write_bytes(b"".join(map(delimited.frame, changed)))
    refused = told("receipt", "verify", str(path), status=1)
    assert refused["refused"] == "RECEIPT_COUNTS"
    assert "2" in refused["message"]


def test_another_file_is_no_row_of_receipts(told, tmp_path):
    path = tmp_path / "other"
    path.write_bytes(b"\xff" * 100)
    assert told("receipt", "verify", str(path), status=2)["refused"] == "RECEIPTS_INVALID"
