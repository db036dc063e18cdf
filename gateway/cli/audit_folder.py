"""The two audit commands that work on folders: export on the gateway's host, verify anywhere."""

import asyncio
from pathlib import Path
from typing import Annotated, Self

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway import signer
from gateway.audit import archive
from gateway.audit.judging import Failure
from gateway.audit.verify import Report, verify_folder
from gateway.cli.connected import load
from gateway.cli.output import REFUSED, USAGE, CommandError, JsonOption, LangOption, Output
from gateway.cli.tables import table
from gateway.clock import iso
from gateway.config import log_keys, settings
from gateway.config.confinement import check_runner
from gateway.config.home import Home
from gateway.store import roles
from gateway.store.database import Database
from gateway.tlog.keys import LogKeys, told
from gateway.tlog.note import NoteError, parse_vkey

HomeArgument = Annotated[Path, typer.Argument(metavar="HOME", help="cli.home", exists=True)]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="audit.folder")]
Existing = Annotated[
    Path, typer.Argument(metavar="DIR", help="audit.folder", exists=True, file_okay=False)
]
Key = Annotated[Path | None, typer.Option("--key", help="audit.key", exists=True)]
Older = Annotated[list[Path] | None, typer.Option("--checkpoint", help="audit.older", exists=True)]
Trusted = Annotated[str, typer.Option("--profile", "-p", help="audit.trusted")]

# A person reads so many; --json holds all.
_SHOWN = 20


def export(
    home: HomeArgument, folder: Folder, json: JsonOption = False, lang: LangOption = ""
) -> None:
    """Write the log of a HOME, up to its newest checkpoint, as a static C2SP folder."""
    output, place = Output.of(json, lang), Home(home.resolve())
    check_runner(place)
    signed = signer.stored_checkpoint(place)
    if signed is None:
        raise CommandError("CHECKPOINT_MISSING", output.text("audit.no-checkpoint"))
    with _bar(output, "audit.exporting") as bar:
        try:
            done = asyncio.run(_export(place, signed, folder.absolute(), bar))
        except archive.ArchiveError as error:
            raise CommandError(error.code, str(error), status=USAGE) from error
    document: dict[str, object] = {
        "folder": str(folder),
        "size": done.size,
        "log_size": done.log_size,
        "missing": list(done.missing),
    }
    human = output.text("audit.exported", **document)
    if done.missing:
        human += "\n" + output.text("audit.incomplete", count=len(done.missing))
    output.result(document, human)
    if done.missing:
        raise typer.Exit(REFUSED)


async def _export(home: Home, signed: str, folder: Path, bar: "Bar") -> archive.Exported:
    conninfo = roles.conninfo(home, settings.load(home.settings), "administration")
    database = await Database.open(conninfo, application="gateway-host", size=1)
    try:
        key, notes = home.log_key.read_text(encoding="utf-8").strip(), log_keys.read(home.log_keys)
        return await archive.export(database, signed, key, folder, bar.update, notes=notes)
    finally:
        await database.close()


def verify(
    folder: Existing,
    key: Key = None,
    checkpoint: Older = None,
    profile: Trusted = "",
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Verify an exported log from its files alone, and tell what is proven."""
    output = Output.of(json, lang)
    trusted, source = _trusted(output, folder, key, profile)
    older = [path.read_text(encoding="utf-8") for path in checkpoint or []]
    if profile and load(profile).checkpoint.is_file():
        older.append(load(profile).checkpoint.read_text(encoding="utf-8"))
    with _bar(output, "audit.verifying") as bar:
        report = verify_folder(folder, trusted, older=older, progress=bar.update)
    output.result(_document(report, source), _human(output, report, trusted, source))
    if report.failures:
        raise typer.Exit(REFUSED)


def _trusted(output: Output, folder: Path, key: Path | None, profile: str) -> tuple[LogKeys, str]:
    """Return the keys to trust, and where they are from: option, profile or the folder itself."""
    try:
        if profile and key is None:
            kept = load(profile)
            notes = log_keys.read(kept.folder / log_keys.FOLDER)
            return LogKeys.of(parse_vkey(kept.remote.log_key), notes), "profile"
        file = folder / archive.KEY_FILE if key is None else key
        trusted = LogKeys.of(parse_vkey(file.read_text(encoding="utf-8").strip()))
        return trusted, "folder" if key is None else "option"
    except (OSError, UnicodeDecodeError, NoteError) as error:
        raise CommandError("KEY_INVALID", output.text("audit.no-key"), status=USAGE) from error


def _document(report: Report, source: str) -> dict[str, object]:
    judging = report.judging
    return {
        "verified": not report.failures,
        "origin": report.keys.origin,
        "key": str(report.keys.newest),
        "keys": told(report.keys.ranges),
        "key_from": source,
        "size": report.checkpoint.size if report.checkpoint else None,
        "root": report.checkpoint.root.hex() if report.checkpoint else None,
        "older_sizes": list(report.older),
        "first_time": iso(judging.first_us) if judging.first_us is not None else None,
        "last_time": iso(judging.last_us) if judging.first_us is not None else None,
        "decisions": dict(judging.decisions),
        "kinds": dict(judging.kinds),
        "failures": [_failure(each) for each in report.failures],
        "notices": [_failure(each) for each in report.notices],
    }


def _failure(failure: Failure) -> dict[str, str]:
    return {"code": failure.code, "where": failure.where, "message": failure.message}


def _human(output: Output, report: Report, trusted: LogKeys, source: str) -> str:
    """Return the table of what was proven, the failures, and the notices."""
    document = _document(report, source)
    decisions = ", ".join(f"{name} {count}" for name, count in report.judging.decisions.items())
    rows: list[tuple[object, object]] = [
        *_signers(output, report.keys, trusted, source),
        (output.text("audit.row.size"), document["size"]),
        (output.text("audit.row.root"), document["root"]),
        (output.text("audit.row.older"), ", ".join(map(str, report.older)) or "-"),
        (output.text("audit.row.times"), f"{document['first_time']} – {document['last_time']}"),
        (output.text("audit.row.decisions"), decisions or "-"),
    ]
    parts = [table(("", ""), rows)]
    for title, found in (("audit.failures", report.failures), ("audit.notices", report.notices)):
        if found:
            lines = [
                (each.code, each.where, output.text(f"audit.code.{each.code}"), each.message)
                for each in found[:_SHOWN]
            ]
            parts += [output.text(title, count=len(found)), table(("", "", "", ""), lines)]
    parts.append(output.text("audit.not-verified" if report.failures else "audit.verified"))
    return "\n\n".join(parts)


def _signers(
    output: Output, keys: LogKeys, trusted: LogKeys, source: str
) -> list[tuple[object, object]]:
    """Return a row per key, the newest first, with the sizes that each proves."""
    rows: list[tuple[object, object]] = []
    for one in reversed(keys.ranges):
        about = [str(one.verifier)]
        if len(keys.ranges) > 1:
            about.append(f"{one.from_size}–{'' if one.until_size is None else one.until_size}")
        if one.verifier in trusted.verifiers:
            about.append(f"({output.text(f'audit.key.{source}')})")
        label = output.text("audit.row.followed" if rows else "audit.row.signed")
        rows.append((label, " ".join(about)))
    return rows


class Bar:
    """A progress bar on standard error."""

    def __init__(self, output: Output, msgid: str) -> None:
        """Say what goes on with this text."""
        self._progress = Progress(
            TextColumn(output.text(msgid)),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=output.progress(),
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)

    def update(self, done: int, total: int) -> None:
        """Show that `done` of `total` entries are through."""
        self._progress.update(self._task, completed=done, total=total)

    def __enter__(self) -> Self:
        """Show it."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        self._progress.stop()


def _bar(output: Output, msgid: str) -> Bar:
    return Bar(output, msgid)
