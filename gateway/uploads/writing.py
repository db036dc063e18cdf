"""Writes a judged batch: in one statement when it is a single item, through COPY when it is more.

What meets the rows of another process fails as a whole (REVISION_STALE, UniqueViolationError): the
caller rolls back and judges again beside the new state.
"""

from collections.abc import Sequence

from gateway.records.keys import HERE
from gateway.store.database import Transaction
from gateway.store.seal import ContentKey
from gateway.uploads.batch_rows import open_batch, open_single, write_items, write_keys
from gateway.uploads.key_rows import write_changes, write_corrections, write_doses
from gateway.uploads.known import Known
from gateway.uploads.received import Prepared


async def write(
    tx: Transaction, prepared: Prepared, known: Known, answer: bytes, keys: Sequence[ContentKey]
) -> int | None:
    """Write a judged batch and return its id.

    None when its request id is taken: then nothing was written. `keys`: those content keys whose
    rows are not committed yet.
    """
    # A released dose lies in another batch than this one.
    single = len(prepared.items) == 1 and not known.waiting
    if single:
        batch_id = await open_single(tx, prepared, known.taken.doses.values(), answer)
    else:
        batch_id = await open_batch(tx, prepared, answer)
    if batch_id is None:
        return None
    await write_keys(tx, keys)
    if not single:
        await write_items(tx, prepared, batch_id)
        await write_doses(tx, known, batch_id)
    await write_changes(tx, prepared, known, batch_id)
    return batch_id


async def write_released(tx: Transaction, known: Known) -> None:
    """Write doses that were released outside a batch; their places are where they came in."""
    await write_doses(tx, known, HERE)
    await write_corrections(tx, known, HERE)
