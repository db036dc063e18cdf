"""`gateway account add|list|reset`: who may log in. A one-time password is shown once."""

from typing import Annotated

import typer

from gateway.cli.connected import ProfileOption, connected, load
from gateway.cli.output import USAGE, CommandError, JsonOption, LangOption, Output
from gateway.cli.paging import PAGE, documents, every, new_id
from gateway.cli.tables import table
from gateway.client.client import Client
from gateway.client.profile import DEFAULT_NAME
from gateway.v1 import admin_service_pb2 as v1
from gateway.v1 import options_pb2

ROLES = ("uploader", "auditor", "admin")
Organisation = Annotated[str, typer.Argument(metavar="ORGANISATION", help="organisation.code")]
OfOrganisation = Annotated[str, typer.Option("--organisation", help="account.of")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="account.name")]
Role = Annotated[list[str], typer.Option("--role", help="account.role", metavar="|".join(ROLES))]
System = Annotated[str, typer.Option("--system", help="account.system")]
Reason = Annotated[str, typer.Option("--reason", help="account.reason")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(help="account.help", no_args_is_help=True)
    noun.command("add", help="account.add.help")(add)
    noun.command("list", help="account.list.help")(list_)
    noun.command("reset", help="account.reset.help")(reset)
    app.add_typer(noun, name="account")


def add(
    organisation: Organisation,
    name: Name,
    role: Role,
    system: System,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Open an account for the bearer of a system's or officer's certificate."""
    output, found = Output.of(json, lang), load(profile)
    if not set(role) <= set(ROLES):
        raise CommandError("ROLE_UNKNOWN", " | ".join(ROLES), status=USAGE)
    roles = [options_pb2.Role.Value(f"ROLE_{each.upper()}") for each in role]

    async def work(client: Client) -> v1.CreateAccountResponse:
        request = v1.CreateAccountRequest(
            request_id=new_id(),
            organisation_code=organisation,
            account_name=name,
            roles=roles,
            system_name=system,
        )
        return await client.call(client.admin.CreateAccount, request)

    _tell(output, organisation, name, connected(output, found, work))


def reset(
    organisation: Organisation,
    name: Name,
    reason: Reason,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Give an account a new one-time password."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> v1.ResetPasswordResponse:
        request = v1.ResetPasswordRequest(
            request_id=new_id(), organisation_code=organisation, account_name=name, reason=reason
        )
        return await client.call(client.admin.ResetPassword, request)

    _tell(output, organisation, name, connected(output, found, work))


def list_(
    organisation: OfOrganisation = "",
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """List accounts and the age of their passwords."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> list[v1.Account]:
        async def ask(token: str) -> v1.ListAccountsResponse:
            request = v1.ListAccountsRequest(
                page_size=PAGE, page_token=token, organisation_code=organisation
            )
            return await client.call(client.admin.ListAccounts, request)

        return await every(ask, lambda answer: answer.accounts)

    accounts = connected(output, found, work)
    columns = ("organisation", "name", "roles", "system", "expires", "must-change")
    headers = [output.text(f"account.column.{column}") for column in columns]
    human = table(headers, [_row(output, account) for account in accounts])
    output.result({"accounts": documents(accounts)}, human)


def _tell(
    output: Output,
    organisation: str,
    name: str,
    answer: v1.CreateAccountResponse | v1.ResetPasswordResponse,
) -> None:
    shown: dict[str, object] = {
        "organisation": organisation,
        "account": name,
        "one_time_password": answer.one_time_password,
        "expires": answer.expire_time.ToJsonString(),
    }
    output.result(shown, output.text("account.one-time", **shown))


def _row(output: Output, account: v1.Account) -> tuple[str, ...]:
    roles = [options_pb2.Role.Name(role).removeprefix("ROLE_").lower() for role in account.roles]
    return (
        account.organisation_code,
        account.account_name,
        ", ".join(roles),
        account.system_name,
        account.password_expire_time.ToJsonString(),
        output.text("account.yes" if account.must_change else "account.no"),
    )
