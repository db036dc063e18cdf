"""`gateway certificate issue|revoke|list`: on the gateway's own host; each act leaves its leaf."""

from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import Certificate

from gateway.audit.event import Event
from gateway.cli import host
from gateway.cli.output import CommandError, JsonOption, LangOption, Output
from gateway.clock import SYSTEM, iso
from gateway.config import settings
from gateway.config.home import Home
from gateway.errors import Reason, refuse
from gateway.names import Subject, SubjectKind
from gateway.pki import ceremony, csr, issue, profile, revoke
from gateway.pki import register as registered
from gateway.store.database import Transaction

HomeArgument = Annotated[Path, typer.Argument(metavar="HOME", help="cli.home", exists=True)]
Organisation = Annotated[str, typer.Option("--organisation", help="certificate.organisation")]
System = Annotated[str, typer.Option("--system", help="certificate.system")]
Officer = Annotated[str, typer.Option("--officer", help="certificate.officer")]
Out = Annotated[Path, typer.Option("--out", help="certificate.out")]
Days = Annotated[int, typer.Option("--days", help="certificate.days", min=0, max=398)]
Csr = Annotated[Path | None, typer.Option("--csr", help="certificate.csr", exists=True)]
Serial = Annotated[str, typer.Option("--serial", help="certificate.serial")]
Why = Annotated[str, typer.Option("--reason", help="certificate.reason")]

_REGISTERED = "SELECT state FROM gateway.system WHERE organisation = %s AND kind = %s AND name = %s"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(help="certificate.help", no_args_is_help=True)
    noun.command("issue", help="certificate.issue.help")(issue_one)
    noun.command("revoke", help="certificate.revoke.help")(revoke_one)
    noun.command("list", help="certificate.list.help")(list_all)
    app.add_typer(noun, name="certificate")


def issue_one(  # noqa: PLR0913, PLR0917  one parameter per option
    home: HomeArgument,
    organisation: Organisation,
    out: Out,
    system: System = "",
    officer: Officer = "",
    days: Days = 0,
    csr_file: Csr = None,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Issue a certificate to a registered system or officer."""
    output, place = Output.of(json, lang), host.place(home)
    if bool(system) == bool(officer):
        raise typer.BadParameter("--system | --officer")
    kind: SubjectKind = "sys" if system else "officer"
    domain = settings.load(place.settings).trust_domain
    subject = Subject(domain, organisation, kind, system or officer)
    out.mkdir(parents=True, exist_ok=True)
    key = None if csr_file else ec.generate_private_key(ec.SECP256R1())
    public = key.public_key() if key else csr.public_key(_content(csr_file), profile.load("client"))
    now_us = SYSTEM.now_us()
    authority = ceremony.client_authority(place)
    certificate = issue.client_certificate(authority, subject, public, now_us, days)
    _record_issue(place, subject, certificate)
    if key is not None:
        _write(out / "key.pem", ceremony.key_pem(key), 0o600)
    _write(out / "certificate.pem", ceremony.pem(certificate), 0o644)
    _write(out / "root.pem", place.root_certificate.read_bytes(), 0o644)
    serial, until = f"{certificate.serial_number:x}", certificate.not_valid_after_utc.isoformat()
    output.result(
        {"serial": serial, "subject": str(subject), "not_after": until, "folder": str(out)},
        output.text("certificate.issued", serial=serial, subject=subject, until=until, folder=out),
    )


def revoke_one(
    home: HomeArgument,
    serial: Serial,
    reason: Why = "unspecified",
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Revoke a certificate: its connections are cut within a second."""
    output, place = Output.of(json, lang), host.place(home)
    wanted = serial.lower().removeprefix("0x").lstrip("0")
    event = Event(kind="admin.certificate.revoke", door="host", detail={"target_serial": wanted})

    async def effect(tx: Transaction) -> Event:
        bearer = await revoke.revoke(tx, wanted, reason, SYSTEM.now_us())
        return event.with_(
            detail={
                "target_serial": wanted,
                "target_organisation": bearer.organisation,
                "target_subject_kind": bearer.kind,
                "target_subject_name": bearer.name,
            }
        )

    entry = host.act(place, event, effect)
    output.result(
        {"serial": wanted, "leaf": entry.index},
        output.text("certificate.revoked", serial=wanted, leaf=entry.index),
    )


def list_all(home: HomeArgument, json: JsonOption = False, lang: LangOption = "") -> None:
    """List every certificate that was ever issued."""
    output, place = Output.of(json, lang), host.place(home)
    found: list[registered.Row] = []
    event = Event(kind="admin.certificate.list", door="host")

    async def effect(tx: Transaction) -> Event:
        found.extend(await registered.rows(tx))
        return event.with_(counts={"certificates": len(found)})

    host.act(place, event, effect)
    rows = [
        {
            "serial": row.serial,
            "organisation": row.organisation,
            "subject": f"{row.subject_kind}/{row.subject_name}",
            "not_after": iso(row.not_after_us),
            "state": "active" if row.state == registered.ACTIVE else f"revoked: {row.reason}",
        }
        for row in found
    ]
    lines = ["  ".join(str(value) for value in row.values()) for row in rows]
    output.result({"certificates": rows}, "\n".join(lines))


def _record_issue(place: Home, subject: Subject, certificate: Certificate) -> None:
    serial = f"{certificate.serial_number:x}"
    event = Event(
        kind="admin.certificate.issue",
        door="host",
        detail={
            "target_serial": serial,
            "target_organisation": subject.organisation,
            "target_subject_kind": subject.kind,
            "target_subject_name": subject.name,
        },
    )

    async def effect(tx: Transaction) -> Event:
        bearer = (subject.organisation, subject.kind, subject.name)
        row = await tx.fetch_one(_REGISTERED, bearer)
        if row is None:
            raise refuse(Reason.NOT_FOUND)
        await registered.insert(tx, certificate, subject)
        return event

    # Who renews certificates may enter one; administration may only revoke.
    host.act(place, event, effect, "identity")


def _content(file: Path | None) -> bytes:
    if file is None:
        raise CommandError("FILE_MISSING", "--csr")
    return file.read_bytes()


def _write(path: Path, content: bytes, mode: int) -> None:
    path.touch(mode=mode)
    path.chmod(mode)
    path.write_bytes(content)
