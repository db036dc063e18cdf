"""`gateway break-glass seal|code|open|drill|confirm|enter|close|show`: when no account opens.

Credentials and codes are typed without echo or read from a file, never given as an argument, and
shown once. A drill goes the same way and its session does nothing.
"""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.connected import ProfileOption, connected, load, prompt, read_secret
from gateway.cli.output import JsonOption, LangOption, Output
from gateway.cli.paging import document
from gateway.cli.tables import table
from gateway.client.break_glass import BreakGlass
from gateway.client.client import Client
from gateway.client.profile import DEFAULT_NAME
from gateway.client.secret import Secret
from gateway.clock import iso
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import break_glass_service_pb2 as v1

Officers = Annotated[list[str], typer.Option("--officer", help="break-glass.officer")]
Opening = Annotated[str, typer.Argument(metavar="OPENING", help="break-glass.opening")]
Reason = Annotated[str, typer.Option("--reason", help="break-glass.reason")]
Ticket = Annotated[str, typer.Option("--ticket", help="break-glass.ticket", metavar="AB-123")]
CredentialFile = Annotated[
    Path | None, typer.Option("--credential-file", help="break-glass.credential-file", exists=True)
]
CodeFile = Annotated[
    Path | None, typer.Option("--code-file", help="break-glass.code-file", exists=True)
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(help="break-glass.help", no_args_is_help=True)
    noun.command("seal", help="break-glass.seal.help")(seal)
    noun.command("code", help="break-glass.code.help")(code)
    noun.command("open", help="break-glass.open.help")(open_)
    noun.command("drill", help="break-glass.drill.help")(drill)
    noun.command("confirm", help="break-glass.confirm.help")(confirm)
    noun.command("enter", help="break-glass.enter.help")(enter)
    noun.command("close", help="break-glass.close.help")(close)
    noun.command("show", help="break-glass.show.help")(show)
    app.add_typer(noun, name="break-glass")


def seal(
    officer: Officers,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Make two credentials for two envelopes, and name the three officers who confirm."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> list[Secret]:
        return await BreakGlass(client).seal(officer)

    texts = [one.value for one in connected(output, found, work)]
    shown = {"first": texts[0], "second": texts[1], "officers": ", ".join(officer)}
    told: dict[str, object] = {"credentials": texts, "officers": officer}
    output.result(told, output.text("break-glass.seal.done", **shown))


def code(
    profile: ProfileOption = DEFAULT_NAME, json: JsonOption = False, lang: LangOption = ""
) -> None:
    """Make the caller's own code."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> tuple[Secret, int]:
        return await BreakGlass(client).code()

    made, count = connected(output, found, work)
    shown: dict[str, object] = {"code": made.value, "registered": count}
    output.result(shown, output.text("break-glass.code.done", **shown))


def open_(
    reason: Reason,
    ticket: Ticket,
    credential_file: CredentialFile = None,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Open an envelope in earnest."""
    output = Output.of(json, lang)
    _open(output, profile, credential_file, (reason, ticket), drill=False)


def drill(
    reason: Reason,
    ticket: Ticket,
    credential_file: CredentialFile = None,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Open an envelope as an exercise."""
    output = Output.of(json, lang)
    _open(output, profile, credential_file, (reason, ticket), drill=True)


def confirm(
    opening: Opening,
    code_file: CodeFile = None,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Confirm an opening with one's own code."""
    output, found = Output.of(json, lang), load(profile)
    own = _secret(output, code_file, "break-glass.ask-code")

    async def work(client: Client) -> v1.ConfirmBreakGlassResponse:
        return await BreakGlass(client).confirm(opening, own)

    answer = connected(output, found, work)
    opened = answer.HasField("open_until_time")
    shown: dict[str, object] = {
        "opening": opening,
        "opener": answer.opener_name,
        "ticket": answer.ticket,
        "drill": answer.drill,
        "confirmed": answer.confirmed_count,
        "open_until": iso(answer.open_until_time.ToMicroseconds()) if opened else "",
    }
    _tell(output, "confirm.open" if opened else "confirm.waiting", shown)


def enter(
    opening: Opening,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Take up the session of an opening that two officers confirmed."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> v1.EnterBreakGlassResponse:
        return await BreakGlass(client).enter(opening)

    answer = connected(output, found, work)
    until = iso(answer.open_until_time.ToMicroseconds())
    _tell(
        output,
        "enter.done",
        {"opening": opening, "open_until": until, "drill": answer.drill},
    )


def close(
    opening: Opening,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """End an opening."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> v1.CloseBreakGlassResponse:
        return await BreakGlass(client).close(opening)

    void = connected(output, found, work).sealing_void
    msgid = "break-glass.close.void" if void else "break-glass.close.done"
    output.result({"opening": opening, "sealing_void": void}, output.text(msgid, opening=opening))


def show(
    profile: ProfileOption = DEFAULT_NAME, json: JsonOption = False, lang: LangOption = ""
) -> None:
    """Tell how break-glass stands, and what was done with it."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> admin.GetBreakGlassResponse:
        return await BreakGlass(client).show()

    answer = connected(output, found, work)
    told = document(answer)
    output.result(told, "\n".join(_lines(output, answer)))


def _open(
    output: Output, profile: str, file: Path | None, why: tuple[str, str], *, drill: bool
) -> None:
    found = load(profile)
    credential = _secret(output, file, "break-glass.ask-credential")
    reason, ticket = why

    async def work(client: Client) -> v1.OpenBreakGlassResponse:
        asking = BreakGlass(client)
        return await asking.open(credential, reason=reason, ticket=ticket, drill=drill)

    answer = connected(output, found, work)
    until = iso(answer.confirm_until_time.ToMicroseconds())
    shown: dict[str, object] = {"opening": answer.opening_id, "until": until, "drill": drill}
    _tell(output, "open.done", shown)


def _tell(output: Output, what: str, shown: dict[str, object]) -> None:
    """Tell what was done; of an exercise first that it is one."""
    text = output.text(f"break-glass.{what}", **shown)
    if shown["drill"]:
        text = output.text("break-glass.is-drill") + "\n" + text
    output.result(shown, text)


def _secret(output: Output, file: Path | None, msgid: str) -> Secret:
    return prompt(output, msgid) if file is None else read_secret(file)


def _lines(output: Output, answer: admin.GetBreakGlassResponse) -> list[str]:
    sealed, envelopes = iso(answer.seal_time.ToMicroseconds()), answer.unspent_envelopes
    told = [output.text(f"break-glass.state.{answer.state}", sealed=sealed, envelopes=envelopes)]
    for one in answer.officers:
        has = "registered" if one.registered else "missing"
        told.append(output.text(f"break-glass.officer-{has}", name=one.name))
    if answer.HasField("last_drill_time"):
        when = iso(answer.last_drill_time.ToMicroseconds())
        told.append(output.text("break-glass.last-drill", when=when))
    else:
        told.append(output.text("break-glass.no-drill"))
    for opening in answer.openings:
        told += _of_opening(output, opening)
    return told


def _reason(output: Output, one: admin.GetBreakGlassResponse.Opening) -> str:
    if one.HasField("reason_leaf_index"):
        return output.text("break-glass.reason-sealed", index=one.reason_leaf_index)
    return one.reason or "-"


def _of_opening(output: Output, one: admin.GetBreakGlassResponse.Opening) -> list[str]:
    kind = "drill" if one.drill else "earnest"
    about = {
        "opening": one.opening_id,
        "envelope": one.envelope,
        "opener": one.opener_name,
        "reason": _reason(output, one),
        "ticket": one.ticket,
        "asked": iso(one.ask_time.ToMicroseconds()),
        "ended": iso(one.end_time.ToMicroseconds()),
        "confirmers": ", ".join(one.confirmer_names) or "-",
    }
    told = [output.text(f"break-glass.opening-{kind}", **about)]
    columns = ("time", "leaf", "kind", "decision", "reason", "target")
    headers = [output.text(f"break-glass.column.{column}") for column in columns]
    rows = [
        (
            iso(act.time.ToMicroseconds()),
            str(act.leaf_index),
            act.kind,
            act.decision,
            act.reason,
            act.target,
        )
        for act in one.acts
    ]
    return told + ([table(headers, rows)] if rows else [])
