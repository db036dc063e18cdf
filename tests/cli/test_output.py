import json

import pytest
import typer

from gateway.cli import host
from gateway.cli.output import CommandError, Output
from gateway.errors import Reason, refuse


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


@pytest.mark.parametrize(("lang", "said"), [("zh", "未在运行"), ("en", "is not served")])
def test_what_was_raised_without_an_output_is_told_in_the_persons_language(
    capsys, tmp_path, monkeypatch, lang, said
) -> None:
    monkeypatch.setattr(host, "check_runner", lambda _: None)
    with pytest.raises(CommandError) as error:
        host.place(tmp_path)
    with pytest.raises(SystemExit):
        Output(lang).fail(error.value)
    shown = capsys.readouterr().err
    assert said in shown
    assert str(tmp_path) in shown
    assert "NOT_SERVED" in shown


def test_a_refusal_names_the_ticket_that_it_is_about_and_prints_nothing_else_it_was_sent(capsys):
    for sent, printed in (("EX-00000007", True), ("EX-00000007\x1b[2J", False), ("", False)):
        refusal = refuse(Reason.RECIPIENT_OVERDUE, metadata={"ticket": sent, "other": "\x1b[2J"})
        with pytest.raises(SystemExit) as ended:
            Output("en").fail(refusal)
        said = capsys.readouterr().err
        assert ended.value.code == 1
        assert ("EX-00000007" in said) is printed
        assert "\x1b" not in said
