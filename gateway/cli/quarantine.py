"""`gateway quarantine list`: what was held back or rejected of one's own records, and why."""

from typing import Annotated

import typer

from gateway.cli.connected import ProfileOption, connected, load
from gateway.cli.output import JsonOption, LangOption, Output
from gateway.cli.paging import PAGE, documents, every
from gateway.cli.tables import table
from gateway.client.client import Client
from gateway.client.profile import DEFAULT_NAME
from gateway.v1 import upload_service_pb2 as v1

Unit = Annotated[str, typer.Option("--unit", help="quarantine.unit")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(help="quarantine.help", no_args_is_help=True)
    noun.command("list", help="quarantine.list.help")(list_)
    app.add_typer(noun, name="quarantine")


def list_(
    profile: ProfileOption = DEFAULT_NAME,
    unit: Unit = "",
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """List what is not accepted, never its content."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> list[v1.QuarantinedItem]:
        async def ask(token: str) -> v1.ListQuarantineResponse:
            request = v1.ListQuarantineRequest(page_size=PAGE, page_token=token, unit_code=unit)
            return await client.call(client.uploads.ListQuarantine, request)

        return await every(ask, lambda answer: answer.items)

    items = connected(output, found, work)
    rows = [_row(output, item, finding) for item in items for finding in item.findings]
    columns = ("unit", "kind", "record", "state", "rule", "field", "message", "until")
    headers = [output.text(f"quarantine.column.{name}") for name in columns]
    output.result({"items": documents(items)}, table(headers, rows))


def _row(output: Output, item: v1.QuarantinedItem, finding: v1.Finding) -> tuple[str, ...]:
    state = v1.ItemState.Name(item.state).removeprefix("ITEM_STATE_").lower()
    until = item.deadline_time.ToJsonString() if item.HasField("deadline_time") else ""
    return (
        item.unit_code,
        item.kind,
        item.record_id,
        output.text(f"upload.state.{state}"),
        finding.rule_id,
        finding.field_path,
        finding.message_zh if output.language == "zh" else finding.message,
        until,
    )
