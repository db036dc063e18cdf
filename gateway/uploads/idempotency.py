"""The same batch again.

Same id and same bytes is answered with what was stored, other bytes are refused and on the log.

The unique key (organisation, request_id) decides, not a look before: two senders of one id cannot
both write.
"""

import hmac
from dataclasses import dataclass
from uuid import UUID

from gateway.errors import Reason, refuse
from gateway.store.database import Transaction

# The leaf's own kind: a refusal or a repetition under the same id is another leaf.
_BATCH = """
SELECT batch_id, digest, answer FROM gateway.batch WHERE organisation = %s AND request_id = %s
"""
# The first one: each repetition leaves a later leaf of its own.
_LEAF = """
SELECT idx, leaf FROM gateway.audit_entry
WHERE request_id = %s AND organisation = %s AND kind = %s AND decision = 'allow' ORDER BY idx
  LIMIT 1
"""
UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class Stored:
    """A batch as it was answered: the stored bytes, and its leaf with its index in the log."""

    batch_id: int
    digest: bytes
    answer: bytes
    leaf: bytes
    leaf_index: int


async def stored_batch(tx: Transaction, organisation: str, request_id: UUID) -> Stored | None:
    """Return the organisation's batch of this id, or None."""
    batch = await tx.fetch_one(_BATCH, (organisation, request_id))
    if batch is None:
        return None
    entry = await tx.fetch_one(_LEAF, (str(request_id), organisation, UPLOAD))
    if entry is None:
        # Batch and leaf are written in one transaction: this is not the log that the batch was
        # written beside.
        raise refuse(Reason.AUDIT_DEGRADED)
    batch_id, digest, answer = batch
    return Stored(batch_id, digest, answer, leaf=entry[1], leaf_index=entry[0])


def expect_same(stored: Stored, digest: bytes) -> None:
    """Raise REQUEST_ID_REUSED unless the bytes are those that were stored (EN-04)."""
    if not hmac.compare_digest(stored.digest, digest):
        raise refuse(Reason.REQUEST_ID_REUSED)
