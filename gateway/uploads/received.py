"""A batch made ready before its transaction begins.

Every item read, judged by itself, tagged and sealed.

All of this runs in the event loop while the commit group before it is being written; nothing here
waits or asks the database.
"""

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from gateway.records import aefi, card, child, dose, merge, stock, vaccination
from gateway.records.card import CardKey
from gateway.records.desk import Desk
from gateway.records.form import content
from gateway.records.keys import HERE, DocumentKey, DoseKey
from gateway.records.rulebook import Finding, Findings
from gateway.store.seal import ContentKey, ContentKeys
from gateway.uploads import envelope
from gateway.v1.child_pb2 import Child
from gateway.v1.upload_service_pb2 import Item, UploadBatchesRequest
from gateway.v1.vaccination_pb2 import Vaccination

# The field numbers of Item.record: the kind of a stored item. 0: an item without a record that we
# know.
NOTHING, CARD, DOSE, MOVEMENT, BALANCE, REPORT, MERGE, DEVICE = range(8)
KIND_NAMES = ("", *(field.name for field in Item.DESCRIPTOR.fields))
SALT_BYTES = 16
# Of a document's content for the comparison with a stored one.
_WITHOUT = frozenset({"revision", "correction_reason"})
Sealed = tuple[bytes, bytes]


@dataclass(slots=True)
class Received:
    """One item on its way. `record_id` is what answers and lists may show.

    `record_key` finds held items of the same record.

    `found` is what the item's own rules found; judging fills `findings` and `state`, and may do so
    again after a rollback.
    """

    index: int
    kind: int
    record_id: str
    found: Findings
    record_key: bytes | None = None
    dose: DoseKey | None = None
    card: CardKey | None = None
    document: DocumentKey | None = None
    tags: tuple[bytes, ...] = ()
    has_reason: bool = False
    body: Sealed = (b"", b"")
    restricted: Sealed | None = None
    findings: Sequence[Finding] = ()
    state: int = 0

    @property
    def child_tag(self) -> bytes | None:
        """The child that the item is about, where it is one."""
        if self.dose is not None:
            return self.dose.child_tag
        return None if self.card is None else self.card.child.child_tag


@dataclass(slots=True)
class Prepared:
    """A batch ready to be taken."""

    batch: UploadBatchesRequest
    desk: Desk
    request_id: UUID
    digest: bytes
    salt: bytes
    commitment: str
    items: list[Received]
    key: ContentKey
    restricted_key: ContentKey | None

    @property
    def name(self) -> tuple[str, UUID]:
        """What its sender calls it: organisation and request id."""
        return self.desk.organisation, self.request_id

    @property
    def keys(self) -> Sequence[ContentKey]:
        """The content keys that its bodies are sealed with."""
        return [self.key] if self.restricted_key is None else [self.key, self.restricted_key]


def prepare(raw: bytes, batch: UploadBatchesRequest, desk: Desk, keys: ContentKeys) -> Prepared:
    """Return the batch made ready.

    Raises BATCH_MALFORMED. Takes `batch` over: unknown fields are dropped from it.
    """
    request_id = envelope.check(batch, raw, desk)
    # An encoder writes a message one way; a length that differs is something we do not know, or an
    # odd encoder.
    batch.DiscardUnknownFields()
    strange = batch.ByteSize() != len(raw)
    if strange:
        batch = UploadBatchesRequest.FromString(raw)
        envelope.refuse_unknown_fields(batch)
    salt = secrets.token_bytes(SALT_BYTES)
    prepared = Prepared(
        batch,
        desk,
        request_id,
        hashlib.sha256(raw).digest(),
        salt,
        hashlib.sha256(salt + raw).hexdigest(),
        [],
        keys.current(desk.organisation),
        None,
    )
    prefix = request_id.bytes
    for index, item in enumerate(batch.items):
        received = _receive(index, item, desk, strange=strange)
        _seal(received, item, prefix + index.to_bytes(4), prepared, keys)
        prepared.items.append(received)
    return prepared


def _receive(index: int, item: Item, desk: Desk, *, strange: bool) -> Received:
    kind = item.WhichOneof("record")
    if kind == "vaccination":
        received = _dose(index, item.vaccination, desk, strange=strange)
    elif kind == "child":
        received = _card(index, item.child, desk, strange=strange)
    elif kind is not None:
        received = _RECEIVERS[kind](index, item, desk)
    else:
        received = Received(index, NOTHING, "", [Finding("EN-10", "items.record")])
    # A record of a later version is an unknown field of its item.
    if strange and len(UnknownFieldSet(item)):
        received.found.append(Finding("EN-08", "items"))
    return received


def _dose(index: int, record: Vaccination, desk: Desk, *, strange: bool) -> Received:
    read = dose.read(record)
    found = vaccination.judge(read, desk, strange=strange)
    key = dose.key_of(read, desk, index)
    if key is None:
        shown = "" if read.id_bytes is None else read.record_id
        return Received(index, DOSE, shown, found, read.id_bytes)
    received = Received(index, DOSE, read.record_id, found, key.record_id, key)
    received.has_reason = record.correction_reason.strip() != ""
    return received


def _card(index: int, record: Child, desk: Desk, *, strange: bool) -> Received:
    read = card.read(record)
    key = card.key_of(read, desk, index)
    tag = None if key is None else key.child.child_tag
    # A child code is personal: answers and lists name a card by its place in the batch.
    return Received(index, CARD, "", child.judge(read, desk, strange=strange), tag, card=key)


def _movement(index: int, item: Item, desk: Desk) -> Received:
    record = item.stock_movement
    received = Received(
        index, MOVEMENT, stock.movement_id(record), stock.judge_movement(record, desk)
    )
    return _document(received, record, record.unit_code, record.revision, desk)


def _balance(index: int, item: Item, desk: Desk) -> Received:
    record = item.stock_balance
    received = Received(index, BALANCE, stock.balance_id(record), stock.judge_balance(record, desk))
    return _document(received, record, record.unit_code, 0, desk)


def _report(index: int, item: Item, desk: Desk) -> Received:
    record = item.aefi_report
    received = Received(index, REPORT, aefi.report_id(record), aefi.judge(record, desk))
    return _document(received, record, record.reporter_unit_code, record.revision, desk)


def _merge(index: int, item: Item, desk: Desk) -> Received:
    record = item.child_merge
    received = Received(index, MERGE, merge.merge_id(record), merge.judge_merge(record, desk))
    received.tags = merge.merge_tags(record, desk)
    return _document(received, record, record.unit_code, 0, desk)


def _device(index: int, item: Item, desk: Desk) -> Received:
    record = item.device
    received = Received(index, DEVICE, merge.device_id(record), merge.judge_device(record, desk))
    return _document(received, record, record.unit_code, record.revision, desk)


def _document(
    received: Received, record: Message, unit_code: str, revision: int, desk: Desk
) -> Received:
    """Give a document its key columns, where it has what they need."""
    kind, document_id = received.kind, received.record_id
    if document_id and unit_code:
        tag = desk.tag("document", content(record, _WITHOUT))
        key = DocumentKey(kind, unit_code, document_id, tag, revision, HERE, received.index)
        received.document = key
        name = f"{kind}|{unit_code}|{document_id}".encode()
        received.record_key = hashlib.sha256(name).digest()[:16]
    return received


_RECEIVERS: Mapping[str, Callable[[int, Item, Desk], Received]] = {
    "stock_movement": _movement,
    "stock_balance": _balance,
    "aefi_report": _report,
    "child_merge": _merge,
    "device": _device,
}


def _seal(
    received: Received, item: Item, row: bytes, prepared: Prepared, keys: ContentKeys
) -> None:
    """Seal the item as it came.

    What only a clinician may see goes under the second recipient's key.
    """
    if received.kind == CARD and item.child.HasField("restricted"):
        if prepared.restricted_key is None:
            prepared.restricted_key = keys.current(prepared.desk.organisation, "restricted")
        apart = item.child.restricted.SerializeToString()
        received.restricted = prepared.restricted_key.seal("item.restricted", row, 0, apart)
        copy = Item()
        copy.CopyFrom(item)
        copy.child.ClearField("restricted")
        item = copy
    received.body = prepared.key.seal("item", row, 0, item.SerializeToString())
