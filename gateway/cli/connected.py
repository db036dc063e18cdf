"""What the commands of a client share: profile, password, one event loop, errors as codes."""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from gateway.cli.output import UNAVAILABLE, USAGE, CommandError, Output
from gateway.client import profile as profiles
from gateway.client.checkpoints import LogError
from gateway.client.client import Client
from gateway.client.delimited import DelimitedError
from gateway.client.journal import BusyError
from gateway.client.papers import PapersError
from gateway.client.profile import Profile, ProfileError
from gateway.client.reading import ReadingError
from gateway.client.secret import Secret
from gateway.clock import iso
from gateway.errors import Reason, Refusal

Result = TypeVar("Result")
# Refusals that are about our certificate, and that the gateway explains to its bearer.
DEFECTS = frozenset(
    {
        Reason.CERT_EXPIRED,
        Reason.CERT_NOT_YET_VALID,
        Reason.CERT_REVOKED,
        Reason.CERT_SUPERSEDED,
        Reason.LINEAGE_LOCKED,
        Reason.RENEWAL_CLOSED,
    }
)
ProfileOption = Annotated[
    str, typer.Option("--profile", "-p", envvar="GATEWAY_PROFILE", help="client.option.profile")
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file", help="client.option.password-file", exists=True, dir_okay=False
    ),
]


def load(name: str) -> Profile:
    """Return the profile of a name or path; raises CommandError."""
    try:
        return profiles.load(profiles.locate(name))
    except ProfileError as error:
        raise CommandError("PROFILE_INVALID", str(error), status=USAGE) from error


def connected(
    output: Output,
    profile: Profile,
    work: Callable[[Client], Awaitable[Result]],
    *,
    password: Callable[[], Secret] | None = None,
) -> Result:
    """Return what `work` returns for the profile's client; raises Refusal or CommandError.

    Where the session has ended, `password` opens another; a user at a terminal is asked.
    """
    if password is None and sys.stdin.isatty():
        password = password_of(output, profile, None)

    async def run() -> Result:
        client = Client(profile, password=password)
        try:
            async with client:
                try:
                    return await work(client)
                except Refusal as refusal:
                    raise await explained(output, client, refusal) from refusal
                finally:
                    await warn(output, client)
        finally:
            tell_keys(output, client)

    try:
        return asyncio.run(run())
    except PapersError as error:
        raise CommandError("CERTIFICATE_INVALID", str(error)) from error
    except LogError as error:
        raise CommandError(error.code, output.text("client.log-broken", why=error)) from error
    except BusyError as error:
        text = output.text("client.busy", unit=error)
        raise CommandError("BUSY", text, status=UNAVAILABLE) from error
    except DelimitedError as error:
        raise CommandError("RECEIPTS_INVALID", str(error), status=USAGE) from error
    except ReadingError as error:
        raise unreadable(output, error) from error


def tell_keys(output: Output, client: Client) -> None:
    """Tell which keys and restores of the log were followed, once the client has ended."""
    for done in client.followed:
        said = done.statement
        told = {"size": said.size, "before": done.size_before, "because": said.cause}
        told |= {"when": iso(said.restored_us), "batches": done.batches, "missing": done.missing}
        output.say("client.restored", **told)
    for one in client.checkpoints.news:
        about = {"old": one.old.key_id.hex(), "new": one.new.key_id.hex(), "size": one.from_size}
        output.say("client.log-key", **about)


async def explained(output: Output, client: Client, refusal: Refusal) -> Exception:
    """Return what to tell of a refusal; where our certificate is its cause, the gateway is asked.

    Both clocks are shown where it is not valid yet: one of them is wrong.
    """
    if refusal.reason not in DEFECTS:
        return refusal
    try:
        answer = await client.diagnose()
    except Refusal:
        return refusal
    said = answer.text_zh if output.language == "zh" else answer.text_en
    told = {
        "text": said,
        "spiffe_id": answer.spiffe_id,
        "serial": answer.serial,
        "not_after": iso(answer.expire_time.ToMicroseconds()),
        "theirs": iso(answer.gateway_time.ToMicroseconds()),
        "ours": iso(client.clock.now_us()),
    }
    lines = [output.text("client.diagnosis", **told)]
    if refusal.reason is Reason.CERT_NOT_YET_VALID:
        lines.append(output.text("client.clocks", **told))
    return CommandError(refusal.reason, "\n".join(lines))


async def warn(output: Output, client: Client) -> None:
    """Tell, once the work is done, what could not be renewed, and of break-glass after a login."""
    await client.settled()
    if client.uncosigned is not None:
        output.say("witness.unheard", reason=client.uncosigned.reason)
    glass = client.session.break_glass
    if glass is not None:
        until = iso(glass.end_time.ToMicroseconds())
        about = {"opener": glass.opener_name, "ticket": glass.ticket, "until": until}
        kind = "drill-" if glass.drill else ""
        output.say(f"client.break-glass-{kind}{glass.state}", **about)
    with contextlib.suppress(OSError, ValueError):
        own = client.own_secret.kept
        if own is not None and own.failing():
            output.say("client.secret-failing", failures=own.failures, why=own.refused)
    with contextlib.suppress(PapersError):
        kept = client.rotation.renewal
        if kept.failing():
            until = iso(client.rotation.certificate.not_after_us)
            output.say("client.renewal-failing", failures=kept.failures, until=until)


def unreadable(output: Output, error: ReadingError) -> CommandError:
    """Return what to tell of a line that could not be read: file, line and field, never a value."""
    wanted = output.text(f"reading.wanted.{error.wanted}")
    place = {"file": error.file, "line": error.line, "field": error.field, "wanted": wanted}
    msgid = "reading.field" if error.field else "reading.line"
    return CommandError("LINE_INVALID", output.text(msgid, **place), status=USAGE)


def password_of(output: Output, profile: Profile, file: Path | None) -> Callable[[], Secret]:
    """Return who knows the password: a file, a new profile's one-time password, or the user."""

    def ask() -> Secret:
        if file is not None:
            return read_secret(file)
        if profile.password.is_file():
            return read_secret(profile.password)
        return prompt(output, "client.password", account=profile.remote.account)

    return ask


def prompt(output: Output, msgid: str, **parameters: object) -> Secret:
    """Ask the user for a secret on the terminal; raises CommandError where there is none."""
    if not sys.stdin.isatty():
        raise CommandError("PASSWORD_MISSING", output.text("client.no-terminal"), status=USAGE)
    text = typer.prompt(output.text(msgid, **parameters), hide_input=True, err=True)
    return Secret(str(text))


def asked_twice(output: Output, what: str) -> Secret:
    """Ask for a new secret, and again; `what` has the texts `<what>.new` and `<what>.again`."""
    first, again = prompt(output, f"{what}.new"), prompt(output, f"{what}.again")
    if first != again:
        raise CommandError("PASSWORDS_DIFFER", output.text("passwd.differ"), status=USAGE)
    return first


def read_secret(file: Path) -> Secret:
    """Return the secret in a file: its first line."""
    lines = file.read_text(encoding="utf-8").splitlines()
    if not lines or not lines[0]:
        raise CommandError("PASSWORD_MISSING", f"{file}", status=USAGE)
    return Secret(lines[0])
