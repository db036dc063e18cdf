"""The sweep of waiting doses: whose time is over is rejected.

Whose card came unseen by its batch is judged now (VA-01).
"""

from gateway.audit.event import Event
from gateway.records.rulebook import Finding
from gateway.records.tables import Tables
from gateway.store.database import Transaction
from gateway.uploads.held import WAITS, Waiting, waiting_of
from gateway.uploads.judgement import DoseJudge
from gateway.uploads.known import load_waiting
from gateway.uploads.quarantine import release
from gateway.uploads.received import Received
from gateway.uploads.writing import write_released
from gateway.v1.upload_service_pb2 import ITEM_STATE_REJECTED

# So many in one transaction: a sweep must not hold up uploads.
SWEEP_ROWS = 500
_DUE = """
SELECT h.child_tag, jsonb_build_object('key', h.key_columns, 'findings', h.findings),
  h.deadline_us, h.batch_id, h.item_index
FROM gateway.held AS h
WHERE h.deadline_us IS NOT NULL
  AND (h.deadline_us <= %s OR EXISTS (SELECT 1 FROM gateway.child AS c WHERE c.child_tag =
    h.child_tag))
ORDER BY h.deadline_us LIMIT %s
"""


async def due(tx: Transaction, now_us: int) -> list[Waiting]:
    """Return waiting doses that need the sweep, those waiting longest first."""
    return [waiting_of(*row) for row in await tx.fetch(_DUE, (now_us, SWEEP_ROWS))]


async def sweep(tx: Transaction, event: Event, tables: Tables, now_us: int) -> Event:
    """Reject or release what is due, and return the event with the counts."""
    waiting = await due(tx, now_us)
    ready: list[Received | Waiting] = []
    known = await load_waiting(tx, waiting)
    for one in waiting:
        if one.deadline_us > now_us:
            ready.append(one)
        else:
            one.findings = [*one.found, Finding(WAITS, "vaccination.child_code")]
            one.state = ITEM_STATE_REJECTED
    DoseJudge(known, tables).run(ready)
    await write_released(tx, known)
    released = await release(tx, waiting, now_us)
    rejected = sum(one.state == ITEM_STATE_REJECTED for one in waiting)
    return event.with_(counts={"released": released, "rejected": rejected})
