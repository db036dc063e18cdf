"""The only reader of bodies: the newest revision of each record that is wanted, in one snapshot.

Rows come in an order keyed by the caller, so that the order they were stored in tells nothing, a
thousand at a time through a cursor, whatever their number. Each content key is unwrapped once
while the cache holds it. What lies sealed as restricted is never read here.
"""

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, MutableSequence, Sequence
from typing import NamedTuple

from google.protobuf.message import Message

from gateway.records.form import to_day
from gateway.records.wanted import FIELDS, KEPT, Wanted, count, select
from gateway.store.database import Transaction
from gateway.store.seal import BlindIndex, OpenedKey, Opener
from gateway.store.seal_keys import SealError
from gateway.v1.aefi_pb2 import AefiReport
from gateway.v1.stock_pb2 import StockMovement
from gateway.v1.types_pb2 import Date
from gateway.v1.upload_service_pb2 import Item

FETCH_ROWS = 1000
# After so many bodies or keys the others of the process have their turn: some milliseconds' work.
AT_A_TIME = 50
# Opened keys are about a kilobyte each. A key serves an organisation's minute, so that in a keyed
# order the same one comes back again and again.
KEYS_HELD = 16_384
# Sorting a province's rows takes longer than any other statement of a door may.
STATEMENT_S = 600
_SNAPSHOT = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    f"SET LOCAL statement_timeout = '{STATEMENT_S}s'",
    f"SET LOCAL idle_in_transaction_session_timeout = '{STATEMENT_S}s'",
)
_FETCH = f"FETCH {FETCH_ROWS} FROM wanted"
_CONTENT_KEYS = """
SELECT key_id, recipient, wrapped FROM gateway.content_key WHERE key_id = ANY(%b::uuid[])
"""
_KEPT = f"{KEPT} SELECT child_tag, kept_tag FROM kept"  # noqa: S608 # two constants
_Keys = OrderedDict[uuid.UUID, OpenedKey]
_Elements = MutableSequence[StockMovement.Line] | MutableSequence[AefiReport.Suspect]


class Row(NamedTuple):
    """A record; `child_tag` is b"" where it is about no child.

    A child whose cards were merged has one tag. `record_key` tells records apart, and no more.
    """

    message: Message
    child_tag: bytes
    record_key: bytes


class Bodies:
    """Opens what is wanted; one per door."""

    def __init__(self, opener: Opener, index: BlindIndex) -> None:
        """Open with these keys; the index finds a child that only a body names."""
        self._opener = opener
        self._index = index

    async def rows(self, tx: Transaction, wanted: Wanted) -> AsyncIterator[Row]:
        """Yield what is wanted; of a document only the elements that are.

        Begin the transaction with `snapshot`. Raises SealError where a body is not its row's.
        """
        statement, parameters = select(wanted)
        field = FIELDS[wanted.dataset]
        keys: _Keys = OrderedDict()
        kept: Mapping[bytes, bytes] = {}
        if wanted.dataset == "adverse_events":
            kept = dict(await tx.fetch(_KEPT))
        await tx.execute(f"DECLARE wanted NO SCROLL CURSOR FOR {statement}", parameters)
        while stored := await tx.fetch(_FETCH):
            await self._find_keys(tx, keys, {row[2] for row in stored})
            for number, row in enumerate(stored):
                if number % AT_A_TIME == 0:
                    await asyncio.sleep(0)
                request_id, item_index, key_id, nonce, body, child_tag, record_key = row
                place = request_id.bytes + item_index.to_bytes(4)
                item = Item.FromString(keys[key_id].open("item", place, 0, nonce, body))
                found = self._judged(getattr(item, field), child_tag, record_key, wanted, kept)
                if found is not None:
                    yield found
        await tx.execute("CLOSE wanted")

    async def count(self, tx: Transaction, wanted: Wanted) -> tuple[int, int]:
        """Return how many rows and how many distinct children are wanted now."""
        if wanted.dataset in ("children", "vaccinations"):
            statement, parameters = count(wanted)
            [(found, children)] = await tx.fetch(statement, parameters)
            return found, children
        found, tags = 0, {b""}
        async for row in self.rows(tx, wanted):
            found += len(elements(row.message))
            tags.add(row.child_tag)
        return found, len(tags) - 1

    async def _find_keys(self, tx: Transaction, keys: _Keys, needed: set[uuid.UUID]) -> None:
        """Unwrap the content keys of the next rows that are not held yet."""
        missing = [key_id for key_id in needed if key_id not in keys]
        wanted = await tx.fetch(_CONTENT_KEYS, [missing])
        for number, (key_id, recipient, wrapped) in enumerate(wanted):
            if number % AT_A_TIME == 0:
                await asyncio.sleep(0)
            keys[key_id] = self._opener.unwrap(key_id, recipient, wrapped)
        if not needed <= keys.keys():
            raise SealError("a body's content key is gone")
        for key_id in needed:
            keys.move_to_end(key_id)
        # Never one of these rows: theirs are the last, and fewer.
        while len(keys) > KEYS_HELD:
            keys.popitem(last=False)

    def _judged(
        self,
        message: Message,
        child_tag: bytes,
        record_key: bytes,
        wanted: Wanted,
        kept: Mapping[bytes, bytes],
    ) -> Row | None:
        """Return the row, or None where only the body shows that it is not wanted."""
        if isinstance(message, StockMovement):
            if not _within(message.document_date, wanted) or not _narrow(message.lines, wanted):
                return None
        elif isinstance(message, AefiReport):
            if not _within(message.onset_date, wanted) or not _narrow(message.suspects, wanted):
                return None
            # A report that names no child is somebody's all the same.
            tag = self._index.tag("child", message.child_code or record_key.hex())
            child_tag = kept.get(tag, tag)
        return Row(message, child_tag, record_key)


async def snapshot(tx: Transaction) -> None:
    """Make of a transaction that has done nothing yet one snapshot that is only read."""
    for statement in _SNAPSHOT:
        await tx.execute(statement)


def elements(message: Message) -> Sequence[Message]:
    """Return what makes a row each of a record: its lines, its suspects, or itself."""
    if isinstance(message, StockMovement):
        return message.lines
    if isinstance(message, AefiReport):
        return message.suspects
    return (message,)


def _within(day: Date, wanted: Wanted) -> bool:
    """Return whether a document's day is wanted; one without a day only where all days are."""
    if (wanted.happened_from, wanted.happened_until) == (None, None):
        return True
    found = to_day(day)
    return (
        found is not None
        and (wanted.happened_from is None or wanted.happened_from <= found)
        and (wanted.happened_until is None or found <= wanted.happened_until)
    )


def _narrow(elements: _Elements, wanted: Wanted) -> bool:
    """Take the elements of other vaccines out; return whether one is left."""
    if wanted.vaccine_codes:
        for place in reversed(range(len(elements))):
            if elements[place].lot.vaccine_code not in wanted.vaccine_codes:
                del elements[place]
    return len(elements) > 0
