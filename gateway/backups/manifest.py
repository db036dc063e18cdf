"""What a backup says of itself, and the proof that this gateway's log says so too.

`manifest.json` is canonical JSON. It is signed by being on the log: `receipt` is a C2SP tlog-proof
of the leaf `backup.create`, which names the manifest's SHA-256; the leaf itself is the proof's
`extra`. So a backup is checked with the log's public key, which every city holds, and the key that
signs is in no new place (decision 0022).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gateway.backups.cluster import Wal
from gateway.backups.errors import BackupError
from gateway.backups.sealing import Part
from gateway.tlog import leaf, proof
from gateway.tlog.keys import LogKeys
from gateway.tlog.leaf import LeafError
from gateway.tlog.merkle import MerkleError
from gateway.tlog.note import NoteError

FORMAT = "sxgw-backup-v1"
KIND = "backup.create"
MANIFEST_FILE, RECEIPT_FILE = "manifest.json", "receipt"
CLUSTER_PART, DUMP_PART = "database.tar.age", "database.dump.age"
HOME_PART = "home.tar.age"
PARTS = (HOME_PART, CLUSTER_PART)
# What the database's part is: the cluster's files; those that changed since a parent; a dump.
BASE, INCREMENTAL, DUMP = "base", "incremental", "dump"
_DATABASE_PARTS = {BASE: CLUSTER_PART, INCREMENTAL: CLUSTER_PART, DUMP: DUMP_PART}
FORM, FOREIGN, UNSIGNED = "BACKUP_FORM", "BACKUP_FOREIGN", "BACKUP_UNSIGNED"
VERSION = "BACKUP_VERSION"
# What is not written where it is so: as in the manifests of before there were others.
_UNWRITTEN = {"line": "", "form": BASE, "parent": "", "server": 18}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup holds, in whole numbers and text.

    `checkpoint` is the log's newest signed note, and `rows` the tables' counts, before the copy of
    the database began: what is restored has at least these. `epoch` is that of revocation;
    `recipients` are age's public names; `line` is the line of WAL that goes on from it, if any.
    `form` is what the database's part is, `parent` the SHA-256 of the manifest of the backup that
    an incremental one goes on from, `server` the major version of the server that it is of.
    """

    made_us: int
    trust_domain: str
    province: str
    version: str
    schema: str
    separate_users: bool
    epoch: int
    checkpoint: str
    rows: Mapping[str, int]
    system: str
    wal: Wal
    recipients: tuple[str, ...]
    parts: tuple[Part, ...]
    line: str = ""
    form: str = BASE
    parent: str = ""
    server: int = 18

    def encode(self) -> bytes:
        """Return the manifest's bytes, which are those that are signed."""
        document = asdict(self)
        # A note has lines, canonical JSON has no control characters.
        document["checkpoint"] = self.checkpoint.split("\n")
        for name, unwritten in _UNWRITTEN.items():
            if document[name] == unwritten:
                del document[name]
        return leaf.encode({"format": FORMAT, **document})

    @property
    def total_bytes(self) -> int:
        """How long its parts are together."""
        return sum(one.sealed_bytes for one in self.parts)

    @property
    def database_part(self) -> str:
        """The name of the part that holds the database; raises BackupError (BACKUP_VERSION)."""
        try:
            return _DATABASE_PARTS[self.form]
        except KeyError:
            raise BackupError(VERSION, f"a backup of the form {self.form} is not known") from None


def parse(content: bytes) -> Manifest:
    """Return the manifest of these bytes; raises BackupError: BACKUP_FORM, BACKUP_VERSION."""
    try:
        document: dict[str, object] = dict(leaf.parse(content))
        if document.pop("format") != FORMAT:
            raise BackupError(FORM, "the manifest is of another form")
        parts = tuple(Part(**one) for one in _objects(document.pop("parts")))
        [wal] = [Wal(**one) for one in _objects([document.pop("wal")])]
        lines = document.pop("checkpoint")
        recipients = document.pop("recipients")
        made = Manifest(
            parts=parts,
            wal=wal,
            checkpoint="\n".join(map(str, lines)) if isinstance(lines, list) else "",
            recipients=tuple(map(str, recipients)) if isinstance(recipients, list) else (),
            **document,  # type: ignore[arg-type]  # judged by encoding it again
        )
        same = made.encode() == content
    except (LeafError, KeyError, TypeError, AttributeError) as error:
        raise BackupError(FORM, "the manifest is malformed") from error
    named = tuple(one.name for one in parts)
    fits = named == (HOME_PART, made.database_part) and bool(made.parent) == (
        made.form == INCREMENTAL
    )
    if not same or not fits:
        raise BackupError(FORM, "the manifest is malformed")
    return made


def sha256(content: bytes) -> str:
    """Return the digest of a manifest's bytes, by which it is on the log."""
    return hashlib.sha256(content).hexdigest()


def verify(content: bytes, receipt: str, keys: LogKeys, kind: str = KIND) -> int:
    """Return the index of the leaf by which this gateway's log names these bytes.

    Raises BackupError: BACKUP_FOREIGN for another log's, BACKUP_UNSIGNED for what no leaf proves.
    """
    try:
        found = proof.parse(receipt)
        said = found.extra or b""
        found.verify(said, keys)
        told = leaf.parse(said)
    except NoteError as error:
        raise BackupError(FOREIGN, f"the receipt is not of this gateway's log: {error}") from error
    except (proof.ProofFormError, MerkleError, LeafError) as error:
        raise BackupError(UNSIGNED, f"the receipt proves nothing: {error}") from error
    detail = told.get("detail")
    named = detail.get("manifest_sha256") if isinstance(detail, Mapping) else None
    if (told.get("kind"), told.get("decision"), named) != (kind, "allow", sha256(content)):
        raise BackupError(UNSIGNED, "the receipt is of something else than this manifest")
    return found.index


def _objects(value: object) -> list[dict[str, Any]]:  # Any: judged by encoding them again
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise TypeError("not objects")
    return value
