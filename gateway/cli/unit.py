"""`gateway unit add FILE|list`: the units of organisations."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.connected import ProfileOption, connected, load
from gateway.cli.output import JsonOption, LangOption, Output
from gateway.cli.paging import PAGE, documents, every, new_id
from gateway.cli.tables import table
from gateway.client.client import Client
from gateway.client.profile import DEFAULT_NAME
from gateway.client.reading import units
from gateway.v1 import admin_service_pb2 as v1
from gateway.v1 import types_pb2 as t

File = Annotated[Path, typer.Argument(metavar="FILE", help="unit.file", exists=True)]
Organisation = Annotated[str, typer.Option("--organisation", help="unit.organisation")]
RunBy = Annotated[str, typer.Option("--run-by", help="unit.run-by")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(help="unit.help", no_args_is_help=True)
    noun.command("add", help="unit.add.help")(add)
    noun.command("list", help="unit.list.help")(list_)
    app.add_typer(noun, name="unit")


def add(
    file: File,
    run_by: RunBy = "",
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Register or change the units of a file, CSV or JSON Lines."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> int:
        count = 0
        wanted = list(units(file))
        for each in wanted:
            each.organisation_code = run_by or each.organisation_code
        for start in range(0, len(wanted), PAGE):
            request = v1.RegisterUnitsRequest(
                request_id=new_id(), units=wanted[start : start + PAGE]
            )
            answer = await client.call(client.admin.RegisterUnits, request)
            count += answer.registered_count
        return count

    count = connected(output, found, work)
    output.result({"registered": count}, output.text("unit.added", count=count))


def list_(
    organisation: Organisation = "",
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """List units."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> list[t.Unit]:
        async def ask(token: str) -> v1.ListUnitsResponse:
            request = v1.ListUnitsRequest(
                page_size=PAGE, page_token=token, organisation_code=organisation
            )
            return await client.call(client.admin.ListUnits, request)

        return await every(ask, lambda answer: answer.units)

    listed = connected(output, found, work)
    columns = ("code", "name", "organisation", "parent", "level")
    headers = [output.text(f"unit.column.{column}") for column in columns]
    human = table(headers, [_row(output, unit) for unit in listed])
    output.result({"units": documents(listed)}, human)


def _row(output: Output, unit: t.Unit) -> tuple[str, ...]:
    level = t.Unit.Level.Name(unit.level).removeprefix("LEVEL_").lower().replace("_", "-")
    return (
        unit.unit_code,
        unit.name,
        unit.organisation_code,
        unit.parent_unit_code,
        output.text(f"unit.level.{level}"),
    )
