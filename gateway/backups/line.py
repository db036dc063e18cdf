"""A line of WAL: sealed segments of one cluster without a gap, signed, each naming the one before.

A place holds it as `wal/LINE/`: `line.json` (whose cluster, from which segment, the public key)
with the `receipt` that this gateway's log tells of it; per segment `NAME.age` and `NAME.json`; of
the segment that grows `NAME-LENGTH.age` and its `.json`. The private key never leaves
HOME/database, which is in no backup: a restored gateway sends another line. Entries are canonical
JSON.
"""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.backups import manifest, placed
from gateway.backups.errors import BackupError
from gateway.config.home import Home
from gateway.store.wal import SEGMENT_BYTES, segment_name, segment_number
from gateway.tlog import leaf
from gateway.tlog.keys import LogKeys
from gateway.tlog.leaf import LeafError

FORMAT, ENTRY_FORMAT = "sxgw-wal-line-v1", "sxgw-wal-v1"
KIND = "backup.wal"
FOLDER, LINE_FILE, RECEIPT_FILE = "wal", "line.json", "receipt"
FOREIGN, MISSING = "BACKUP_WAL_FOREIGN", "BACKUP_WAL_MISSING"
LENGTH, CHANGED = "BACKUP_PART_LENGTH", "BACKUP_PART_CHANGED"


@dataclass(frozen=True, slots=True)
class Line:
    """Whose WAL, from which segment on; `public_key` is Ed25519, hex; `made_us` when it began."""

    line: str
    system: str
    segment: str
    public_key: str
    made_us: int

    def encode(self) -> bytes:
        """Return the file's bytes, whose digest is on the log."""
        return leaf.encode({"format": FORMAT, **asdict(self)})


@dataclass(frozen=True, slots=True)
class Entry:
    """One sealed segment, or `size` bytes of it; `previous` is the SHA-256 of the last whole one's.

    It is the `number`-th of its line, and held all that was on the disk at `time_us`.
    """

    line: str
    number: int
    segment: str
    size: int
    time_us: int
    previous: str
    plain_sha256: str
    sealed_bytes: int
    sealed_sha256: str

    @property
    def whole(self) -> bool:
        """Whether it is the whole segment."""
        return self.size == SEGMENT_BYTES

    @property
    def stem(self) -> str:
        """The name of its files without the ending."""
        return self.segment if self.whole else f"{self.segment}-{self.size:08d}"

    def encode(self, key: Ed25519PrivateKey) -> bytes:
        """Return the file's bytes, signed."""
        told = self._told()
        return leaf.encode({**told, "signature": key.sign(leaf.encode(told)).hex()})

    def _told(self) -> dict[str, leaf.Json]:
        return {"format": ENTRY_FORMAT, **asdict(self)}

    def signed_by(self, key: Ed25519PublicKey, signature: bytes) -> None:
        """Pass what this key signed; raises InvalidSignature."""
        key.verify(signature, leaf.encode(self._told()))


def digest(content: bytes) -> str:
    """Return how the next entry names these bytes of an entry."""
    return hashlib.sha256(content).hexdigest()


def own_folder(home: Home) -> Path:
    """Return where a HOME keeps the line that it sends, with its key; in no backup."""
    return home.database / FOLDER


def current(home: Home) -> str:
    """Return the line that a HOME sends now, "" for none."""
    try:
        return parse((own_folder(home) / LINE_FILE).read_bytes()).line
    except FileNotFoundError:
        return ""


def parse(content: bytes) -> Line:
    """Return the line of these bytes; raises BackupError (BACKUP_WAL_FOREIGN)."""
    try:
        told: dict[str, object] = dict(leaf.parse(content))
        if told.pop("format") != FORMAT:
            raise BackupError(FOREIGN, "this is no line of WAL")
        return Line(**told)  # type: ignore[arg-type]  # judged by its digest on the log
    except (LeafError, KeyError, TypeError) as error:
        raise BackupError(FOREIGN, "this is no line of WAL") from error


def read_line(folder: Path, keys: LogKeys) -> Line:
    """Return the line in a folder that this gateway's log names; raises BackupError."""
    try:
        content = placed.content(folder / LINE_FILE)
        receipt = placed.content(folder / RECEIPT_FILE).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BackupError(MISSING, f"{folder} is not there, or not whole") from error
    found = parse(content)
    manifest.verify(content, receipt, keys, KIND)
    if found.line != folder.name:
        raise BackupError(FOREIGN, f"{folder} has another line's name")
    return found


def judged(content: bytes, line: Line) -> tuple[Entry, str]:
    """Return an entry that the line's key signed, and its digest.

    Raises BackupError (BACKUP_WAL_FOREIGN): another line's, or signed by nobody whom the log knows.
    """
    try:
        told: dict[str, object] = dict(leaf.parse(content))
        text = str(told.pop("signature"))
        signature = bytes.fromhex(text)
        # Another spelling of the same would have another digest.
        if told.pop("format") != ENTRY_FORMAT or text != signature.hex():
            raise BackupError(FOREIGN, "this is no entry of WAL")
        found = Entry(**told)  # type: ignore[arg-type]  # judged by its signature
        found.signed_by(_public(line), signature)
    except (LeafError, KeyError, TypeError, ValueError, InvalidSignature) as error:
        raise BackupError(FOREIGN, "an entry is not signed by its line's key") from error
    if found.line != line.line:
        raise BackupError(FOREIGN, "an entry is another line's")
    return found, digest(content)


def read_entry(path: Path, line: Line) -> tuple[Entry, str]:
    """Return the entry in a file, and its digest; raises BackupError as `judged`."""
    try:
        content = placed.content(path)
    except OSError as error:
        raise BackupError(MISSING, f"{path.name} cannot be read: {error.strerror}") from error
    found, own = judged(content, line)
    if f"{found.stem}.json" != path.name:
        raise BackupError(FOREIGN, f"{path.name} is in another's place")
    return found, own


def chain(folder: Path, line: Line, after: str) -> list[Entry]:
    """Return the entries after a segment, without a gap, the growing one's last.

    Their bytes are judged by `require`. Raises BackupError: BACKUP_WAL_MISSING for a gap,
    BACKUP_WAL_FOREIGN for one that does not follow the one before.
    """
    timeline, number = int(after[:8], 16), segment_number(after) + 1
    names = {path.stem for path in folder.glob("*.json")}
    found: list[Entry] = []
    before = ""
    while (name := segment_name(timeline, number)) in names:
        entry, own = read_entry(folder / f"{name}.json", line)
        _follows(found, entry, before)
        found.append(entry)
        before, number = own, number + 1
    # A growing one's, too: what lies before it was full.
    beyond = {one for one in names if after[:8] == one[:8] and one[: len(name)] > name}
    if beyond:
        raise BackupError(MISSING, f"the WAL segment {name} is missing")
    tails = sorted(one for one in names if one.startswith(f"{name}-"))
    for tail in tails[-1:]:
        entry, _ = read_entry(folder / f"{tail}.json", line)
        _follows(found, entry, before)
        found.append(entry)
    return found


def _follows(found: list[Entry], entry: Entry, before: str) -> None:
    # What the first one here names may be past its time and gone.
    if found and (entry.previous != before or entry.number != found[-1].number + 1):
        raise BackupError(FOREIGN, f"{entry.stem} does not follow the one before")


def require(folder: Path, entry: Entry) -> Path:
    """Return an entry's sealed file once it is as long and as it was; raises BackupError."""
    path = folder / f"{entry.stem}.age"
    if path.is_symlink() or not path.is_file():
        raise BackupError(MISSING, f"the WAL segment {entry.segment} is missing")
    if path.stat().st_size != entry.sealed_bytes:
        raise BackupError(LENGTH, f"{path.name} is not as long as it was")
    found = hashlib.sha256()
    try:
        for piece in placed.pieces(path, entry.sealed_bytes):
            found.update(piece)
    except OSError as error:
        raise BackupError(CHANGED, f"{path.name} cannot be read: {error.strerror}") from error
    if found.hexdigest() != entry.sealed_sha256:
        raise BackupError(CHANGED, f"{path.name} is not what it was")
    return path


def _public(line: Line) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(line.public_key))


def public_hex(key: Ed25519PrivateKey) -> str:
    """Return how a line names its key."""
    return key.public_key().public_bytes_raw().hex()
