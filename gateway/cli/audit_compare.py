"""`gateway audit compare|contradiction`: are the checkpoints that several hold of one log.

Each city keeps its newest checkpoint (`checkpoint` in its profile). Collected somehow, they are
compared: of one size offline, of different sizes by asking the gateway to prove the one a prefix
of the other. Two that contradict one another make a file that needs no gateway any more.
"""

from itertools import combinations
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.connected import connected, load
from gateway.cli.output import REFUSED, USAGE, CommandError, JsonOption, LangOption, Output
from gateway.client.client import Client
from gateway.config import log_keys
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.contradiction import Contradiction, ContradictionError, parse
from gateway.tlog.keys import LogKeys
from gateway.tlog.note import NoteError, parse_vkey

Files = Annotated[list[Path], typer.Argument(metavar="FILE", help="compare.files", exists=True)]
File = Annotated[Path, typer.Argument(metavar="FILE", help="contradiction.file", exists=True)]
Trusted = Annotated[str, typer.Option("--profile", "-p", help="compare.profile")]
Key = Annotated[Path | None, typer.Option("--key", help="compare.key", exists=True)]
Online = Annotated[bool, typer.Option("--online", help="compare.online")]
Out = Annotated[Path, typer.Option("--out", help="compare.out")]
# A key from elsewhere, with the notes of those that followed it.
Known = tuple[str, tuple[str, ...]]
Held = tuple[Checkpoint, str]


def compare(
    files: Files,
    profile: Trusted = "",
    key: Key = None,
    online: Online = False,
    out: Out = Path("contradiction.json"),
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Compare checkpoints; two that contradict one another are put into a file that proves it."""
    output = Output.of(json, lang)
    known = _known(output, profile, key)
    held = _read(output, files, known)
    found = _fork(held, known)
    apart = [(one, other) for one, other in combinations(held, 2) if one[0].size < other[0].size]
    if found is None and apart and online:
        found = _asked(output, profile, held, known)
    if found is not None:
        if out.exists():
            raise CommandError("FILE_EXISTS", output.text("compare.exists", file=out), status=USAGE)
        out.write_text(found.text(), encoding="utf-8")
        raise CommandError("LOG_CONTRADICTED", output.text("compare.contrary", file=out))
    left = 0 if online else len({one[0].size for one in held}) - 1
    told: dict[str, object] = {"compared": len(files), "unproven_sizes": left}
    output.result(told, output.text("compare.left" if left else "compare.one", **told))


def contradiction(
    file: File,
    profile: Trusted = "",
    key: Key = None,
    json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Judge without any gateway whether a file of two checkpoints proves a fork."""
    output = Output.of(json, lang)
    vkey, _ = _known(output, profile, key)
    try:
        found = parse(file.read_text(encoding="utf-8"))
        finding, older, newer = found.judge(parse_vkey(vkey))
    except (ContradictionError, NoteError, UnicodeDecodeError) as error:
        code = getattr(error, "code", "FILE_FORM")
        raise CommandError(code, output.text("contradiction.bad", why=error)) from error
    told: dict[str, object] = {
        "finding": finding,
        "proven": finding in {"fork", "rewritten"},
        "older": {"size": older.size, "root": older.root.hex()},
        "newer": {"size": newer.size, "root": newer.root.hex()},
    }
    about = {"older": older.size, "newer": newer.size}
    output.result(told, output.text(f"contradiction.{finding}", **about))
    if not told["proven"]:
        raise typer.Exit(REFUSED)


def _known(output: Output, profile: str, key: Path | None) -> Known:
    """Return the key to trust: of the option, else of the profile."""
    if key is not None:
        return key.read_text(encoding="utf-8").strip(), ()
    if not profile:
        raise CommandError("KEY_INVALID", output.text("compare.no-key"), status=USAGE)
    found = load(profile)
    notes = tuple(log_keys.read(found.folder / log_keys.FOLDER))
    return found.remote.log_key, notes


def _read(output: Output, files: list[Path], known: Known) -> list[Held]:
    """Return the checkpoints, the smallest first; raises CommandError naming the file."""
    held: list[Held] = []
    for file in files:
        try:
            keys = LogKeys.of(parse_vkey(known[0]), known[1])
            note = file.read_text(encoding="utf-8")
            held.append((keys.open(note), note))
        except (NoteError, UnicodeDecodeError) as error:
            code = getattr(error, "code", "NOTE_FORM")
            text = output.text("compare.bad", file=file, why=error)
            raise CommandError(code, text) from error
    return sorted(held, key=lambda one: one[0].size)


def _fork(held: list[Held], known: Known) -> Contradiction | None:
    for one, other in combinations(held, 2):
        if one[0].size == other[0].size and one[0].root != other[0].root:
            return Contradiction(*known, one[1], other[1])
    return None


def _asked(output: Output, profile: str, held: list[Held], known: Known) -> Contradiction | None:
    """Return what contradicts when the gateway is asked to prove each a prefix of the largest."""
    if not profile:
        raise CommandError("PROFILE_MISSING", output.text("compare.no-profile"), status=USAGE)

    async def work(client: Client) -> Contradiction | None:
        *older, (newest, note) = held
        for one, text in older:
            if one.size == newest.size:
                continue
            hashes = tuple(await client.consistency(one.size, newest.size))
            found = Contradiction(*known, text, note, hashes)
            if found.judge()[0] != "none":
                return found
        return None

    return connected(output, load(profile), work)
