"""Requests sent again.

The same request id with the same bytes may be done again, with other bytes never.

The log itself is the memory: an allowed change leaves its request id and the SHA-256 of its
message in its leaf. What is done again must change nothing the second time; the writers of
`registry` and `identity` see to that.
"""

import hashlib
from collections.abc import Mapping

from gateway.errors import Reason, refuse
from gateway.services.call import Call
from gateway.store.database import Transaction
from gateway.tlog import leaf

_EARLIER = (
    "SELECT leaf FROM gateway.audit_entry"
    " WHERE request_id = %s AND kind = %s AND decision = 'allow' ORDER BY idx LIMIT 1"
)


async def is_repeat(tx: Transaction, call: Call) -> bool:
    """Return whether this very change was made before.

    Raises REQUEST_ID_REUSED when its id was used for another.

    Notes the message's digest for the leaf; call it first in the effect.
    """
    return await earlier(tx, call) is not None


async def earlier(
    tx: Transaction, call: Call, query: str = _EARLIER
) -> Mapping[str, object] | None:
    """Return the leaf of this very change where it was made before, as `is_repeat` judges it.

    `query` finds it by request id and kind, for a role that may read some leaves only.
    """
    digest = hashlib.sha256(call.raw).hexdigest()
    call.note(detail={"digest": digest})
    row = await tx.fetch_one(query, (call.request_id, call.event.kind))
    if row is None or row[0] is None:
        return None
    found = leaf.parse(bytes(row[0]))
    detail = found.get("detail")
    if not isinstance(detail, dict) or detail.get("digest") != digest:
        raise refuse(Reason.REQUEST_ID_REUSED)
    return found


def count(found: Mapping[str, object], word: str) -> int:
    """Return what a leaf counted under a word, 0 where it did not."""
    counts = found.get("counts")
    value = counts.get(word) if isinstance(counts, dict) else None
    return value if isinstance(value, int) else 0
