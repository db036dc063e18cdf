"""`gateway export …`: tickets for what goes out: asked for, read and signed by two, stopped by one.

An approver sees a page of plain words that is rendered from the very bytes whose digest is signed.
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from gateway.cli import export_page, export_receive, export_request
from gateway.cli.connected import ProfileOption, connected, load
from gateway.cli.export_request import Ticket, read, tell
from gateway.cli.output import USAGE, CommandError, JsonOption, LangOption, Output
from gateway.cli.paging import PAGE, document, documents, every, new_id
from gateway.client import approving
from gateway.client.client import Client
from gateway.client.profile import DEFAULT_NAME
from gateway.errors import Reason, refuse
from gateway.v1 import export_service_pb2 as v1

Reasoned = Annotated[str, typer.Option("--reason", help="export.option.reason")]
State = Annotated[str, typer.Option("--state", help="export.option.state")]
Digest = Annotated[str, typer.Option("--plan", help="export.option.plan")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(help="export.help", no_args_is_help=True)
    noun.command("request", help="export.request.help")(export_request.request)
    noun.command("submit", help="export.submit.help")(export_request.submit)
    noun.command("list", help="export.list.help")(list_)
    noun.command("show", help="export.show.help")(show)
    noun.command("approve", help="export.approve.help")(approve)
    noun.command("deny", help="export.deny.help")(deny)
    noun.command("withdraw", help="export.withdraw.help")(withdraw)
    noun.command("revoke", help="export.revoke.help")(revoke)
    noun.command("hold", help="export.hold.help")(hold)
    noun.command("unhold", help="export.unhold.help")(unhold)
    noun.command("recall", help="export.recall.help")(recall)
    noun.command("download", help="export.download.help")(export_receive.download)
    noun.command("acknowledge", help="export.acknowledge.help")(export_receive.acknowledge)
    noun.command("destroyed", help="export.destroyed.help")(export_receive.destroyed)
    app.add_typer(noun, name="export")


def list_(
    state: State = "",
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """List the tickets that one may see."""
    output, found = Output.of(json, lang), load(profile)
    name = f"EXPORT_STATE_{state.upper() or 'UNSPECIFIED'}"
    if name not in v1.ExportState.DESCRIPTOR.values_by_name:
        raise CommandError("STATE_UNKNOWN", state, status=USAGE)
    number = v1.ExportState.Value(name)

    async def work(client: Client) -> list[v1.ExportTicket]:
        async def ask(token: str) -> v1.ListExportsResponse:
            asked = v1.ListExportsRequest(state=number, page_size=PAGE, page_token=token)
            return await client.call(client.exports.ListExports, asked)

        return await every(ask, lambda answer: answer.tickets)

    tickets = connected(output, found, work)
    plans = [read(one) for one in tickets]
    output.result({"tickets": documents(tickets)}, export_page.listing(output, tickets, plans))


def show(
    ticket: Ticket,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Show a ticket as a page of words."""
    output, found = Output.of(json, lang), load(profile)
    shown = connected(output, found, lambda client: _get(client, ticket))
    output.result(document(shown), export_page.page(output, shown, read(shown)))


def approve(
    ticket: Ticket,
    plan: Digest = "",
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Show a plan, ask, and sign it."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> v1.ApproveExportResponse:
        waiting = await _get(client, ticket)
        shown = read(waiting)
        _consent(output, waiting, shown, plan)
        wanted = v1.ApproveExportRequest(
            request_id=new_id(),
            ticket_id=ticket,
            plan_sha256=shown.sha256,
            signature=approving.sign(found, shown),
        )
        return await client.call(client.exports.ApproveExport, wanted)

    moved = connected(output, found, work).ticket
    said = output.text("export.approve.done", ticket=ticket, state=export_page.state_word(moved))
    output.result(document(moved), said)


def deny(
    ticket: Ticket,
    reason: Reasoned,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Refuse a plan for good."""
    wanted = v1.DenyExportRequest(request_id=new_id(), ticket_id=ticket, reason=reason)
    _act(Output.of(json, lang), profile, "deny", lambda c: c.call(c.exports.DenyExport, wanted))


def withdraw(
    ticket: Ticket,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Take back a ticket of one's own."""
    wanted = v1.WithdrawExportRequest(request_id=new_id(), ticket_id=ticket)
    _act(
        Output.of(json, lang),
        profile,
        "withdraw",
        lambda c: c.call(c.exports.WithdrawExport, wanted),
    )


def revoke(
    ticket: Ticket,
    reason: Reasoned,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Stop what is approved and not released."""
    wanted = v1.RevokeExportRequest(request_id=new_id(), ticket_id=ticket, reason=reason)
    _act(Output.of(json, lang), profile, "revoke", lambda c: c.call(c.exports.RevokeExport, wanted))


def hold(
    ticket: Ticket,
    reason: Reasoned,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Freeze a ticket where it stands."""
    wanted = v1.HoldExportRequest(request_id=new_id(), ticket_id=ticket, reason=reason)
    _act(Output.of(json, lang), profile, "hold", lambda c: c.call(c.exports.HoldExport, wanted))


def unhold(
    ticket: Ticket,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Let a frozen ticket go on, as one of two."""
    wanted = v1.UnholdExportRequest(request_id=new_id(), ticket_id=ticket)
    _act(Output.of(json, lang), profile, "unhold", lambda c: c.call(c.exports.UnholdExport, wanted))


def recall(
    ticket: Ticket,
    reason: Reasoned,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Call back what was released."""
    wanted = v1.RecallExportRequest(request_id=new_id(), ticket_id=ticket, reason=reason)
    _act(Output.of(json, lang), profile, "recall", lambda c: c.call(c.exports.RecallExport, wanted))


async def _get(client: Client, ticket_id: str) -> v1.ExportTicket:
    request = v1.GetExportRequest(ticket_id=ticket_id)
    return (await client.call(client.exports.GetExport, request)).ticket


def _act(
    output: Output,
    profile: str,
    verb: str,
    # Any: each rpc answers with a message of its own, all with a ticket.
    call: Callable[[Client], Awaitable[Any]],
) -> None:
    moved = connected(output, load(profile), call).ticket
    tell(output, f"export.{verb}.done", moved)


def _consent(output: Output, ticket: v1.ExportTicket, shown: approving.Shown, named: str) -> None:
    """Let who approves read the page and say so: at the terminal, or by naming the plan's digest.

    Raises PLAN_CHANGED where the digest named is another, CommandError where nobody says yes.
    """
    if named:
        if named.replace(":", "").lower() != shown.sha256:
            raise refuse(Reason.PLAN_CHANGED)
        return
    if not sys.stdin.isatty():
        raise CommandError("CONSENT_MISSING", output.text("export.no-terminal"), status=USAGE)
    typer.echo(export_page.page(output, ticket, shown), err=True)
    if not typer.confirm(output.text("export.approve.ask"), err=True):
        raise CommandError("NOT_APPROVED", output.text("export.approve.not"))
