"""The secrets that lie in the files of a HOME, and how that differs from what the table knows.

So a HOME of an older version gets its rows, and a database that was restored learns what was made
since. When a file was made its time of change tells, where nobody wrote it down.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.clock import US_PER_S
from gateway.config.home import Home
from gateway.identity import keys, signer_rotation, token_rotation
from gateway.identity.lives import HOST, Kept
from gateway.identity.rotation import Kind, Secret
from gateway.pki import proof
from gateway.store import (
    export_keys,
    part_key,
    role_passwords,
    seal_keys,
    tag_keys,
    ticket_key,
)
from gateway.tlog.note import parse_vkey

# What the keys of each kind serve: `name` of their rows.
TOKENS = "tokens"
LOG = "log"
BLIND_INDEX = "blind-index"
MANIFESTS = "manifests"
ROW_TOKENS = "row-tokens"
TICKETS = "tickets"
INVITATIONS = "invitations"
SIDE_PARTS = "side-parts"
# Whose private keys lie elsewhere: only the table knows of them.
_ELSEWHERE = frozenset({"backup-recipient"})
_NS_PER_US = 1_000_000_000 // US_PER_S


@dataclass(frozen=True, slots=True)
class Difference:
    """What table and files do not agree on.

    `unknown` are keys that the table lacks, numbered after those of their name; `surprising` of
    them those whose name it knew by other keys; `missing` are rows whose key is gone.
    """

    unknown: tuple[Kept, ...]
    surprising: tuple[Kept, ...]
    missing: tuple[Kept, ...]


def found(home: Home) -> list[Kept]:
    """Return every secret in the files; raises KeyFileError, SealError, ExportKeyError, OSError.

    Their generations are all 1: the table counts them.
    """
    return [
        *_token_keys(home),
        *_signer_keys(home),
        *_sealing_keys(home),
        _file("index-key", BLIND_INDEX, home.secrets("intake") / "blind-index.key"),
        *_export_keys(home),
        *_invitation_key(home),
        *_audit_keys(home),
        *_database_passwords(home),
    ]


def compare(lying: Sequence[Kept], known: Sequence[Kept]) -> Difference:
    """Return how the files (`found`) and the table (`secret_rows.in_force`) differ."""
    there, rows = {_which(one) for one in lying}, {_which(one) for one in known}
    last: dict[tuple[str, str], int] = {}
    for one in known:
        place = _place(one)
        last[place] = max(last.get(place, 0), one.secret.generation)
    unknown, surprising = [], []
    for one in lying:
        if _which(one) not in rows:
            generation = last[_place(one)] = last.get(_place(one), 0) + 1
            entered = replace(one, secret=replace(one.secret, generation=generation))
            unknown.append(entered)
            if _place(one) in {_place(other) for other in known}:
                surprising.append(entered)
    here = [one for one in known if one.secret.kind not in _ELSEWHERE]
    missing = tuple(one for one in here if _which(one) not in there)
    return Difference(tuple(unknown), tuple(surprising), missing)


def _place(kept: Kept) -> tuple[str, str]:
    return kept.secret.kind, kept.secret.name


def _which(kept: Kept) -> tuple[str, str, str]:
    return kept.secret.kind, kept.secret.name, kept.secret.key_id


def _token_keys(home: Home) -> Iterator[Kept]:
    """Return those that were followed, the one that signs, the one that waits."""
    files, folder = token_rotation.read(home), home.secrets("identity")
    current = _file("token-key", TOKENS, folder / keys.PRIVATE_FILE, files.current)
    since_us = current.made_us
    for kid in sorted(files.published - {files.current, files.waiting}):
        followed = _file("token-key", TOKENS, home.token_keys, kid)
        # The file of the one that signs is as old as its use: when the one before was replaced.
        yield replace(followed, used_us=followed.made_us, replaced_us=since_us)
    yield replace(current, used_us=since_us)
    if files.waiting in files.published:
        yield _file("token-key", TOKENS, home.token_keys, files.waiting or "")


def _signer_keys(home: Home) -> Iterator[Kept]:
    """Return the key that signs the log, and the one before while it signs too.

    A key that is not published yet is none: its step is not at its end.
    """
    newest = parse_vkey(home.log_key.read_text(encoding="utf-8").strip())
    signing = signer_rotation.verifiers(home)
    for one in signing[signing.index(newest) + 1 :] if newest in signing else ():
        before = _file("signer-key", LOG, home.log_key, signer_rotation.key_id(one))
        # The file of the one that follows is as old as its use.
        yield replace(before, replaced_us=before.made_us)
    yield _file("signer-key", LOG, home.log_key, signer_rotation.key_id(newest))


def _sealing_keys(home: Home) -> Iterator[Kept]:
    for one in seal_keys.listed(home):
        found = _file("sealing-key", one.use, home.seal_keys, one.key_id)
        yield found if one.newest else replace(found, replaced_us=found.made_us)


def _export_keys(home: Home) -> Iterator[Kept]:
    """Return those that signed manifests, the one that does, that of tokens, that of tickets.

    A HOME of a version without exports, or without the last, has none before its next start.
    """
    if not home.export_keys.exists():
        return
    *before, newest = export_keys.published(home.export_keys)
    for key_id in before:
        followed = _file("export-key", MANIFESTS, home.export_keys, key_id)
        yield replace(followed, replaced_us=followed.made_us)
    yield _file("export-key", MANIFESTS, home.export_keys, newest)
    tokens = home.secrets("disclosure") / export_keys.TOKENS_FILE
    yield _file("export-token-key", ROW_TOKENS, tokens)
    if ticket_key.path(home).exists():
        yield _file("export-ticket-key", TICKETS, ticket_key.path(home))


def _invitation_key(home: Home) -> Iterator[Kept]:
    """Return it by its copy for identity; a HOME of before has none before its next start."""
    if proof.path(home, "identity").exists():
        yield _file("invitation-key", INVITATIONS, proof.path(home, "identity"))


def _audit_keys(home: Home) -> Iterator[Kept]:
    """Return that of side parts, and of each quarter's tags; an older HOME has none yet."""
    if part_key.path(home).exists():
        yield _file("side-part-key", SIDE_PARTS, part_key.path(home))
    for quarter in tag_keys.kept(home):
        yield _file("subject-tag-key", quarter, tag_keys.path(home, quarter))


def _database_passwords(home: Home) -> Iterator[Kept]:
    for role in role_passwords.changeable(home):
        yield _file("database-password", role, home.password_file(role))


def _file(kind: Kind, name: str, path: Path, key_id: str = "") -> Kept:
    made_us = path.stat().st_mtime_ns // _NS_PER_US
    return Kept(Secret(kind, name, HOST, key_id=key_id), made_us)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
