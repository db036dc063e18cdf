"""`gateway certificate check`: is this certificate acceptable, and if not, which rule refuses it.

Needs files only: no server, no HOME. Exit status 0 accepted, 1 refused, 2 a file cannot be used.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer

from gateway.cli.output import REFUSED, USAGE, CommandError, JsonOption, LangOption, Output
from gateway.clock import SYSTEM, iso, to_datetime
from gateway.errors import REASONS, Reason, Refusal
from gateway.pki import check, der
from gateway.pki.check import Question
from gateway.pki.verify import Verified

Leaf = Annotated[
    list[Path], typer.Argument(metavar="LEAF", help="certificate.check.leaf", exists=True)
]
Trusted = Annotated[
    list[Path], typer.Option("--trust", help="certificate.check.trust", exists=True)
]
Between = Annotated[
    list[Path] | None,
    typer.Option("--intermediates", help="certificate.check.intermediates", exists=True),
]
Lists = Annotated[
    list[Path] | None, typer.Option("--crl", help="certificate.check.crl", exists=True)
]
Time = Annotated[str, typer.Option("--time", help="certificate.check.time", metavar="RFC3339")]
Domain = Annotated[str, typer.Option("--trust-domain", help="certificate.check.domain")]

Read = TypeVar("Read")


def check_one(
    leaf: Leaf,
    trust: Trusted,
    intermediates: Between = None,
    crl: Lists = None,
    time: Time = "",
    trust_domain: Domain = "",
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Judge one certificate; files named after LEAF are trusted like those of --trust."""
    output = Output.of(json, lang)
    try:
        chain = der.certificates(leaf[0].read_bytes())
    except der.MalformedError as error:
        _refused(output, Reason.CERT_PROFILE, "encoding", str(error), check.BROKEN)
    question = Question(
        chain[0],
        tuple(one for found in _read([*trust, *leaf[1:]], der.certificates) for one in found),
        (
            *chain[1:],
            *(one for found in _read(intermediates or [], der.certificates) for one in found),
        ),
        tuple(_read(crl or [], der.revocation_list)),
        _moment(time),
        trust_domain,
    )
    try:
        verified = check.judge(question)
    except Refusal as refusal:
        said = refusal.metadata
        _refused(output, refusal.reason, said["rule"], said["text"], said["path"])
    _accepted(output, verified)


def _accepted(output: Output, verified: Verified) -> None:
    document: dict[str, object] = {
        "accepted": True,
        "path": check.STANDS,
        "subject": str(verified.subject),
        "serial": verified.serial,
        "sha256": verified.sha256.hex(),
        "not_after": iso(verified.not_after_us),
    }
    output.result(document, output.text("certificate.check.accepted", **document))


def _refused(output: Output, reason: Reason, rule: str, text: str, path: str) -> NoReturn:
    meaning = REASONS[reason]
    said = meaning.chinese if output.language == "zh" else meaning.english
    document: dict[str, object] = {
        "accepted": False,
        "refused": reason,
        "rule": rule,
        "detail": text,
        "path": path,
        "message": said,
    }
    told = output.text(
        "certificate.check.refused", reason=reason, rule=rule, detail=text, meaning=said
    )
    output.result(document, told)
    raise SystemExit(REFUSED)


def _read(paths: Sequence[Path], parse: Callable[[bytes], Read]) -> list[Read]:
    found = []
    for path in paths:
        try:
            found.append(parse(path.read_bytes()))
        except der.MalformedError as error:
            raise CommandError("FILE_UNREADABLE", f"{path}: {error}", status=USAGE) from error
    return found


def _moment(text: str) -> datetime:
    if not text:
        return to_datetime(SYSTEM.now_us())
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text}: 2026-01-31T12:00:00Z", param_hint="--time") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
