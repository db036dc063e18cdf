"""`gateway login`, `logout`, `passwd`, `whoami`: a client's identity, kept in its profile."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.connected import (
    PasswordFile,
    ProfileOption,
    asked_twice,
    connected,
    load,
    password_of,
    read_secret,
)
from gateway.cli.output import USAGE, CommandError, JsonOption, LangOption, Output
from gateway.client import kept_secret, papers
from gateway.client.client import Client
from gateway.client.profile import DEFAULT_NAME
from gateway.client.renewal import Renewal
from gateway.clock import iso
from gateway.v1 import identity_service_pb2 as v1
from gateway.v1 import options_pb2

NewPasswordFile = Annotated[
    Path | None, typer.Option("--new-password-file", help="login.new-password-file", exists=True)
]

Keep = Annotated[bool, typer.Option("--keep", help="login.keep")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("login", help="login.help")(login)
    app.command("logout", help="logout.help")(logout)
    app.command("passwd", help="passwd.help")(passwd)
    app.command("whoami", help="whoami.help")(whoami)


def login(
    profile: ProfileOption = DEFAULT_NAME,
    password_file: PasswordFile = None,
    keep: Keep = False,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Open a session; its token is kept in the profile.

    Where the secret is kept too, nobody is asked for it.
    """
    output, found = Output.of(json, lang), load(profile)
    if keep and papers.read(found.certificate.read_bytes()).subject.kind != "sys":
        raise CommandError("NOT_A_SYSTEM", output.text("login.keep-person"), status=USAGE)
    ours = not keep and password_file is None and kept_secret.journal(found.folder).exists()
    password = None if ours else password_of(output, found, password_file)()

    async def work(client: Client) -> v1.LoginResponse:
        if password is None:
            return await client.own_secret.log_in() or v1.LoginResponse()
        if keep:
            return await client.own_secret.adopt(password)
        return await client.session.login(password)

    answer = connected(output, found, work)
    state = _state(answer.password_state)
    document: dict[str, object] = {
        "organisation": found.remote.organisation,
        "account": found.remote.account,
        "password_state": state,
        "password_expires": iso(answer.password_expire_time.ToMicroseconds()),
    }
    output.result(document, output.text(f"login.done-{state}", **document))


def logout(
    profile: ProfileOption = DEFAULT_NAME, json: JsonOption = False, lang: LangOption = ""
) -> None:
    """End the session."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> None:
        await client.session.logout()

    connected(output, found, work)
    output.result({"logged_out": True}, output.text("logout.done"))


def passwd(
    profile: ProfileOption = DEFAULT_NAME,
    password_file: PasswordFile = None,
    new_password_file: NewPasswordFile = None,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Change the password."""
    output, found = Output.of(json, lang), load(profile)
    old = password_of(output, found, password_file)()
    new = read_secret(new_password_file) if new_password_file else asked_twice(output, "passwd")

    async def work(client: Client) -> v1.ChangePasswordResponse:
        return await client.session.change_password(old, new)

    answer = connected(output, found, work, password=lambda: old)
    expires = iso(answer.password_expire_time.ToMicroseconds())
    output.result({"password_expires": expires}, output.text("passwd.done", expires=expires))


def whoami(
    profile: ProfileOption = DEFAULT_NAME, json: JsonOption = False, lang: LangOption = ""
) -> None:
    """Show how the gateway sees us."""
    output, found = Output.of(json, lang), load(profile)

    async def work(client: Client) -> tuple[v1.WhoAmIResponse, Renewal]:
        return await client.session.who_am_i(), client.rotation.renewal

    answer, renewal = connected(output, found, work)
    planned_us = renewal.moment_us or answer.renewal_window.start_time.ToMicroseconds()
    roles = [options_pb2.Role.Name(role).removeprefix("ROLE_").lower() for role in answer.roles]
    document: dict[str, object] = {
        "organisation": answer.organisation_code,
        "organisation_name": answer.organisation_name,
        "spiffe_id": answer.spiffe_id,
        "account": answer.account_name,
        "roles": roles,
        "origin": answer.origin_strength,
        "password_state": _state(answer.password_state),
        "password_expires": iso(answer.password_expire_time.ToMicroseconds()),
        "certificate_expires": iso(answer.certificate_expire_time.ToMicroseconds()),
        "certificate_renewal": iso(planned_us),
        "renewal_failures": renewal.failures,
        "session_expires": iso(answer.session_expire_time.ToMicroseconds()),
    }
    human = output.text("whoami.done", **{**document, "roles": ", ".join(roles)})
    if answer.origin_strength == "weak":
        human = f"{human}\n{output.text('whoami.origin-weak')}"
    output.result(document, human)


def _state(state: v1.PasswordState.ValueType) -> str:
    name = v1.PasswordState.Name(state).removeprefix("PASSWORD_STATE_")
    return name.lower().replace("_", "-")
