"""`gateway signer request|approve|resume`: one that lost its state goes on at two officers' word.

request and resume run on the gateway's own host, approve where an officer is.
"""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from gateway import signer
from gateway.audit.event import Event
from gateway.audit.log import LogError
from gateway.audit.recorder import Recorder
from gateway.audit.signing import SignerError, SignerLink, SignerRefusedError
from gateway.cli import host
from gateway.cli.connected import ProfileOption, load
from gateway.cli.output import UNAVAILABLE, USAGE, CommandError, JsonOption, LangOption, Output
from gateway.client import resumption as approving
from gateway.client.checkpoints import LogError as KeptError
from gateway.client.papers import PapersError
from gateway.client.profile import DEFAULT_NAME
from gateway.clock import SYSTEM, iso
from gateway.config import log_keys, settings
from gateway.config.folders import write_public
from gateway.config.home import Home
from gateway.errors import Reason, refuse
from gateway.identity import signer_resumption
from gateway.store import roles
from gateway.store.database import Database, Transaction
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.keys import LogKeys
from gateway.tlog.note import NoteError, parse_vkey
from gateway.tlog.resumption import Approval, Request, ResumptionError, read_approval, read_request

HomeArgument = Annotated[Path, typer.Argument(metavar="HOME", help="cli.home", exists=True)]
RequestFile = Annotated[
    Path, typer.Argument(metavar="REQUEST", help="signer.request", exists=True, dir_okay=False)
]
ApprovalFile = Annotated[
    list[Path], typer.Option("--approval", help="signer.approval", exists=True, dir_okay=False)
]
KnownFile = Annotated[
    list[Path], typer.Option("--known", help="signer.known", exists=True, dir_okay=False)
]
OutFile = Annotated[Path, typer.Option("--out", help="signer.out", dir_okay=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(name="signer", help="signer.help", no_args_is_help=True)
    noun.command("request", help="signer.request.help")(request)
    noun.command("approve", help="signer.approve.help")(approve)
    noun.command("resume", help="signer.resume.help")(resume)
    app.add_typer(noun)


def request(
    home: HomeArgument,
    out: OutFile,
    known: KnownFile,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Read the whole log and write down what two officers are asked to vouch for."""
    output, place = Output.of(json, lang), host.place(home)
    made = asyncio.run(_request(place, [_checkpoint(place, each) for each in known]))
    write_public(out, made.encode())
    _tell(output, made, "signer.requested", file=str(out))


def approve(
    request: RequestFile,
    out: OutFile,
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Compare a request with the own checkpoint, and sign it."""
    output, found = Output.of(json, lang), load(profile)
    try:
        wanted = approving.read(found, request.read_bytes())
        write_public(out, approving.approve(found, wanted).encode())
    except KeptError as error:
        raise CommandError(error.code, output.text("signer.differs", why=error)) from error
    except PapersError as error:
        raise CommandError("KEY_INVALID", str(error), status=USAGE) from error
    _tell(output, wanted, "signer.approved", file=str(out))


def resume(
    home: HomeArgument,
    request: RequestFile,
    approval: ApprovalFile,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Let the signer go on from the log that two officers signed for."""
    output, place = Output.of(json, lang), host.place(home)
    try:
        wanted = read_request(request.read_bytes())
        approvals = [read_approval(each.read_bytes()) for each in approval]
    except ResumptionError as error:
        raise CommandError(error.code, str(error), status=USAGE) from error
    index = asyncio.run(_resume(output, place, wanted, approvals))
    _tell(output, wanted, "signer.resumed", leaf=index)


def _tell(output: Output, one: Request, msgid: str, **more: object) -> None:
    told = {
        "size": one.size,
        "root": one.root.hex(),
        "made": iso(one.made_us),
        "sha256": one.digest,
        **more,
    }
    output.result(told, output.text(msgid, **told))


def _checkpoint(place: Home, file: Path) -> Checkpoint:
    """Return the checkpoint in a file that somebody kept; raises CommandError."""
    try:
        newest = parse_vkey(place.log_key.read_text(encoding="utf-8").strip())
        keys = LogKeys.of(newest, log_keys.read(place.log_keys))
        return keys.open(file.read_text(encoding="utf-8"))
    except (NoteError, UnicodeDecodeError) as error:
        raise CommandError("CHECKPOINT_INVALID", f"{file}: {error}", status=USAGE) from error


async def _request(place: Home, known: list[Checkpoint]) -> Request:
    origin = settings.load(place.settings).log_origin
    database = await _database(place)
    try:
        return await signer_resumption.request(database, origin, known, SYSTEM.now_us())
    except (LogError, ResumptionError) as error:
        raise CommandError(error.code, str(error)) from error
    finally:
        await database.close()


async def _resume(output: Output, place: Home, wanted: Request, approvals: list[Approval]) -> int:
    """Return the index of the leaf that tells of it, once it is signed."""
    if await _signs(place):
        await _refused(place, wanted)
    signer.keys.read(place)  # else the leaf would say that it goes on, and it could not
    database = await _database(place)
    try:
        found = await signer_resumption.resume(database, wanted, approvals, SYSTEM.now_us())
        signer.resume(place, found)
        link = SignerLink(place.signer_socket)
        # It learns what the signer has and has the rest signed, or it is degraded and tells why.
        recorder = await Recorder.open(database, link, door="host", clock=SYSTEM)
        degraded = recorder.state.degraded
        await recorder.close()
        index = await signer_resumption.told(database, wanted)
        if degraded or index is None:
            text = output.text("signer.still")
            raise CommandError("SIGNER_REFUSES", text, status=UNAVAILABLE)
        return index
    except (LogError, signer.KeysError) as error:
        raise CommandError("LOG_UNFIT", str(error)) from error
    finally:
        await database.close()


async def _signs(place: Home) -> bool:
    """Return whether the signer has a state; raises CommandError where it does not say."""
    link = SignerLink(place.signer_socket)
    try:
        await link.start()
        await link.newest()
    except SignerRefusedError as error:
        return error.why != "state"
    except SignerError as error:
        raise CommandError("SIGNER_AWAY", str(error), status=UNAVAILABLE) from error
    finally:
        await link.close()
    return True


async def _refused(place: Home, wanted: Request) -> None:
    """Record that a signer which signs was to be resumed, and raise the refusal."""
    told: dict[str, str | int] = {"digest": wanted.digest, "size": wanted.size}
    event = Event(kind=signer_resumption.KIND, door="host", detail=told)

    async def effect(_: Transaction) -> Event:
        raise refuse(Reason.ALREADY_EXISTS)

    await host.acted(place, event, effect)


async def _database(place: Home) -> Database:
    way = roles.WayIn(place, settings.load(place.settings), "administration")
    return await Database.open(way, application="gateway-host", size=2)
