import json

import pytest
import typer

from gateway.cli.output import CommandError, Output


def test_results_go_to_standard_output_all_else_to_standard_error(capsys) -> None:
    plain, machine = Output("en"), Output("en", json=True)
    plain.result({"a": 1}, "one a")
    plain.say("serve.ended")
    out, err = capsys.readouterr()
    assert (out, err) == ("one a\n", "the gateway has stopped\n")
    machine.result({"名": "é"}, "unused")
    assert json.loads(capsys.readouterr().out) == {"名": "é"}
    assert plain.progress().stderr is True


def test_the_environments_language_unless_one_is_asked_for(monkeypatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert Output.of(json_wanted=False, lang="").language == "zh"
    assert Output.of(json_wanted=False, lang="en").language == "en"
    with pytest.raises(typer.BadParameter):
        Output.of(json_wanted=False, lang="fr")


def test_failing_leaves_with_the_errors_status(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        Output("zh", json=True).fail(CommandError("CODE", "text", status=3))
    assert ended.value.code == 3
    assert json.loads(capsys.readouterr().out) == {
        "refused": "CODE",
        "message": "gateway: CODE: text",
    }
