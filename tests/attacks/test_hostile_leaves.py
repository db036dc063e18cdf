"""Attack 23: whoever owns a log writes into it what makes a terminal do things; an auditor's looks at it are harmless.

No gateway of ours lets such a leaf in (`gateway/audit/event.py`); one that was taken over, or its database's owner, may.
"""

import json
import unicodedata
from collections.abc import Iterator

import pytest

from gateway.audit.event import Event, EventError
from gateway.cli.audit import _COLUMNS
from gateway.cli.output import CommandError, Output
from tests.audit.folder import NOW_US
from tests.cli.small_admin import cli, served
from tests.cli.test_audit import SmallAudit
from tests.client.small_gateway import PASSWORD

# Clears the screen; retitles the window; writes upwards; a line of its own; hides what follows; C1; a link; in tags.
HOSTILE = {
    "ansi": "\x1b[2J\x1b[1A\x1b]0;owned\x07",
    "c1": "\x9b2J\x9d0;owned\x9c",
    "lines": "x\r\n2026  allow  upload  140105",
    "separators": "a\u2028b\u2029c\x85d",
    "nul": "a\0b\x08\x7f",
    "bidi": "\u202egnp.exe\u2066\u2069",
    "invisible": "a\u200b\u200d\ufeff\U000e0041\U000e007f",
    "markup": "[red]x[/red] | = \\ ] \" ' ;,=cmd|'/c calc'!A1",
    "long": "y" * 60_000,
}
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


# What no reader of ours takes for a leaf.
UNFIT = {"ansi", "lines", "nul"}


def hostile(index: int, text: str) -> bytes:
    """A leaf that says this wherever a text may stand, as its owner would write it."""
    where = ("organisation", "account", "kind", "reason")
    fields = dict.fromkeys(where if len(text) < 10_000 else where[:1], text)
    more = {"detail": {"cause": text}} if len(text) < 10_000 else {}
    head = {"decision": "allow", "time_us": NOW_US + index * 1_000_000, "version": 1}
    document = {**head, **fields, **more}
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.fixture
def gateway(tmp_path) -> Iterator[tuple[SmallAudit, str]]:
    small = SmallAudit()
    small.queries = []
    for index, text in enumerate(HOSTILE.values()):
        small.log.append(hostile(index, text))
    with served(small) as running:
        profile = tmp_path / "profile"
        running.profile(profile)
        secret = tmp_path / "password.txt"
        secret.write_text(PASSWORD + "\n")
        assert cli("login", "-p", str(profile), "--password-file", str(secret), "--json") == 0
        yield running, str(profile)


def unharmed(shown: str) -> None:
    assert [one for one in shown if unicodedata.category(one) in UNSEEN - {"Cc"}] == []
    assert {one for one in shown if unicodedata.category(one) == "Cc"} <= {"\n"}


def ran(capsys, *words: str) -> str:
    capsys.readouterr()
    assert cli("audit", *words) == 0
    out, err = capsys.readouterr()
    unharmed(out + err)
    return out


def test_23_search_and_tail_draw_one_line_a_leaf(gateway, capsys):
    _, profile = gateway
    drawn = ran(capsys, "search", "-p", profile, "--lang", "en")
    # Whatever a cell says it stands in its row: none begins with what it forged.
    assert not [line for line in drawn.splitlines() if line.lstrip().startswith("2026")]
    assert "[red]x[/red]" in drawn
    assert max(map(len, drawn.splitlines())) <= 200
    tailed = ran(capsys, "tail", "-n", str(len(HOSTILE)), "-p", profile, "--lang", "zh")
    assert "\\u202egnp.exe" in "".join(tailed.split())
    found = json.loads(ran(capsys, "search", "-p", profile, "--json"))["leaves"]
    assert [one["reason"] for one in found if "decision" not in one] == ["LEAF_FORM"] * len(UNFIT)


def test_23_followed_lines_are_one_a_leaf(gateway, capsys, monkeypatch):
    _, profile = gateway

    async def enough(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gateway.cli.audit.asyncio.sleep", enough)
    lines = ran(capsys, "tail", "--follow", "-n", "20", "-p", profile).splitlines()
    assert [int(line.split()[0]) for line in lines] == [*range(len(HOSTILE))]
    assert max(map(len, lines)) < 600 * len(_COLUMNS)


@pytest.mark.parametrize("index", range(len(HOSTILE)))
def test_23_show_spells_it_out_and_json_keeps_it(gateway, capsys, index):
    _, profile = gateway
    name, wanted = [*HOSTILE.items()][index]
    if name in UNFIT:
        assert cli("audit", "show", str(index), "-p", profile, "--json") == 1
        out, err = capsys.readouterr()
        unharmed(out + err)
        assert json.loads(out)["refused"] == "LEAF_FORM"
        return
    shown = ran(capsys, "show", str(index), "-p", profile, "--lang", "en")
    organisation = [line for line in shown.splitlines() if line.startswith("organisation: ")]
    assert len(organisation) == 1
    assert len(organisation[0]) < 600 * 6
    document = json.loads(ran(capsys, "show", str(index), "-p", profile, "--json"))
    assert document["organisation"] == wanted


def test_23_nothing_of_it_is_let_onto_our_own_log():
    for text in HOSTILE.values():
        for name in ("organisation", "account", "kind", "reason", "unit", "ingress", "tunnel"):
            with pytest.raises(EventError):
                Event(**{"kind": "upload", name: text}).to_leaf(1)


def test_23_what_a_gateway_says_of_itself_is_harmless_too(capsys):
    """Status, errors and notices print by the same door."""
    text = "".join(HOSTILE.values())
    for json_wanted in (False, True):
        output = Output("en", json=json_wanted)
        output.result({"home": text}, text)
        with pytest.raises(SystemExit):
            output.fail(CommandError("CODE", text))
    out, err = capsys.readouterr()
    for said in (out, err):
        assert {one for one in said if unicodedata.category(one) in UNSEEN} <= {"\n"}
