"""The journal of one upload: a client killed at any moment goes on, no record lost or twice.

1. A batch is written to the spool, with its id and its exact bytes, before it is sent.
2. Its verified receipt is appended to the receipts (fsync) before the spooled bytes leave there:
   to `sent/`, for some days, because the gateway may be restored to before it (`resending`).
3. Whoever begins again sends what is in the spool, then passes over as many records of the files
   as were ever in a batch, and goes on from there.
4. A batch that a restored gateway lost and whose bytes are not held any more is cut out of the
   files anew, where it was, under its own id.

An upload is known by its unit, its lane and the content of its files: the same command after it
ended sends nothing and tells the result again. In the profile's folder:

- `receipts/<id>.json`: the upload's unit and files, and the namespace of its request ids
- `receipts/<id>.receipts`: the BatchReceipts, in the form that `delimited` reads;
  `<id>.lost`: those of what a restored gateway lost
- `spool/<id>/<n>.batch`: batches that are not answered
- `spool/<unit>.lock`: held while an upload for the unit runs
- `sequences.json`: the last batch number of each unit
"""

import fcntl
import hashlib
import json
import os
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from gateway.client import delimited
from gateway.client.batches import Envelope, portions, sent_of
from gateway.client.files import make_private, opened_private, write_private
from gateway.client.profile import Profile
from gateway.client.reading import items
from gateway.client.verify import Evidence, Sent
from gateway.clock import SYSTEM, US_PER_S, Clock
from gateway.errors import Refusal
from gateway.v1 import upload_service_pb2 as v1

SENT, LOST = "sent", ".lost"
# A gateway whose newest verified backup is older than seven days lets nothing out, and is mended.
SENT_DAYS = 8


class BusyError(Exception):
    """Another process uploads for this unit."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be uploaded: files, in this order, for a unit."""

    files: tuple[Path, ...]
    unit_code: str
    lane: v1.UploadBatchesRequest.Lane.ValueType
    items_max: int

    def identity(self) -> str:
        """Return the upload's id: of unit, lane and the files' content, whatever their names."""
        digest = hashlib.sha256(f"{self.unit_code}\n{self.lane}\n".encode())
        for file in self.files:
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
        return digest.hexdigest()[:32]


@dataclass(slots=True)
class Tally:
    """How many records, by state and by rule; `refused`: those of refused batches, by reason."""

    states: dict[str, int] = field(default_factory=dict)
    rules: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    batches: int = 0

    def add(self, receipt: v1.BatchReceipt) -> None:
        """Count the results of one receipt."""
        self.batches += 1
        for item in receipt.items:
            name = v1.ItemState.Name(item.state).removeprefix("ITEM_STATE_").lower()
            self.states[name] = self.states.get(name, 0) + 1
            for rule in {finding.rule_id for finding in item.findings}:
                self.rules[rule] = self.rules.get(rule, 0) + 1


class FileJournal:
    """The journal of one upload in a profile's folder; to be closed."""

    def __init__(self, profile: Profile, order: Order, *, clock: Clock = SYSTEM) -> None:
        """Take up the upload where it was left; raises BusyError."""
        self._profile, self._order = profile, order
        _forget(profile, clock)
        self._lock = locked(profile.spool / f"{order.unit_code}.lock")
        self.id = order.identity()
        self.receipts = profile.receipts / f"{self.id}.receipts"
        self._about = profile.receipts / f"{self.id}.json"
        self._spool = make_private(profile.spool / self.id)
        namespace = self._begin()
        self._envelope = Envelope(
            order.unit_code, 1, order.lane, order.items_max, uuid.UUID(namespace), clock
        )
        self._take_up()
        self.sent_before = self._records - sum(count for _, _, count in self._gaps)

    def batches(self) -> Iterator[Sent]:
        """Yield those of the spool, the missing, then new ones, each spooled before it is sent."""
        if self.receipts.with_suffix(LOST).exists():
            self._take_up()  # the restore may have been learnt of since
        yield from self._pending
        every, at = self._items(), 0
        for number, start, count in self._gaps:
            portion = list(islice(every, start - at, start - at + count))
            at = start + count
            yield self._spooled_anew(portion, number)
        rest = islice(every, self._records - at, None)
        for portion in portions(rest, self._order.items_max):
            sent = self._spooled_anew(portion, self._number)
            self._number += 1
            self._records += sent.item_count
            yield sent

    def _spooled_anew(self, portion: list[v1.Item], number: int) -> Sent:
        """Return a batch of these records, on the disk already."""
        sent = self._envelope.seal(portion, number)
        path = self._spool / f"{number:08d}.batch"
        write_private(path, sent.message)
        self._spooled[sent.request_id] = path
        self._save_sequence(sent.sequence)
        return sent

    def answered(self, sent: Sent, receipt: v1.BatchReceipt, _evidence: Evidence, /) -> None:
        """Keep a verified receipt; only then the spooled bytes go."""
        with opened_private(self.receipts) as descriptor:
            os.write(descriptor, delimited.frame(receipt))
            os.fsync(descriptor)
        path = self._spooled.pop(sent.request_id)
        path.replace(make_private(self._profile.folder / SENT / self.id) / path.name)
        self.tally.add(receipt)

    def refused(self, sent: Sent, refusal: Refusal) -> None:
        """Count a refused batch; its bytes stay, and the same command tries it again."""
        reason = refusal.reason.value
        self.tally.refused[reason] = self.tally.refused.get(reason, 0) + sent.item_count

    def close(self) -> None:
        """Let others upload for the unit; an empty spool folder goes."""
        if not any(self._spool.iterdir()):
            self._spool.rmdir()
        os.close(self._lock)

    def _items(self) -> Iterator[v1.Item]:
        for file in self._order.files:
            yield from items(file)

    def _begin(self) -> str:
        """Return the namespace of the upload's request ids, made once and kept."""
        if self._about.exists():
            return str(json.loads(self._about.read_bytes())["namespace"])
        namespace = str(uuid.uuid4())
        document = {
            "namespace": namespace,
            "unit": self._order.unit_code,
            "lane": v1.UploadBatchesRequest.Lane.Name(self._order.lane),
            "files": [str(file.absolute()) for file in self._order.files],
        }
        write_private(self._about, json.dumps(document, ensure_ascii=False).encode())
        return namespace

    def _take_up(self) -> None:
        """Read receipts and spool: what is answered, what to send again, how far the files are."""
        self.tally, self._spooled = Tally(), dict[str, Path]()
        self._pending = deque[Sent]()
        answered = set()
        # Each batch by its id: the number that it first had, and its records.
        known: dict[str, tuple[int, int]] = {}
        last = self._sequences().get(self._order.unit_code, 0)
        for receipt in delimited.recover(self.receipts.with_suffix(LOST)):
            known.setdefault(receipt.request_id, (receipt.sequence, len(receipt.items)))
        for receipt in delimited.recover(self.receipts):
            answered.add(receipt.request_id)
            self.tally.add(receipt)
            known.setdefault(receipt.request_id, (receipt.sequence, len(receipt.items)))
            last = max(last, receipt.sequence)
        for path in sorted(self._spool.glob("*.batch")):
            sent = sent_of(path.read_bytes())
            last = max(last, sent.sequence)
            if sent.request_id in answered:
                path.unlink()
                continue
            self._spooled[sent.request_id] = path
            self._pending.append(sent)
            known.setdefault(sent.request_id, (sent.sequence, sent.item_count))
        self._count(known, answered | self._spooled.keys())
        self._envelope.sequence = max(last, *(one for one, _ in known.values()), 0) + 1

    def _count(self, known: dict[str, tuple[int, int]], held: set[str]) -> None:
        """Count batches in the order that they were made in, and find those that nobody holds."""
        self._number, self._records = len(known), 0
        self._gaps: list[tuple[int, int, int]] = []
        made = sorted(known.items(), key=lambda one: one[1][0])
        for number, (request_id, (_, count)) in enumerate(made):
            if request_id not in held:
                self._gaps.append((number, self._records, count))
            self._records += count

    def _sequences(self) -> dict[str, int]:
        try:
            return dict(json.loads((self._profile.folder / "sequences.json").read_bytes()))
        except FileNotFoundError:
            return {}

    def _save_sequence(self, sequence: int) -> None:
        # Without fsync: after a power cut the spool and the receipts tell it too.
        target = self._profile.folder / "sequences.json"
        temporary = target.with_suffix(f".{os.getpid()}")
        sequences = {**self._sequences(), self._order.unit_code: sequence}
        temporary.write_text(json.dumps(sequences))
        temporary.chmod(0o600)
        temporary.replace(target)


def locked(file: Path) -> int:
    """Return a descriptor that holds a unit's lock; raises BusyError."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise BusyError(file.stem) from None
    return descriptor


def _forget(profile: Profile, clock: Clock) -> None:
    """Remove the batches that were answered longer ago than any backup that counts."""
    oldest_s = clock.now_us() / US_PER_S - SENT_DAYS * 86_400
    for path in (profile.folder / SENT).glob("*/*.batch"):
        if path.stat().st_mtime < oldest_s:
            path.unlink()
