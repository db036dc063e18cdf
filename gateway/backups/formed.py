"""What backups of another's server hold, as the log last told: its files and journal, or dumps."""

from collections.abc import Mapping

from gateway.audit.event import Event
from gateway.backups import manifest
from gateway.store.database import Transaction
from gateway.tlog import leaf

KIND = "backup.form"
ALERT = "backup-form-dump"
_NEWEST = "SELECT leaf FROM gateway.audit_entry WHERE kind = %s ORDER BY idx DESC LIMIT 1"


async def read(tx: Transaction) -> str:
    """Return the form that was told last, "" for none; the reader may read leaves."""
    row = await tx.fetch_one(_NEWEST, (KIND,))
    detail = None if row is None else leaf.parse(bytes(row[0])).get("detail")
    return str(detail.get("step", "")) if isinstance(detail, Mapping) else ""


def event(form: str, before: str, lacking: tuple[str, ...]) -> Event:
    """Return the leaf of another form than before; an alert where a right went, with the first."""
    detail: dict[str, str | int] = {"step": form}
    if form != manifest.DUMP or not before or not lacking:
        return Event(kind=KIND, detail=detail)
    detail |= {"alert": ALERT, "cause": lacking[0]}
    return Event(kind=KIND, decision="error", detail=detail)
