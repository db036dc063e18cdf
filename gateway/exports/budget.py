"""How many children's records may go to whom: distinct children, over all tickets, exactly.

A child is counted by the keyed tag of its true code, once however often its records were released,
so that many small tickets are one big one. Counted are what a recipient's organisation got and what
a requester asked for, within the last day, month and year (exports.md section 5, "Quota").
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from gateway.clock import US_PER_S
from gateway.config.exports import QuotaRules
from gateway.errors import Reason, refuse
from gateway.exports.ticket import State, Ticket
from gateway.store.database import Transaction

# Days that each budget looks back, this day included.
WINDOWS: Mapping[str, int] = {"day": 1, "month": 30, "year": 365}
_DAY_US = 86_400 * US_PER_S

# One release after the other: two that are counted at once would each fit and together not.
_ALONE = "SELECT pg_advisory_xact_lock(hashtext('gateway.export_debit'))"
# The children of this ticket and those released before, each with when it was last released.
_DISTINCT = """
SELECT count(*) FILTER (WHERE last_us > %s), count(*) FILTER (WHERE last_us > %s), count(*)
FROM (
    SELECT child_tag, max(released_us) AS last_us
    FROM (
        SELECT d.child_tag, d.released_us
        FROM gateway.export_debit AS d JOIN gateway.ticket AS t USING (ticket_id)
        WHERE d.released_us > %s AND {whose}
        UNION ALL
        SELECT child_tag, %s FROM gateway.export_child WHERE ticket_id = %s
    ) AS each
    GROUP BY child_tag
) AS child
"""
_ORGANISATION = _DISTINCT.format(whose="t.recipient_organisation = %s")
_PERSON = _DISTINCT.format(whose="t.requester_organisation = %s AND t.requester_person = %s")
_DEBIT = (
    "INSERT INTO gateway.export_debit (ticket_id, child_tag, released_us)"
    " SELECT ticket_id, child_tag, %s FROM gateway.export_child WHERE ticket_id = %s"
    " ON CONFLICT DO NOTHING"
)
# As `digest`: bytea sorts as bytes do.
_LISTED = (
    "SELECT count(*), encode(sha256(convert_to(coalesce("
    "string_agg(encode(child_tag, 'hex'), E'\\n' ORDER BY child_tag), ''), 'UTF8')), 'hex')"
    " FROM gateway.export_child WHERE ticket_id = %s"
)


async def overspent(
    tx: Transaction, ticket: Ticket, rules: QuotaRules, now_us: int
) -> frozenset[str]:
    """Return the budgets that this ticket's children would exceed, e.g. "organisation_month".

    No other release counts or debits until the transaction ends.
    """
    await tx.execute(_ALONE)
    plan = ticket.plan
    sums = {
        **await _counted(tx, "organisation", (plan.recipient.organisation,), ticket, now_us),
        **await _counted(tx, "person", plan.requester.person, ticket, now_us),
    }
    most: Mapping[str, int] = asdict(rules)
    return frozenset(name for name, children in sums.items() if children > most[name])


def digest(child_tags: Iterable[bytes]) -> str:
    """Return the SHA-256 (lower hex) of a list of children, in the order of their tags."""
    return hashlib.sha256("\n".join(tag.hex() for tag in sorted(child_tags)).encode()).hexdigest()


async def charge(tx: Transaction, ticket: Ticket, now_us: int) -> int:
    """Charge a release; returns how many children were not charged for it yet.

    Raises TICKET_TAMPERED where they are not those that the file was built with.
    """
    first = ticket.state is State.RECEIVED
    if first:
        await _require_listed(tx, ticket)
    charged = await debit(tx, ticket, now_us)
    if first and ticket.built is not None and charged != ticket.built.children:
        # Somebody wrote before what is charged now.
        raise refuse(Reason.TICKET_TAMPERED)
    return charged


async def _require_listed(tx: Transaction, ticket: Ticket) -> None:
    """Pass a ticket whose list of children is the one that its file was built with.

    Raises TICKET_TAMPERED.
    """
    row, built = await tx.fetch_one(_LISTED, (ticket.ticket_id,)), ticket.built
    if row is None or built is None:
        raise refuse(Reason.TICKET_TAMPERED)
    # What was built before there was a digest has its number alone.
    if row[0] != built.children or row[1] != (built.children_sha256 or row[1]):
        raise refuse(Reason.TICKET_TAMPERED)


async def debit(tx: Transaction, ticket: Ticket, now_us: int) -> int:
    """Charge the ticket's children to those it was released to; returns how many were not yet.

    A header that is sent again charges nobody again.
    """
    return await tx.execute(_DEBIT, (now_us, ticket.ticket_id))


async def _counted(
    tx: Transaction, of: str, whose: Iterable[str], ticket: Ticket, now_us: int
) -> dict[str, int]:
    """Return the distinct children by budget, with the ticket's own."""
    day, month, year = (now_us - days * _DAY_US for days in WINDOWS.values())
    query = _ORGANISATION if of == "organisation" else _PERSON
    row = await tx.fetch_one(query, (day, month, year, *whose, now_us, ticket.ticket_id))
    return {f"{of}_{window}": int(count) for window, count in zip(WINDOWS, row or (), strict=True)}
