"""`gateway organisation add|list|suspend|resume`: who takes part."""

from typing import Annotated

import typer

from gateway.cli.connected import ProfileOption, connected, load
from gateway.cli.output import USAGE, CommandError, JsonOption, LangOption, Output
from gateway.cli.paging import PAGE, document, documents, every, new_id
from gateway.cli.tables import table
from gateway.client.client import Client
from gateway.client.profile import DEFAULT_NAME
from gateway.v1 import admin_service_pb2 as v1

KINDS = ("province", "city", "county", "other")
Code = Annotated[str, typer.Argument(metavar="CODE", help="organisation.code")]
Name = Annotated[str, typer.Option("--name", help="organisation.name")]
Kind = Annotated[str, typer.Option("--kind", help="organisation.kind", metavar="|".join(KINDS))]
Parent = Annotated[str, typer.Option("--parent", help="organisation.parent")]
Reason = Annotated[str, typer.Option("--reason", help="organisation.reason")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(help="organisation.help", no_args_is_help=True)
    noun.command("add", help="organisation.add.help")(add)
    noun.command("list", help="organisation.list.help")(list_)
    noun.command("suspend", help="organisation.suspend.help")(suspend)
    noun.command("resume", help="organisation.resume.help")(resume)
    app.add_typer(noun, name="organisation")


def add(
    code: Code,
    name: Name,
    kind: Kind,
    parent: Parent = "",
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Register an organisation."""
    output, found = Output.of(json, lang), load(profile)
    if kind not in KINDS:
        raise CommandError("KIND_UNKNOWN", " | ".join(KINDS), status=USAGE)
    wanted = v1.Organisation(
        organisation_code=code,
        name=name,
        kind=v1.Organisation.Kind.Value(f"KIND_{kind.upper()}"),
        parent_organisation_code=parent,
    )

    async def work(client: Client) -> v1.CreateOrganisationResponse:
        request = v1.CreateOrganisationRequest(request_id=new_id(), organisation=wanted)
        return await client.call(client.admin.CreateOrganisation, request)

    answer = connected(output, found, work)
    output.result(document(answer), output.text("organisation.added", code=code))


def list_(
    profile: ProfileOption = DEFAULT_NAME, json: JsonOption = False, lang: LangOption = ""
) -> None:
    """List the organisations."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> list[v1.Organisation]:
        async def ask(token: str) -> v1.ListOrganisationsResponse:
            request = v1.ListOrganisationsRequest(page_size=PAGE, page_token=token)
            return await client.call(client.admin.ListOrganisations, request)

        return await every(ask, lambda answer: answer.organisations)

    organisations = connected(output, found, work)
    columns = ("code", "name", "kind", "parent", "state")
    headers = [output.text(f"organisation.column.{column}") for column in columns]
    human = table(headers, [_row(output, each) for each in organisations])
    output.result({"organisations": documents(organisations)}, human)


def suspend(
    code: Code,
    reason: Reason,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Suspend an organisation: its connections are cut."""
    _set(Output.of(json, lang), profile, code, v1.Organisation.STATE_SUSPENDED, reason)


def resume(
    code: Code,
    reason: Reason,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Let an organisation in again."""
    _set(Output.of(json, lang), profile, code, v1.Organisation.STATE_ACTIVE, reason)


def _set(
    output: Output, profile: str, code: str, state: v1.Organisation.State.ValueType, reason: str
) -> None:
    async def work(client: Client) -> v1.SetOrganisationStateResponse:
        request = v1.SetOrganisationStateRequest(
            request_id=new_id(), organisation_code=code, state=state, reason=reason
        )
        return await client.call(client.admin.SetOrganisationState, request)

    answer = connected(output, load(profile), work)
    output.result(document(answer), output.text(f"organisation.{_word(state)}", code=code))


def _row(output: Output, each: v1.Organisation) -> tuple[str, ...]:
    kind = v1.Organisation.Kind.Name(each.kind).removeprefix("KIND_").lower()
    return (
        each.organisation_code,
        each.name,
        output.text(f"organisation.kind.{kind}"),
        each.parent_organisation_code,
        output.text(f"organisation.state.{_word(each.state)}"),
    )


def _word(state: v1.Organisation.State.ValueType) -> str:
    return v1.Organisation.State.Name(state).removeprefix("STATE_").lower()
