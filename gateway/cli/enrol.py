"""`gateway enrol`: an invitation becomes a profile, in one command that may be repeated."""

import asyncio
import sys
from typing import Annotated

import typer

from gateway.cli.connected import ProfileOption, prompt
from gateway.cli.output import UNAVAILABLE, USAGE, CommandError, JsonOption, LangOption, Output
from gateway.client import invitation, papers
from gateway.client.enrol import TIMEOUT_S, Enrolled, Enrolment, PinMismatchError
from gateway.client.invitation import InvitationError
from gateway.client.papers import PapersError
from gateway.client.profile import DEFAULT_NAME, ProfileError, locate
from gateway.clock import iso
from gateway.errors import Reason, Refusal

Text = Annotated[str, typer.Argument(metavar="[INVITATION]", help="enrol.invitation")]
Account = Annotated[str, typer.Option("--account", help="enrol.account")]
Timeout = Annotated[float, typer.Option("--timeout", help="enrol.timeout", min=1.0)]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("enrol", help="enrol.help")(enrol)


def enrol(
    text: Text = "",
    profile: ProfileOption = DEFAULT_NAME,
    account: Account = "",
    timeout: Timeout = TIMEOUT_S,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Get a first certificate; the same command again goes on where it was cut off."""
    output = Output.of(json, lang)
    try:
        invited = invitation.parse(text or _asked(output))
    except InvitationError as error:
        raise CommandError("INVITATION_INVALID", str(error), status=USAGE) from error
    enrolment = Enrolment(locate(profile), invited, account=account)
    try:
        done = asyncio.run(enrolment.run(timeout))
    except PinMismatchError as error:
        raise CommandError("PIN_MISMATCH", output.text("enrol.pin-mismatch")) from error
    except PapersError as error:
        raise CommandError("CERTIFICATE_INVALID", str(error)) from error
    except ProfileError as error:
        raise CommandError("PROFILE_INVALID", str(error), status=USAGE) from error
    except Refusal as refusal:
        if refusal.reason is not Reason.APPROVAL_PENDING:
            raise
        shown = {"fingerprint": papers.grouped(enrolment.fingerprint)}
        said = output.text("enrol.pending", **shown)
        raise CommandError(Reason.APPROVAL_PENDING, said, status=UNAVAILABLE) from refusal
    _tell(output, profile, done)


def _asked(output: Output) -> str:
    """Return the invitation from standard input: typed unseen, or piped in."""
    if sys.stdin.isatty():
        return prompt(output, "enrol.prompt").value
    return sys.stdin.readline()


def _tell(output: Output, profile: str, done: Enrolled) -> None:
    told: dict[str, object] = {
        "profile": str(done.folder),
        "subject": str(done.certificate.subject),
        "account": done.account,
        "serial": done.certificate.serial,
        "not_after": iso(done.certificate.not_after_us),
        "purpose": "encryption" if done.encryption else "tls",
        "before": done.before,
    }
    lines = [output.text("enrol.before" if done.before else "enrol.done", **told)]
    if done.encryption:
        lines.append(output.text("enrol.encryption"))
    elif done.account:
        lines.append(output.text("enrol.next", name=profile))
    else:
        lines.append(output.text("enrol.no-account", file=done.folder / "profile.toml"))
    output.result(told, "\n".join(lines))
