"""What a recipient's organisation still owes: the proof that an earlier export was destroyed.

Who owes it gets nothing new, and what was approved for it waits until the proof is there (issue 6,
Build 6; decision 0020).
"""

from datetime import datetime, time, timedelta

from gateway.clock import SHANGHAI, civil_day, from_datetime
from gateway.exports.ticket import OUT
from gateway.store.database import Transaction

_OWED = (
    "SELECT ticket_id FROM gateway.ticket WHERE recipient_organisation = %s AND ticket_id <> %s"
    " AND state = ANY(%s) AND (state = 'overdue' OR destroy_by < %s OR recall_due_us <= %s)"
    " ORDER BY ticket_id LIMIT 1"
)


async def owed(tx: Transaction, organisation: str, besides: str, now_us: int) -> str:
    """Return the oldest ticket whose destruction an organisation owes, `besides` one; "" for none.

    It is owed from the day after its day, chore or not.
    """
    out = [one.value for one in sorted(OUT)]
    row = await tx.fetch_one(_OWED, (organisation, besides, out, civil_day(now_us), now_us))
    return "" if row is None else str(row[0])


def recall_due_us(now_us: int, days: int) -> int:
    """Return until when a file called back now must be destroyed: the end of a day."""
    after = civil_day(now_us) + timedelta(days=days + 1)
    return from_datetime(datetime.combine(after, time.min, SHANGHAI))
