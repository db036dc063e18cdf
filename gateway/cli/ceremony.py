"""`gateway certificate ceremony …`: how authorities are made, followed and retired.

The commands here run on a machine without network and need no HOME; those that run on the gateway
are in `ceremony_host`. certs/README.md puts them in order. What was signed is written down beside
the certificate, in both languages, for the officers to sign on paper.
"""

from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import Certificate

from gateway import messages
from gateway.cli import ceremony_host
from gateway.cli.output import CommandError, JsonOption, LangOption, Output
from gateway.clock import SYSTEM, iso
from gateway.config.folders import write_public
from gateway.errors import Reason
from gateway.names import TRUST_DOMAIN
from gateway.pki import ceremony, der, keys, offline
from gateway.pki.ceremony import ROOT, SERVER_AUTHORITY
from gateway.pki.issue import Authority, IssueError
from gateway.pki.offline import Asked, grouped
from gateway.pki.verify import serial_text

Folder = Annotated[Path, typer.Option("--out", help="ceremony.folder", file_okay=False)]
Name = Annotated[str, typer.Option("--name", help="ceremony.name")]
Root = Annotated[Path, typer.Option("--root", help="ceremony.root.folder", exists=True)]
Signer = Annotated[Path | None, typer.Option("--root", help="ceremony.root.folder", exists=True)]
Server = Annotated[
    Path | None, typer.Option("--authority", help="ceremony.authority.folder", exists=True)
]
Request = Annotated[Path, typer.Option("--request", help="ceremony.request.file", exists=True)]
Hosts = Annotated[list[str] | None, typer.Option("--host", help="certificate.host")]
Yes = Annotated[bool, typer.Option("--yes", help="ceremony.yes")]


def add(above: typer.Typer) -> None:
    """Add the noun below `certificate`."""
    noun = typer.Typer(help="ceremony.help", no_args_is_help=True)
    noun.command("root", help="ceremony.root.help")(root)
    noun.command("server-authority", help="ceremony.server-authority.help")(server_authority)
    noun.command("sign", help="ceremony.sign.help")(sign)
    ceremony_host.add(noun)
    above.add_typer(noun, name="ceremony")


def root(out: Folder, name: Name, json: JsonOption = False, lang: LangOption = "") -> None:
    """Make a root; its key never leaves this folder."""
    output = Output.of(json, lang)
    if not TRUST_DOMAIN.fullmatch(name):
        raise typer.BadParameter(name, param_hint="--name")
    try:
        made = offline.make_root(out, name, SYSTEM.now_us())
    except FileExistsError as error:
        raise CommandError("FILE_EXISTS", str(error)) from error
    _record(output, ROOT, made, out / "root.pem")


def server_authority(
    root_folder: Root, out: Folder, json: JsonOption = False, lang: LangOption = ""
) -> None:
    """Make a server authority whose key stays away from the gateway, or the one after it."""
    output = Output.of(json, lang)
    above = ceremony.load(root_folder, ROOT)
    made = offline.make_server_authority(out, above, SYSTEM.now_us())
    _record(output, SERVER_AUTHORITY, made, out / "server-authority.pem")


def sign(  # noqa: PLR0913, PLR0917  one parameter per option
    request: Request,
    kind: ceremony_host.KindOption,
    out: ceremony_host.File,
    root_folder: Signer = None,
    authority: Server = None,
    hosts: Hosts = None,
    yes: Yes = False,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Sign a request, once the officers have compared its fingerprint."""
    output = Output.of(json, lang)
    signer = _signer(kind, root_folder, authority)
    asked = offline.read(request.read_bytes(), kind.value, hosts or ())
    output.say("ceremony.sign.shown", **_shown(asked, signer))
    if not yes and not typer.confirm(output.text("ceremony.sign.confirm"), err=True):
        raise CommandError("NOT_CONFIRMED", output.text("ceremony.sign.not"))
    try:
        content = offline.sign(asked, signer, SYSTEM.now_us())
    except IssueError as error:
        raise CommandError(Reason.CERT_PROFILE, str(error)) from error
    write_public(out, content)
    _record(output, kind.value, der.certificates(content)[0], out)


def _signer(
    kind: ceremony_host.Requested, root_folder: Path | None, authority: Path | None
) -> Authority:
    folders = {ROOT: root_folder, SERVER_AUTHORITY: authority}
    wanted = offline.SIGNERS[kind.value]
    folder = folders.pop(wanted)
    if folder is None or any(folders.values()):
        option = "--root" if wanted == ROOT else "--authority"
        raise typer.BadParameter(f"{kind.value}: {option}", param_hint="--root | --authority")
    return ceremony.load(folder, wanted)


def _shown(asked: Asked, signer: Authority) -> dict[str, str]:
    return {
        "kind": asked.kind,
        "fingerprint": asked.fingerprint,
        "hosts": ", ".join(asked.hosts) or "–",
        "signer": signer.certificate.subject.rfc4514_string(),
        "signer_fingerprint": grouped(keys.spki_sha256(signer.certificate.public_key())),
    }


def _record(output: Output, kind: str, made: Certificate, file: Path) -> None:
    """Write what was done beside the certificate, to be signed on paper, and tell it."""
    told = {
        "kind": kind,
        "subject": made.subject.rfc4514_string(),
        "issuer": made.issuer.rfc4514_string(),
        "serial": serial_text(made.serial_number),
        "not_before": made.not_valid_before_utc.isoformat(),
        "not_after": made.not_valid_after_utc.isoformat(),
        "key_sha256": grouped(keys.spki_sha256(made.public_key())),
        "certificate_sha256": grouped(made.fingerprint(hashes.SHA256())),
        "time": iso(SYSTEM.now_us()),
    }
    record = file.with_suffix(".record.txt")
    text = "\n".join(messages.text("ceremony.record", each, **told) for each in ("zh", "en"))
    record.write_text(text + "\n", encoding="utf-8")
    human = output.text("ceremony.made", file=file, record=record, **told)
    output.result({**told, "file": str(file), "record": str(record)}, human)
