"""Errors become exit statuses with a code; help and messages speak the user's language."""

import json

import pytest
import typer

from gateway.cli.main import application, noun, run
from gateway.cli.output import CommandError, JsonOption, LangOption, Output
from gateway.config.confinement import ConfinementError
from gateway.config.settings import SettingsError
from gateway.errors import Reason, Violation, refuse
from gateway.store.database import StoreAwayError, StoreError
from gateway.store.embedded import ClusterError


def app_that_raises(error: Exception) -> typer.Typer:
    app = application("serve")

    def fail(json: JsonOption = False, lang: LangOption = "") -> None:
        raise error

    app.command("fail", help="cli.serve.help")(fail)
    return app


def status_of(app: typer.Typer, *words: str) -> object:
    with pytest.raises(SystemExit) as ended:
        run(app, words)
    return ended.value.code


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (refuse(Reason.POLICY_DENIED), 1, "POLICY_DENIED"),
        (refuse(Reason.SIGNER_AWAY), 3, "SIGNER_AWAY"),
        (CommandError("HOME_NOT_EMPTY", "text", status=2), 2, "HOME_NOT_EMPTY"),
        (SettingsError("text"), 2, "SETTINGS_INVALID"),
        (ConfinementError("text"), 2, "USER_WRONG"),
        (ClusterError("text"), 3, "DATABASE_FAILED"),
        (StoreAwayError("text"), 3, "STORE_AWAY"),
        (StoreError("text"), 3, "STORE_FAILED"),
        (FileNotFoundError(2, "No such file", "/x"), 2, "FILE_MISSING"),
        (PermissionError(13, "Permission denied", "/x"), 2, "FILE_FORBIDDEN"),
    ],
)
def test_an_error_has_a_status_and_a_code(capsys, error, status, code) -> None:
    assert status_of(app_that_raises(error), "fail", "--json") == status
    out, _ = capsys.readouterr()
    assert json.loads(out)["refused"] == code
    assert status_of(app_that_raises(error), "fail") == status
    out, err = capsys.readouterr()
    assert out == ""
    assert code in err


def test_a_bug_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        run(app_that_raises(ZeroDivisionError()), ["fail"])


def test_wrong_usage_is_two(capsys) -> None:
    assert status_of(application("serve"), "serve") == 2
    assert status_of(application("serve"), "nonsense") == 2
    assert status_of(application("serve"), "serve", "/x", "--lang", "fr") == 2


@pytest.mark.parametrize("words", [("--lang", "zh"), ("--lang=zh",)])
def test_help_is_in_the_language_asked_for(capsys, monkeypatch, words) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    assert status_of(application("serve"), "serve", *words, "--help") == 0
    assert "网关所在目录" in capsys.readouterr().out
    assert status_of(application("serve"), "serve", "--help") == 0
    assert "The folder of the gateway." in capsys.readouterr().out
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert status_of(application("serve"), "serve", "--lang", "en", "--help") == 0
    assert "The folder of the gateway." in capsys.readouterr().out


def test_refusals_are_told_in_the_language_with_their_violations(capsys) -> None:
    violations = (Violation("name", "name", "is empty", "为空"),)
    error = refuse(Reason.FIELD_INVALID, violations=violations)
    for lang, said in (("en", "name: is empty"), ("zh", "name: 为空")):
        assert status_of(app_that_raises(error), "fail", "--lang", lang) == 1
        assert said in capsys.readouterr().err


def test_every_module_of_the_package_that_registers_is_there() -> None:
    names = {command.name for command in application().registered_commands}
    assert {"init", "serve", "status", "doctor", "run"} <= names
    assert Output.of(json_wanted=False, lang="zh").language == "zh"


def test_a_first_word_that_is_a_module_is_all_that_is_loaded() -> None:
    assert noun(["serve", "/x"]) == ("serve",)
    assert noun(["login"]) == ("login",)
    assert noun(["whoami"]) == noun(["--help"]) == noun(["a.b"]) == noun([]) == ()
