"""Tickets in the store: read, locked, moved by compare-and-set in the transaction of their leaf.

A row alone is believed by nobody. `lock` compares the whole ticket with what the leaf of its
highest version says (`ticket_mac`), and with its mark: a row changed by hand, or an old one put
back, is TICKET_TAMPERED.
"""

from collections.abc import Sequence

from gateway.clock import Clock
from gateway.errors import Reason, refuse
from gateway.exports.plan import Plan
from gateway.exports.seal import TicketSeal
from gateway.exports.ticket import ENDED, KEYED, Built, State, Ticket, opened
from gateway.exports.ticket_reading import COLUMNS, tickets
from gateway.store.database import Transaction

_NUMBER = "SELECT nextval('gateway.ticket_number')"
_NOW = "SELECT time_us FROM gateway.audit_head"
_INSERT = (
    "INSERT INTO gateway.ticket (ticket_id, plan, plan_sha256, state, version, created_us,"
    " moved_us, requester_organisation, requester_person, recipient_organisation,"
    " recipient_person, not_after_us, destroy_by)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
# Constants only, here and below: no value ever stands in the text.
_COLUMNS = f"{COLUMNS} FROM gateway.ticket"
_READ = f"{_COLUMNS} WHERE ticket_id = %s"
_LOCK = f"{_COLUMNS} WHERE ticket_id = %s FOR UPDATE"
_PAGE = (
    f"{_COLUMNS} WHERE ticket_id < %s AND (%s = '' OR state = %s) ORDER BY ticket_id DESC LIMIT %s"
)
_RELEASED = (
    "SELECT ticket_id FROM gateway.ticket WHERE requester_organisation = %s"
    " AND requester_person = %s AND releases > 0 AND submitted_us >= %s"
)
# Row and leaf as of one moment.
_MAC = "(SELECT l.mac FROM gateway.ticket_leaf(ticket_id) AS l)"
_PROVEN = f"{COLUMNS}, {_MAC} FROM gateway.ticket WHERE ticket_id = ANY(%s) ORDER BY ticket_id"
_OPEN = f"{_COLUMNS} WHERE state = ANY(%s) ORDER BY ticket_id"
_APPROVE = (
    "INSERT INTO gateway.ticket_approval (ticket_id, place, organisation, person, account,"
    " certificate_sha256, signature, approved_us) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
)
_PROOF = (
    "SELECT t.moved_in = pg_current_xact_id(), l.mac, l.version"
    " FROM gateway.ticket AS t, gateway.ticket_leaf(t.ticket_id) AS l WHERE t.ticket_id = %s"
)
_MOVE = (
    "UPDATE gateway.ticket SET state = %s, version = %s, held = %s, moved_us = %s,"
    " moved_in = pg_current_xact_id(), submitted_us = %s, counted_rows = %s,"
    " counted_children = %s, needed = %s, unheld_organisation = %s, unheld_person = %s,"
    " unheld_account = %s, built_rows = %s, built_children = %s, payload_bytes = %s,"
    " payload_sha256 = %s, manifest_sha256 = %s, releases = %s, fetches = %s,"
    " recalled_organisation = %s, recalled_person = %s, recall_due_us = %s, children_sha256 = %s"
    " WHERE ticket_id = %s AND state = %s AND version = %s"
)
_HOLD = "SELECT gateway.audit_hold()"
_KEEP_HEADER = "INSERT INTO gateway.export_header (ticket_id, header) VALUES (%s, %s)"
_HEADER = "SELECT header FROM gateway.export_header WHERE ticket_id = %s"
_FORGET_HEADER = "DELETE FROM gateway.export_header WHERE ticket_id = %s"
_HEADERS = "SELECT ticket_id FROM gateway.export_header ORDER BY ticket_id"
_NUMBERS = "SELECT ticket_id FROM gateway.ticket WHERE state = ANY(%s)"
_APPROVED = "SELECT gateway.approval_leaf(%s)"
_VERSIONS = "SELECT ticket_id, version FROM gateway.ticket"
_FORGET_CHILDREN = "DELETE FROM gateway.export_child WHERE ticket_id = %s"
_NUMBER_MAX = 99_999_999
# Where a list begins that goes from the newest to the oldest.
NEWEST = "EX-99999999~"


async def now_us(tx: Transaction, clock: Clock) -> int:
    """Return the time, which never lies before the log's newest leaf: a clock set back is none."""
    row = await tx.fetch_one(_NOW)
    return max(clock.now_us(), 0 if row is None else row[0])


async def create(tx: Transaction, plan: Plan, at_us: int) -> Ticket:
    """Write the draft of a plan under the next number and return it."""
    row = await tx.fetch_one(_NUMBER)
    if row is None or not 0 < row[0] <= _NUMBER_MAX:
        raise refuse(Reason.INTERNAL)
    ticket = opened(f"EX-{row[0]:08d}", plan, at_us)
    parties = (*plan.requester.person, *plan.recipient.person)
    digest = bytes.fromhex(ticket.plan_sha256)
    head = (ticket.ticket_id, plan.canonical(), digest, ticket.state.value, ticket.version)
    times = (ticket.created_us, ticket.moved_us)
    await tx.execute(_INSERT, (*head, *times, *parties, plan.not_after_us, plan.destroy_by))
    return ticket


async def read(tx: Transaction, ticket_id: str) -> Ticket | None:
    """Return a ticket as its row has it, or None.

    For showing alone: what acts on it locks it. Raises TICKET_TAMPERED when the row is no ticket.
    """
    return next(iter(await tickets(tx, await tx.fetch(_READ, (ticket_id,)))), None)


async def lock(
    tx: Transaction, ticket_id: str, seal: TicketSeal, *, put_back: bool = False
) -> Ticket:
    """Return a ticket that nobody else moves until the transaction ends, as the log knows it.

    Raises NOT_FOUND, TICKET_TAMPERED when row and log differ or the ticket had come further
    (unless a backup was `put_back`, to end it), REVISION_STALE when it was moved in this very
    transaction (of another call of the same commit group): its leaf comes last.
    """
    found = await tickets(tx, await tx.fetch(_LOCK, (ticket_id,)))
    mac, _ = await _proof(tx, ticket_id)
    proves = seal.fits if put_back else seal.proves
    if not proves(found[0], mac):
        raise refuse(Reason.TICKET_TAMPERED)
    return found[0]


async def lock_spoiled(tx: Transaction, ticket_id: str, seal: TicketSeal) -> tuple[Ticket, int]:
    """Return a ticket whatever the log says of it, to stop it and for nothing else.

    With it the version that the log or its mark has of it, 0 for none. Raises NOT_FOUND and
    REVISION_STALE as `lock`, TICKET_TAMPERED where a column has no value at all.
    """
    found = await tickets(tx, await tx.fetch(_LOCK, (ticket_id,)), spoiled=True)
    _, version = await _proof(tx, ticket_id)
    return found[0], max(version, seal.marks.of(ticket_id))


async def proven(
    tx: Transaction, ticket_ids: Sequence[str], seal: TicketSeal, *, put_back: bool = False
) -> list[Ticket]:
    """Return those of these tickets that row and log tell alike, as of one moment, oldest first.

    `put_back`: also those that had come further, as `lock`.
    """
    # Before the rows are read: somebody may move one and keep its mark meanwhile.
    marks = {one: 0 if put_back else seal.marks.of(one) for one in ticket_ids}
    rows = await tx.fetch(_PROVEN, (list(ticket_ids),))
    macs = {row[0]: row[-1] for row in rows}
    return [
        one
        for one in await tickets(tx, rows, sound=True)
        if seal.fits(one, macs[one.ticket_id]) and one.version >= marks[one.ticket_id]
    ]


async def move(tx: Transaction, before: Ticket, after: Ticket) -> Ticket:
    """Write a move, if the row still stands where it was, and return the ticket after it.

    Raises REVISION_STALE. Whatever is not released again loses its header with the same stroke.
    """
    counted, built, unheld = after.counted, after.built, after.unheld_by
    recalled = after.recalled
    values = (
        *(after.state.value, after.version, after.held, after.moved_us, after.submitted_us),
        *((None,) * 3 if counted is None else (counted.rows, counted.children, counted.needed)),
        *((None,) * 3 if unheld is None else (*unheld.person, unheld.account)),
        *((None,) * 5 if built is None else _built(built)),
        after.releases,
        after.fetches,
        *((None,) * 3 if recalled is None else (*recalled.by, recalled.due_us)),
        None
        if built is None or not built.children_sha256
        else bytes.fromhex(built.children_sha256),
        *(before.ticket_id, before.state.value, before.version),
    )
    if not await tx.execute(_MOVE, values):
        raise refuse(Reason.REVISION_STALE)
    for place, one in enumerate(after.approvals[len(before.approvals) :], len(before.approvals)):
        certificate = bytes.fromhex(one.certificate_sha256)
        signed = (certificate, one.signature, one.at_us)
        who = (one.organisation, one.person, one.account)
        await tx.execute(_APPROVE, (after.ticket_id, place + 1, *who, *signed))
    if after.state not in KEYED:
        await tx.execute(_FORGET_HEADER, (after.ticket_id,))
    if after.state in ENDED:
        await tx.execute(_FORGET_CHILDREN, (after.ticket_id,))
    return after


async def page(tx: Transaction, before: str, state: str, limit: int) -> list[Ticket]:
    """Return the next tickets with a lower number, newest first, of one state ("": of any)."""
    return await tickets(tx, await tx.fetch(_PAGE, (before, state, state, limit)), sound=True)


async def released(
    tx: Transaction, who: tuple[str, str], since_us: int, seal: TicketSeal
) -> list[Ticket]:
    """Return what a requester (organisation, name) submitted since then and had released."""
    rows = await tx.fetch(_RELEASED, (*who, since_us))
    return await proven(tx, [row[0] for row in rows], seal)


async def in_states(tx: Transaction, states: Sequence[State]) -> list[Ticket]:
    """Return the tickets in any of these states, oldest first."""
    rows = await tx.fetch(_OPEN, ([one.value for one in states],))
    return await tickets(tx, rows, sound=True)


async def numbers(tx: Transaction, states: Sequence[State]) -> list[str]:
    """Return the numbers of the tickets in any of these states; none of them is proven."""
    return [row[0] for row in await tx.fetch(_NUMBERS, ([one.value for one in states],))]


async def hold_log(tx: Transaction) -> None:
    """Keep everybody else off the log until the transaction ends, after all that it locks.

    What is on the log is seen from here on, and no leaf comes before this transaction's own.
    """
    await tx.fetch(_HOLD)


async def keep_header(tx: Transaction, ticket_id: str, header: bytes) -> None:
    """Keep the header of what was built, apart from its payload."""
    await tx.execute(_KEEP_HEADER, (ticket_id, header))


async def header(tx: Transaction, ticket_id: str) -> bytes | None:
    """Return the header, or None once the ticket ended."""
    row = await tx.fetch_one(_HEADER, (ticket_id,))
    return None if row is None else bytes(row[0])


async def forget_header(tx: Transaction, ticket_id: str) -> None:
    """Delete the header of a ticket."""
    await tx.execute(_FORGET_HEADER, (ticket_id,))


async def headers(tx: Transaction) -> list[str]:
    """Return the tickets that have a header."""
    return [row[0] for row in await tx.fetch(_HEADERS)]


async def versions(tx: Transaction) -> dict[str, int]:
    """Return the version of every row; none of them is proven."""
    return dict(await tx.fetch(_VERSIONS))


async def approved_by_leaf(tx: Transaction, ticket_id: str) -> int | None:
    """Return the index of the leaf by which a ticket was approved (or once), None for none."""
    row = await tx.fetch_one(_APPROVED, (ticket_id,))
    return None if row is None else row[0]


async def _proof(tx: Transaction, ticket_id: str) -> tuple[str | None, int]:
    """Return MAC and version of a ticket as the log has them.

    Raises NOT_FOUND without a row, REVISION_STALE as `lock`.
    """
    row = await tx.fetch_one(_PROOF, (ticket_id,))
    if row is None:
        raise refuse(Reason.NOT_FOUND)
    if row[0]:
        raise refuse(Reason.REVISION_STALE)
    return row[1], row[2] or 0


def _built(built: Built) -> tuple[object, ...]:
    digests = (bytes.fromhex(built.payload_sha256), bytes.fromhex(built.manifest_sha256))
    return built.rows, built.children, built.payload_bytes, *digests
