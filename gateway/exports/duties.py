"""What a recipient's organisation still owes: the proof that an earlier export was destroyed.

Who owes it gets nothing new, and what was approved for it waits until the proof is there (issue 6,
Build 6; decision 0020). Rows that the log does not know bar nobody: the gateway tells of them, and
whoever calls such a file back makes it owed again.
"""

from datetime import datetime, time, timedelta

from gateway.clock import SHANGHAI, civil_day, from_datetime
from gateway.exports import ticket_rows
from gateway.exports.seal import TicketSeal
from gateway.exports.ticket import OUT, State, overdue_us
from gateway.store.database import Transaction

# Of whomever: who owes it, its plan says, not what stands beside it.
_LATE = (
    "SELECT ticket_id FROM gateway.ticket WHERE ticket_id <> %s AND state = ANY(%s)"
    " AND (state = 'overdue' OR destroy_by < %s OR recall_due_us <= %s)"
)


async def owed(
    tx: Transaction, organisation: str, besides: str, now_us: int, seal: TicketSeal
) -> str:
    """Return the oldest ticket whose destruction an organisation owes, `besides` one; "" for none.

    It is owed from the day after its day, chore or not.
    """
    out = [one.value for one in sorted(OUT)]
    rows = await tx.fetch(_LATE, (besides, out, civil_day(now_us), now_us))
    for one in await ticket_rows.proven(tx, [row[0] for row in rows], seal):
        late = one.state is State.OVERDUE or now_us >= overdue_us(one)
        if one.plan.recipient.organisation == organisation and one.state in OUT and late:
            return one.ticket_id
    return ""


def recall_due_us(now_us: int, days: int) -> int:
    """Return until when a file called back now must be destroyed: the end of a day."""
    after = civil_day(now_us) + timedelta(days=days + 1)
    return from_datetime(datetime.combine(after, time.min, SHANGHAI))
