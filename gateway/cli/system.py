"""`gateway system add`: a bearer of certificates, an organisation's system or officer."""

from typing import Annotated

import typer

from gateway.cli.connected import ProfileOption, connected, load
from gateway.cli.output import JsonOption, LangOption, Output
from gateway.cli.paging import document, new_id
from gateway.client.client import Client
from gateway.client.profile import DEFAULT_NAME
from gateway.v1 import admin_service_pb2 as v1

Organisation = Annotated[str, typer.Argument(metavar="ORGANISATION", help="organisation.code")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="system.name")]
Officer = Annotated[bool, typer.Option("--officer", help="system.officer")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(help="system.help", no_args_is_help=True)
    noun.command("add", help="system.add.help")(add)
    app.add_typer(noun, name="system")


def add(
    organisation: Organisation,
    name: Name,
    officer: Officer = False,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Register a system or an officer."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> v1.CreateSystemResponse:
        request = v1.CreateSystemRequest(
            request_id=new_id(),
            organisation_code=organisation,
            system_name=name,
            officer=officer,
        )
        return await client.call(client.admin.CreateSystem, request)

    answer = connected(output, found, work)
    output.result(document(answer), output.text("system.added", id=answer.spiffe_id))
