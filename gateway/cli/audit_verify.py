"""`gateway audit verify`: what an exported log proves, alone, by one witness and by the quorum.

Needs nothing but files; whatever one brings from elsewhere (key, checkpoints, policy) proves more.
"""

from pathlib import Path
from typing import Annotated

import typer

from gateway.audit import archive
from gateway.audit.beside import Beside
from gateway.audit.failures import Failure
from gateway.audit.verify import Report, verify_folder
from gateway.audit.witnessing import Signed
from gateway.cli.audit_folder import Bar
from gateway.cli.connected import load
from gateway.cli.output import REFUSED, USAGE, CommandError, JsonOption, LangOption, Output
from gateway.cli.tables import table
from gateway.clock import US_PER_S, iso
from gateway.config import log_keys
from gateway.tlog import policy as policies
from gateway.tlog.keys import LogKeys, told
from gateway.tlog.note import NoteError, parse_vkey
from gateway.tlog.policy import Policy, PolicyError

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="audit.folder", exists=True, file_okay=False)
]
Key = Annotated[Path | None, typer.Option("--key", help="audit.key", exists=True)]
Older = Annotated[list[Path] | None, typer.Option("--checkpoint", help="audit.older", exists=True)]
PolicyFile = Annotated[Path | None, typer.Option("--policy", help="audit.policy", exists=True)]
Minimum = Annotated[int, typer.Option("--minimum-index", help="audit.minimum", min=0)]
Trusted = Annotated[str, typer.Option("--profile", "-p", help="audit.trusted")]

# A person reads so many; --json holds all.
_SHOWN = 20
Rows = list[tuple[object, object]]


def verify(
    folder: Folder,
    key: Key = None,
    checkpoint: Older = None,
    policy: PolicyFile = None,
    minimum_index: Minimum = 0,
    profile: Trusted = "",
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Verify an exported log from its files alone, and tell what is proven."""
    output = Output.of(json, lang)
    demanded = None if policy is None else _policy(output, policy)
    trusted, source = _trusted(output, folder, key, profile)
    older = [path.read_text(encoding="utf-8") for path in checkpoint or []]
    if profile and load(profile).checkpoint.is_file():
        older.append(load(profile).checkpoint.read_text(encoding="utf-8"))
    with Bar(output, "audit.verifying") as bar:
        report = verify_folder(
            folder,
            trusted,
            older=older,
            policy=demanded,
            minimum=minimum_index,
            progress=bar.update,
        )
    asked = "option" if demanded else "folder"
    document = _document(report, source, asked)
    output.result(document, _human(output, report, document, trusted))
    if report.failures:
        raise typer.Exit(REFUSED)


def _policy(output: Output, file: Path) -> Policy:
    try:
        return policies.parse(file.read_bytes().decode())
    except (UnicodeDecodeError, PolicyError) as error:
        text = output.text("audit.no-policy", why=error)
        raise CommandError("POLICY_FORM", text, status=USAGE) from error


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


def _document(report: Report, source: str, asked: str) -> dict[str, object]:
    judging = report.judging
    return {
        "verified": not report.failures,
        "origin": report.keys.origin,
        "key": str(report.keys.newest),
        "keys": told(report.keys.ranges),
        "key_from": source,
        "size": report.checkpoint.size if report.checkpoint else None,
        "root": report.checkpoint.root.hex() if report.checkpoint else None,
        "minimum_index": report.minimum,
        "entries_seen": judging.seen_entries,
        "policy_from": asked if report.policy else None,
        "one_witness": _vouched(report.witnessed(quorum=False)),
        "quorum": _vouched(report.witnessed(quorum=True)),
        "older_sizes": list(report.older_sizes),
        "first_time": iso(judging.first_us) if judging.first_us is not None else None,
        "last_time": iso(judging.last_us) if judging.first_us is not None else None,
        "decisions": dict(judging.decisions),
        "kinds": dict(judging.kinds),
        "parts": _parts(judging.beside),
        "failures": [_failure(each) for each in report.failures],
        "notices": [_failure(each) for each in report.notices],
    }


def _parts(beside: Beside) -> dict[str, object]:
    """Return each leaf whose side part is whole, and each whose is destroyed, by which leaf."""
    shredded = [{"index": index, "by": by} for index, by in sorted(beside.shredded.items())]
    return {"whole": list(beside.whole), "shredded": shredded}


def _vouched(signed: Signed | None) -> dict[str, object] | None:
    if signed is None:
        return None
    return {
        "size": signed.checkpoint.size,
        "time": iso(signed.time_s * US_PER_S),
        "witnesses": list(signed.witnesses),
    }


def _failure(failure: Failure) -> dict[str, str]:
    return {"code": failure.code, "where": failure.where, "message": failure.message}


def _human(output: Output, report: Report, document: dict[str, object], trusted: LogKeys) -> str:
    """Return the table of what was proven, the failures, and the notices."""
    decisions = ", ".join(f"{name} {count}" for name, count in report.judging.decisions.items())
    rows: Rows = [
        *_signers(output, report.keys, trusted, str(document["key_from"])),
        (output.text("audit.row.size"), document["size"]),
        (output.text("audit.row.root"), document["root"]),
        (output.text("audit.row.older"), ", ".join(map(str, report.older_sizes)) or "-"),
        (output.text("audit.row.times"), f"{document['first_time']} – {document['last_time']}"),
        (output.text("audit.row.decisions"), decisions or "-"),
    ]
    beside = report.judging.beside
    if beside.named or beside.shredded:
        count = {"whole": len(beside.whole), "shredded": len(beside.shredded)}
        rows.append((output.text("audit.row.parts"), output.text("audit.parts", **count)))
    if report.minimum:
        rows.append((output.text("audit.row.minimum"), report.minimum))
    parts = [table(("", ""), rows), _proven(output, report, document)]
    for title, found in (("audit.failures", report.failures), ("audit.notices", report.notices)):
        if found:
            lines = [(each.code, each.where, _why(output, each)) for each in found[:_SHOWN]]
            parts += [output.text(title, count=len(found)), table(("", "", ""), lines)]
    parts.append(_result(output, report))
    return "\n\n".join(parts)


def _why(output: Output, failure: Failure) -> str:
    """Return what a code means; its particulars are in English, and in --json."""
    meaning = output.text(f"audit.code.{failure.code}")
    return meaning if output.language == "zh" else f"{meaning}: {failure.message}"


def _absent(report: Report) -> int:
    """Return how many entries were not seen, only their hashes."""
    size = report.checkpoint.size if report.checkpoint else 0
    return size - report.judging.seen_entries


def _result(output: Output, report: Report) -> str:
    """Return the last line; of entries that are not in the folder nobody has seen anything."""
    if report.failures:
        return output.text("audit.not-verified")
    if absent := _absent(report):
        return output.text("audit.verified-hashes", count=absent)
    return output.text("audit.verified")


def _proven(output: Output, report: Report, document: dict[str, object]) -> str:
    """Return what is proven, line by line from the least to the most; the rest is the tail."""
    size = report.checkpoint.size if report.checkpoint else 0
    lines = [output.text("audit.proven.alone", size=0 if report.failures else size)]
    if absent := 0 if report.failures else _absent(report):
        lines.append(output.text("audit.proven.absent", count=absent))
    largest = 0
    for name, signed in (
        ("one", report.witnessed(quorum=False)),
        ("quorum", report.witnessed(quorum=True)),
    ):
        if signed is None:
            lines.append(output.text(f"audit.proven.{name}.none"))
            continue
        largest = max(largest, signed.checkpoint.size)
        names = ", ".join(signed.witnesses)
        when = iso(signed.time_s * US_PER_S)
        size_then = signed.checkpoint.size
        line = output.text(f"audit.proven.{name}", size=size_then, when=when, names=names)
        lines.append(f"{line} ({output.text('audit.policy.' + str(document['policy_from']))})")
    older = max(report.older_sizes, default=0)
    lines.append(output.text("audit.proven.tail", count=max(0, size - max(largest, older))))
    return "\n".join(lines)


def _signers(output: Output, keys: LogKeys, trusted: LogKeys, source: str) -> Rows:
    """Return a row per key, the newest first, with the sizes that each proves."""
    rows: Rows = []
    for one in reversed(keys.ranges):
        about = [str(one.verifier)]
        if len(keys.ranges) > 1:
            about.append(f"{one.from_size}–{'' if one.until_size is None else one.until_size}")
        if one.verifier in trusted.verifiers:
            about.append(f"({output.text(f'audit.key.{source}')})")
        label = output.text("audit.row.followed" if rows else "audit.row.signed")
        rows.append((label, " ".join(about)))
    return rows
