"""What the commands of `gateway backup` share: whose log is trusted, and refusals in words."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from gateway.backups.errors import BackupError
from gateway.backups.manifest import Manifest
from gateway.cli.output import USAGE, CommandError, Output
from gateway.clock import iso
from gateway.config import log_keys
from gateway.config.home import Home
from gateway.tlog.keys import LogKeys
from gateway.tlog.note import NoteError, parse_vkey

HomeArgument = Annotated[Path, typer.Argument(metavar="HOME", help="cli.home", exists=True)]
BackupArgument = Annotated[
    Path, typer.Argument(metavar="BACKUP", help="backup.folder", exists=True, file_okay=False)
]
HomeOption = Annotated[Path | None, typer.Option("--home", help="backup.home", exists=True)]
KeyOption = Annotated[Path | None, typer.Option("--key", help="backup.key", exists=True)]
ProgramsOption = Annotated[
    Path | None,
    typer.Option("--programs", help="backup.programs", exists=True, file_okay=False),
]
IdentityOption = Annotated[
    Path, typer.Option("--identity", help="backup.identity", exists=True, dir_okay=False)
]


def trusted(home: Path | None, key: Path | None) -> LogKeys:
    """Return the log's keys, of a HOME or of a file with the line that cities hold.

    Raises CommandError where neither or both are given, or what is there is no key.
    """
    if (home is None) == (key is None):
        raise CommandError("USAGE", "--home HOME | --key FILE", status=USAGE)
    try:
        if key is not None:
            return LogKeys.of(parse_vkey(key.read_text(encoding="utf-8").strip()))
        assert home is not None  # noqa: S101  one of both is given
        place = Home(home.resolve())
        line = place.log_key.read_text(encoding="utf-8").strip()
        return LogKeys.of(parse_vkey(line), log_keys.read(place.log_keys))
    except (NoteError, UnicodeDecodeError) as error:
        raise CommandError("KEY_FORM", str(error), status=USAGE) from error


@contextlib.contextmanager
def told(output: Output) -> Iterator[None]:
    """Tell a refusal in the user's language, with what it is about."""
    try:
        yield
    except BackupError as error:
        meaning = output.text(f"backup.code.{error.code}")
        raise CommandError(error.code, f"{meaning} ({error})") from error


def why(output: Output, reason: str) -> str:
    """Return a line that says why it is a base backup, "" for no reason (`backups.lists`)."""
    return "\n" + output.text(f"backup.why.{reason}") if reason else ""


def estimate(place: Home) -> int:
    """Return about how long the database is, for the bar: files come and go meanwhile.

    Of the journal a base backup takes the last minutes alone.
    """
    total, data = 0, place.database / "data"
    for path in (one for one in data.rglob("*") if not one.is_relative_to(data / "pg_wal")):
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total


def described(folder: Path, said: Manifest) -> dict[str, object]:
    """Return what commands tell of a backup."""
    return {
        "folder": str(folder),
        "made": iso(said.made_us),
        "form": said.form,
        "bytes": said.total_bytes,
        "trust_domain": said.trust_domain,
        "log_size": int(said.checkpoint.split("\n")[1]),
        "epoch": said.epoch,
        "schema": said.schema,
        "rows": sum(said.rows.values()),
        "recipients": list(said.recipients),
    }
