"""`gateway certificate …`: what is issued on the gateway's own host; the other verbs stand beside.

Each act leaves its leaf, `check` needs no host.
"""

from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509 import Certificate

from gateway.audit.event import Event
from gateway.audit.recorder import Effect
from gateway.cli import ceremony as certificate_ceremony
from gateway.cli import (
    ceremony_host,
    certificate_confirm,
    certificate_list,
    certificate_own,
    certificate_replay,
    certificate_revoke,
    host,
    invitation,
)
from gateway.cli.certificate_check import check_one
from gateway.cli.output import CommandError, JsonOption, LangOption, Output
from gateway.clock import SYSTEM
from gateway.config import settings
from gateway.config.folders import PRIVATE_FILE, PUBLIC_FILE
from gateway.config.home import Home
from gateway.errors import Reason
from gateway.names import Subject, SubjectKind
from gateway.pki import ceremony, csr, issue, keys, profile
from gateway.pki import register as registered
from gateway.pki.issuer import Made
from gateway.pki.verify import serial_text
from gateway.store.database import Transaction

HomeArgument = Annotated[Path, typer.Argument(metavar="HOME", help="cli.home", exists=True)]
Organisation = Annotated[str, typer.Option("--organisation", help="certificate.organisation")]
System = Annotated[str, typer.Option("--system", help="certificate.system")]
Officer = Annotated[str, typer.Option("--officer", help="certificate.officer")]
Out = Annotated[Path, typer.Option("--out", help="certificate.out")]
Days = Annotated[int, typer.Option("--days", help="certificate.days", min=0, max=398)]
Csr = Annotated[Path | None, typer.Option("--csr", help="certificate.csr", exists=True)]
Hosts = Annotated[list[str] | None, typer.Option("--host", help="certificate.host")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(help="certificate.help", no_args_is_help=True)
    noun.command("issue", help="certificate.issue.help")(issue_one)
    noun.command("check", help="certificate.check.help")(check_one)
    noun.command("renew-server", help="certificate.renew-server.help")(renew_server)
    for part in (certificate_confirm, certificate_list, certificate_revoke, certificate_replay):
        part.add(noun)
    for part in (certificate_own, invitation):
        part.add(noun)
    noun.command("register", help="certificate.register.help")(ceremony_host.register_one)
    certificate_ceremony.add(noun)
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
    made = _make(place, subject, _public_key(out, csr_file), days)
    certificate = made.certificate
    entry = host.act(place, _issued(subject, certificate), _enter(subject, made), "identity")
    _write(out / "certificate.pem", ceremony.pem(certificate), PUBLIC_FILE)
    _write(out / "root.pem", place.root_certificate.read_bytes(), PUBLIC_FILE)
    serial = serial_text(certificate.serial_number)
    until = certificate.not_valid_after_utc.isoformat()
    told = {"serial": serial, "subject": str(subject), "not_after": until, "folder": str(out)}
    human = output.text(
        "certificate.issued", serial=serial, subject=subject, until=until, folder=out
    )
    output.result({**told, "leaf": entry.index}, human)


def renew_server(
    home: HomeArgument, hosts: Hosts = None, json: JsonOption = False, lang: LangOption = ""
) -> None:
    """Give the front a new key and certificate; needs HOME/offline, brought back from the safe."""
    output, place = Output.of(json, lang), host.place(home)
    configured = settings.load(place.settings)
    listening = [tunnel.listen for tunnel in configured.origin.static if tunnel.listen]
    names = dict.fromkeys(
        [*configured.front.listen, *listening, configured.trust_domain, "localhost"]
    )
    event = Event(kind="admin.certificate.server", door="host")
    made: list[Certificate] = []

    async def effect(_: Transaction) -> Event:
        made.append(ceremony.renew_server(place, hosts or list(names), SYSTEM.now_us()))
        return event.with_(detail={"target_serial": serial_text(made[0].serial_number)})

    entry = host.act(place, event, effect)
    serial, until = serial_text(made[0].serial_number), made[0].not_valid_after_utc.isoformat()
    output.result(
        {"serial": serial, "not_after": until, "leaf": entry.index},
        output.text("certificate.server-renewed", serial=serial, until=until),
    )


def _public_key(out: Path, request: Path | None) -> CertificatePublicKeyTypes:
    """Return the request's key, or that of a new one, written before its certificate exists."""
    if request is not None:
        return csr.public_key(request.read_bytes(), profile.load("client"))
    key = ec.generate_private_key(ec.SECP256R1())
    _write(out / "key.pem", ceremony.key_pem(key), PRIVATE_FILE)
    return key.public_key()


def _make(place: Home, subject: Subject, key: CertificatePublicKeyTypes, days: int) -> Made:
    authority = ceremony.client_authority(place)
    try:
        made = issue.client_certificate(authority, subject, key, SYSTEM.now_us(), days)
    except issue.IssueError as error:
        raise CommandError(Reason.CERT_PROFILE, str(error)) from error
    return Made(made, keys.spki_sha256(authority.certificate.public_key()))


def _issued(subject: Subject, certificate: Certificate) -> Event:
    serial = serial_text(certificate.serial_number)
    target = _target(serial, subject.organisation, subject.kind, subject.name)
    return Event(kind="admin.certificate.issue", door="host", detail=target)


def _enter(subject: Subject, made: Made) -> Effect:
    """Enter a certificate of an active bearer; the database role is identity's, which may."""

    async def effect(tx: Transaction) -> Event:
        bearer = registered.Bearer(subject.organisation, subject.kind, subject.name)
        await registered.require_active(tx, bearer)
        await registered.insert(tx, made.certificate, subject, made.issuer_sha256)
        return _issued(subject, made.certificate)

    return effect


def _target(serial: str, organisation: str = "", kind: str = "", name: str = "") -> dict[str, str]:
    words = {
        "target_serial": serial,
        "target_organisation": organisation,
        "target_subject_kind": kind,
        "target_subject_name": name,
    }
    return {word: value for word, value in words.items() if value}


def _write(path: Path, content: bytes, mode: int) -> None:
    path.touch(mode=mode)
    path.chmod(mode)
    path.write_bytes(content)
