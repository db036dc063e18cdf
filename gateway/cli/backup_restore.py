"""`gateway backup approve` and `restore`: two officers sign, a backup takes the place of a HOME.

`approve` is for an officer's own machine: the backup's manifest and receipt, the profile's key. It
judges the manifest by the profile's log, so that nobody signs what another gateway made.
"""

from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.backups import approval, checking, replaying, restoring, sealing
from gateway.backups.approval import Approval
from gateway.backups.elsewhere import Elsewhere
from gateway.backups.errors import BackupError
from gateway.backups.restoring import Wanted
from gateway.cli.backup_bar import ByteBar
from gateway.cli.backup_files import BackupArgument, IdentityOption, ProgramsOption, told, trusted
from gateway.cli.connected import ProfileOption, load
from gateway.cli.output import USAGE, CommandError, JsonOption, LangOption, Output
from gateway.client import papers
from gateway.client.files import write_private
from gateway.client.profile import DEFAULT_NAME, Profile
from gateway.clock import SYSTEM, US_PER_S, iso
from gateway.config import log_keys
from gateway.store import external
from gateway.store.external import Empty
from gateway.tlog.keys import LogKeys
from gateway.tlog.note import parse_vkey

NewHome = Annotated[Path, typer.Argument(metavar="HOME", help="backup.new-home")]
Cause = Annotated[str, typer.Option("--because", help="backup.because", metavar="WORD")]
OutFile = Annotated[Path, typer.Option("--out", help="backup.out", dir_okay=False)]
Until = Annotated[str, typer.Option("--until", help="backup.until", metavar="TIME")]
Key = Annotated[Path, typer.Option("--key", help="backup.key", exists=True)]
DataDirectory = Annotated[
    Path | None, typer.Option("--data-directory", help="backup.data-directory", file_okay=False)
]
Approvals = Annotated[
    list[Path], typer.Option("--approval", help="backup.approval", exists=True, dir_okay=False)
]
Dsn = Annotated[str, typer.Option("--dsn", help="backup.dsn")]
PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", help="cli.init.password-file", exists=True)
]


def add(noun: typer.Typer) -> None:
    """Add the commands below `backup`."""
    noun.command("approve", help="backup.approve.help")(approve)
    noun.command("restore", help="backup.restore.help")(restore)


def approve(
    folder: BackupArgument,
    because: Cause,
    out: OutFile,
    until: Until = "",
    profile: ProfileOption = DEFAULT_NAME,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Sign that a backup may be put back, and why."""
    output, mine = Output.of(json, lang), load(profile)
    followed = log_keys.read(mine.folder / log_keys.FOLDER)
    keys = LogKeys.of(parse_vkey(mine.remote.log_key), followed)
    with told(output):
        found = checking.read(folder, keys)
        if until:
            replaying.require_goes_on(found.manifest, until)
        signed = _signed(mine, found.sha256, because, until)
    write_private(out, signed.encode())
    document: dict[str, object] = {
        "made": iso(found.manifest.made_us),
        "sha256": found.sha256,
        "because": because,
        "until": until,
        "file": str(out),
    }
    output.result(document, output.text("backup.approved", **document))


def restore(  # noqa: PLR0913, PLR0917  one parameter per option
    folder: BackupArgument,
    home: NewHome,
    key: Key,
    identity: IdentityOption,
    approvals: Approvals,
    until: Until = "",
    data: DataDirectory = None,
    programs: ProgramsOption = None,
    dsn: Dsn = "",
    password_file: PasswordFile = None,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Make an absent or empty HOME that of a backup; it is not served yet."""
    output, begun_s = Output.of(json, lang), SYSTEM.monotonic()
    with told(output), ByteBar(output, "backup.opening") as bar:
        wanted = Wanted(
            folder.resolve(),
            trusted(None, key),
            sealing.identity(identity),
            tuple(approval.parse(path.read_bytes()) for path in approvals),
            until,
            Elsewhere(_resolved(data), _resolved(programs), _empty(dsn, password_file)),
        )
        done = restoring.restore(wanted, home.resolve(), SYSTEM, bar.update)
    document: dict[str, object] = {
        "home": str(done.home.root),
        "log_size": done.log_size,
        "sessions": done.sessions,
        "because": done.cause,
        "rpo_seconds": done.age_us // US_PER_S,
        "rto_seconds": round(SYSTEM.monotonic() - begun_s),
        "left_out": list(done.left_out),
    }
    said = output.text("backup.restored", **document)
    if done.left_out:
        said += "\n" + output.text("backup.left-out", roles=", ".join(done.left_out))
    output.result(document, said)


def _resolved(path: Path | None) -> Path | None:
    return None if path is None else path.resolve()


def _empty(dsn: str, password_file: Path | None) -> Empty | None:
    if not dsn:
        return None
    if external.personal(dsn):
        raise CommandError("USAGE", "--dsn … --password-file FILE", status=USAGE)
    return Empty(dsn, password_file.read_text(encoding="utf-8").strip() if password_file else "")


def _signed(mine: Profile, manifest_sha256: str, because: str, until: str) -> Approval:
    now_us = SYSTEM.now_us()
    text = approval.statement(manifest_sha256, because, now_us, until)
    try:
        pem = mine.certificate.read_bytes()
        certificate = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
        signature = papers.signed(mine.key.read_bytes(), text)
    except (papers.PapersError, ValueError) as error:
        raise BackupError(approval.REFUSED, str(error)) from error
    return Approval(manifest_sha256, because, now_us, certificate, signature, until)
