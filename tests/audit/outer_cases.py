"""Cases of what stands around the verifier: the folder of key notes, the file of two checkpoints, and what the command ends with."""

import contextlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import typer

from gateway.cli.output import CommandError
from gateway.tlog.note import Signer
from tests.audit.cases import PARTED, Case, Modules, beside, table
from tests.audit.folder import SIGNER, cosigned, leaf, quorum, signed, write
from tests.audit.test_beside import CLAIMS, DIGESTS, parted, pruned_part, shred
from tests.audit.test_verify import DAMAGES, ENTRIES, pruned
from tests.tlog import test_contradiction
from tests.tlog.test_witness import LOG, STRANGER, head, path

COMMAND = "gateway.cli.audit_verify"
FILE = "gateway.tlog.contradiction"
KEYS = "gateway.config.log_keys"
Place = Callable[[], Path]


def notes(place: Place) -> Iterator[Case]:
    """Folders of notes."""
    there = place()
    there.mkdir()
    for name in ("10", "2", "1", "1.new"):
        (there / name).write_text(name)
    (empty := place()).mkdir()
    for number, folder in enumerate((there, empty, place(), there / "1")):
        yield Case(
            f"notes {number}",
            KEYS,
            lambda m, folder=folder: (m[KEYS].read(folder), m[KEYS].following(folder).name),
        )


def contradictions() -> Iterator[Case]:
    """Files of two checkpoints: what is shown by each, and what is none."""
    two, other = test_contradiction.two, test_contradiction.OTHER
    whole = [first for first, _ in table(test_contradiction.test_what_a_file_shows)]
    # Who starts from a power of two, and names a root of his own.
    whole.append(two(8, 12, (head(8, other).root, *path(8, 12, other))))
    whole.append(two(0, 12, (bytes(32),)))
    whole.append(two(7, 12, path(7, 12, other)[:-1]))
    whole += [
        test_contradiction.Contradiction(str(key), (), head(7).signed(LOG), newer)
        for key in (LOG.verifier, STRANGER.verifier, "nonsense")
        for newer in (head(7, other).signed(LOG), head(7, other).signed(STRANGER), "nonsense")
    ]
    document = json.loads(two(7, 7).text())
    changed = table(test_contradiction.test_what_is_no_such_file)
    texts = [one.text() for one in whole] + [json.dumps(document | each) for each in changed]
    texts += ["", "[]", "{", "1", json.dumps({**document, "hashes": ["AA=="]})]
    for number, text in enumerate(texts):
        yield Case(f"contradiction {number}", FILE, lambda m, text=text: shown(m, text))


def shown(m: Modules, text: str) -> object:
    found = m[FILE].parse(text)
    given = [None, LOG.verifier, STRANGER.verifier]
    trusted = [each and m["gateway.tlog.note"].parse_vkey(str(each)) for each in given]
    return [_said(lambda one=one: _finding(found, one)) for one in trusted]


def _finding(found: Any, trusted: Any) -> object:
    finding, older, newer = found.judge(trusted)
    return finding, older.size, newer.size


def _said(ask: Callable[[], object]) -> object:
    try:
        return ask()
    except Exception as error:  # noqa: BLE001  whatever a mutant stumbles over is another answer
        return type(error).__name__, getattr(error, "code", ""), str(error)


def commands(place: Place) -> Iterator[Case]:
    """`gateway audit verify`: its exit status and every word, for machines and for people."""
    whole = write(place(), ENTRIES)
    files = place()
    files.mkdir()
    written = {
        "key": str(SIGNER.verifier),
        "stranger": str(Signer("other/log", bytes(32)).verifier),
        "nonsense": "nonsense",
        "older": signed(ENTRIES[:77]),
        "another": signed(ENTRIES[1:78]),
        "policy": quorum(2, 1, 2).text(),
    }
    given = {}
    for name, content in written.items():
        given[name] = files / name
        given[name].write_text(content)
    seen = {"300": cosigned(ENTRIES[:300], 1, 2), "500": cosigned(ENTRIES[:500], 1)}
    vouched = beside(write(place(), ENTRIES), "cosigned", seen)
    yield from told("whole", whole)
    yield from told("no entries", write(place(), []))
    yield from told("no key", files)
    yield from told("a key that is none", whole, key=given["nonsense"])
    yield from told("its key", whole, key=given["key"])
    yield from told("another key", whole, key=given["stranger"])
    yield from told("older", whole, checkpoint=[given["older"]])
    yield from told("older of another past", whole, checkpoint=[given["another"]])
    yield from told("no policy", whole, policy=given["nonsense"])
    yield from told("a policy", vouched, policy=given["policy"])
    yield from told("nobody vouches", whole, policy=given["policy"])
    for name in ("kept", "younger", "other"):
        yield from told(f"profile {name}", whole, profile=name)
        yield from told(f"profile {name} and a key", whole, profile=name, key=given["key"])
    yield from told("left out", pruned(place(), b"512\n", 2))
    yield from told("left out and accepted", pruned(place(), b"512\n", 2), minimum_index=512)
    yield from told("parts", parted(place()))
    yield from told("no part destroyed", parted(place(), PARTED[:4], (1, 2, 3)))
    yield from told("destroyed, of a leaf left out", _destroyed_alone(place()), minimum_index=300)
    claim = next(iter(CLAIMS.values()))[0]
    yield from told("a part destroyed", parted(place(), [*PARTED, claim], (3,)))
    yield from told("parts left out", pruned_part(place(), 3), minimum_index=300)
    for name, (damage, _) in DAMAGES.items():
        folder = write(place(), ENTRIES[:300])
        if not _done(damage, folder):
            continue
        yield Case(f"command, {name}", COMMAND, run(folder, json=True))


def _destroyed_alone(folder: Path) -> Path:
    """No leaf that is there has a part; the last destroyed that of one left out."""
    entries = [leaf(number) for number in range(599)]
    entries[3] = leaf(3, sealed=DIGESTS[1])
    write(folder, [*entries, shred(599, 3, DIGESTS[1])])
    (folder / "tile/entries/000").unlink()
    (folder / "minimum-index").write_text("300\n")
    return folder


def _done(damage: Callable[[Path], object], folder: Path) -> bool:
    """Whether the damage fits a log of this size."""
    try:
        damage(folder)
    except OSError:
        return False
    return True


def told(name: str, folder: Path, **words: Any) -> Iterator[Case]:
    for how in ({"json": True}, {"lang": "en"}, {"lang": "zh"}):
        yield Case(f"command, {name}, {how}", COMMAND, run(folder, **how, **words))


def run(folder: Path, **words: Any) -> Callable[[Modules], object]:
    def ask(m: Modules) -> object:
        m[COMMAND].load = lambda name: profile(folder, name)
        # No thread that draws, for each of thousands.
        m[COMMAND].Bar = lambda *_: contextlib.nullcontext(Mock())
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
            try:
                m[COMMAND].verify(folder, **words)
            except typer.Exit as ended:
                return ended.exit_code, said.getvalue()
            except CommandError as refused:
                return refused.status, refused.code, str(refused), said.getvalue()
        return 0, said.getvalue()

    return ask


def profile(folder: Path, name: str) -> SimpleNamespace:
    """A profile that keeps a checkpoint, one that keeps none yet, one of another log; no other is there."""
    if name not in ("kept", "younger", "other"):
        raise CommandError("PROFILE_INVALID", name)
    checkpoint = folder / ("checkpoint" if name == "kept" else "none")
    key = Signer("other/log", bytes(32)).verifier if name == "other" else SIGNER.verifier
    return SimpleNamespace(
        folder=folder, checkpoint=checkpoint, remote=SimpleNamespace(log_key=str(key))
    )


def every(place: Place) -> Sequence[Case]:
    """All of them."""
    return [*notes(place), *contradictions(), *commands(place)]
