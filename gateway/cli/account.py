"""`gateway account add|list|reset|roles|suspend|resume|unlock`: who may log in, and as what.

A one-time password is shown once. Where the gateway asks for the password again it is asked for at
the terminal; without one, `gateway login` within five minutes before does.
"""

from collections.abc import Callable
from typing import Annotated, Literal

import typer

from gateway.cli.connected import ProfileOption, connected, load
from gateway.cli.output import USAGE, CommandError, JsonOption, LangOption, Output
from gateway.cli.paging import PAGE, documents, every, new_id
from gateway.cli.tables import table
from gateway.client.client import Client
from gateway.client.profile import DEFAULT_NAME
from gateway.v1 import admin_service_pb2 as v1
from gateway.v1 import options_pb2

ROLES = (
    "uploader",
    "admin",
    "auditor",
    "approver",
    "security_officer",
    "requester",
    "recipient",
    "duty_doctor",
)
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
    noun.command("roles", help="account.roles.help")(roles)
    noun.command("suspend", help="account.suspend.help")(_setting("suspended"))
    noun.command("resume", help="account.resume.help")(_setting("active"))
    noun.command("unlock", help="account.unlock.help")(unlock)
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
    given = _numbers(role)

    async def work(client: Client) -> v1.CreateAccountResponse:
        request = v1.CreateAccountRequest(
            request_id=new_id(),
            organisation_code=organisation,
            account_name=name,
            roles=given,
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


def roles(
    organisation: Organisation,
    name: Name,
    role: Role,
    reason: Reason,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Give an account these roles instead of its own; its sessions end."""
    output, found = Output.of(json, lang), load(profile)
    given = _numbers(role)

    async def work(client: Client) -> v1.SetAccountRolesResponse:
        request = v1.SetAccountRolesRequest(
            request_id=new_id(),
            organisation_code=organisation,
            account_name=name,
            roles=given,
            reason=reason,
        )
        return await client.call(client.admin.SetAccountRoles, request)

    _tell_account(output, "account.roles.done", connected(output, found, work).account)


def unlock(
    organisation: Organisation,
    name: Name,
    reason: Reason,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Lift the lock after too many failed logins; the password stays."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> v1.UnlockAccountResponse:
        request = v1.UnlockAccountRequest(
            request_id=new_id(), organisation_code=organisation, account_name=name, reason=reason
        )
        return await client.call(client.admin.UnlockAccount, request)

    connected(output, found, work)
    shown: dict[str, object] = {"organisation": organisation, "account": name}
    output.result(shown, output.text("account.unlock.done", **shown))


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
    columns = ("organisation", "name", "roles", "system", "state", "expires", "must-change", "used")
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


def _setting(state: Literal["suspended", "active"]) -> Callable[..., None]:
    """Return the command that suspends an account, which ends its sessions, or lets it in again."""

    def command(
        organisation: Organisation,
        name: Name,
        reason: Reason,
        profile: ProfileOption = DEFAULT_NAME,
        json: JsonOption = False,
        lang: LangOption = "",
    ) -> None:
        output, found = Output.of(json, lang), load(profile)

        async def work(client: Client) -> v1.SetAccountStateResponse:
            request = v1.SetAccountStateRequest(
                request_id=new_id(),
                organisation_code=organisation,
                account_name=name,
                state=v1.Account.State.Value(f"STATE_{state.upper()}"),
                reason=reason,
            )
            return await client.call(client.admin.SetAccountState, request)

        _tell_account(output, f"account.now.{state}", connected(output, found, work).account)

    return command


def _tell_account(output: Output, msgid: str, account: v1.Account) -> None:
    shown: dict[str, object] = {
        "organisation": account.organisation_code,
        "account": account.account_name,
        "roles": _words(account),
        "state": _state(account),
    }
    output.result(shown, output.text(msgid, **{**shown, "roles": ", ".join(_words(account))}))


def _numbers(given: list[str]) -> list[options_pb2.Role.ValueType]:
    if not set(given) <= set(ROLES):
        raise CommandError("ROLE_UNKNOWN", " | ".join(ROLES), status=USAGE)
    return [options_pb2.Role.Value(f"ROLE_{each.upper()}") for each in given]


def _words(account: v1.Account) -> list[str]:
    return [options_pb2.Role.Name(role).removeprefix("ROLE_").lower() for role in account.roles]


def _state(account: v1.Account) -> str:
    return v1.Account.State.Name(account.state).removeprefix("STATE_").lower()


def _row(output: Output, account: v1.Account) -> tuple[str, ...]:
    state = "locked" if account.locked else _state(account)
    used = account.HasField("last_login_time")
    return (
        account.organisation_code,
        account.account_name,
        ", ".join(_words(account)),
        account.system_name,
        output.text(f"account.state.{state}"),
        account.password_expire_time.ToJsonString(),
        output.text("account.yes" if account.must_change else "account.no"),
        account.last_login_time.ToJsonString() if used else output.text("account.never"),
    )
