from pathlib import Path

import pytest

from gateway.cli.connected import connected, load, password_of, prompt, read_secret, unreadable
from gateway.cli.output import CommandError, Output
from gateway.client import alarm
from gateway.client.checkpoints import LogError
from gateway.client.delimited import DelimitedError
from gateway.client.journal import BusyError
from gateway.client.reading import ReadingError
from gateway.client.witness import Witness

OUTPUT = Output("en")


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (LogError("LOG_FORKED", "two roots"), "LOG_FORKED", 1),
        (BusyError("1401050003"), "BUSY", 3),
        (DelimitedError("a:1"), "RECEIPTS_INVALID", 2),
        (ReadingError(Path("a.csv"), 3, "sex", "code"), "LINE_INVALID", 2),
    ],
)
def test_what_goes_wrong_has_a_code_and_an_exit_status(profile, error, code, status):
    async def work(client):
        raise error

    with pytest.raises(CommandError) as raised:
        connected(OUTPUT, load(str(profile)), work)
    assert (raised.value.code, raised.value.status) == (code, status)


def test_a_line_is_told_with_its_place():
    told = str(unreadable(OUTPUT, ReadingError(Path("a.csv"), 3, "sex", "code")))
    assert all(part in told for part in ("a.csv", "3", "sex", "codes or names"))
    assert "line 1" in str(unreadable(OUTPUT, ReadingError(Path("a.csv"), 1, "", "json")))


def test_a_password_comes_from_the_file_then_from_a_new_profile(profile, tmp_path):
    found = load(str(profile))
    given = tmp_path / "given"
    given.write_text("from the file\nsecond line\n")
    assert password_of(OUTPUT, found, given)().value == "from the file"
    found.password.write_text("one-time\n")
    assert password_of(OUTPUT, found, None)().value == "one-time"
    found.password.unlink()
    with pytest.raises(CommandError):
        password_of(OUTPUT, found, None)()


def test_an_empty_password_file_is_wrong_usage(tmp_path):
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(CommandError) as raised:
        read_secret(tmp_path / "empty")
    assert raised.value.code == "PASSWORD_MISSING"


def test_a_password_is_asked_on_a_terminal_only(monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("typer.prompt", lambda text, **_: f"typed after {text}")
    assert prompt(OUTPUT, "passwd.new").value == "typed after New password"


def test_a_log_that_contradicted_itself_lets_nothing_be_sent(small, profile, capsys):
    found = load(str(profile))
    alarm.raise_over(found, small.log.checkpoint(), "another")
    calls = len(small.calls)

    async def work(client):
        raise AssertionError("asked all the same")

    with pytest.raises(CommandError, match=alarm.FILE) as raised:
        connected(OUTPUT, found, work)
    assert raised.value.code == "LOG_CONTRADICTED"
    assert len(small.calls) == calls


def test_lines_of_a_witness_that_are_not_taken_are_told_and_stop_nothing(small, profile, capsys):
    found = load(str(profile))
    Witness.create(found)
    small.witness_unknown = True

    async def work(client):
        await client.settle()
        return "done"

    assert connected(OUTPUT, found, work) == "done"
    assert "WITNESS_UNKNOWN" in capsys.readouterr().err
