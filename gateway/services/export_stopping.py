"""How one person stops a ticket: as any other move, or where row and log tell it differently.

Nothing else moves a ticket that was tampered with. Neither way needs the rules of exports: a bundle
without them lets nothing leave, and keeps nobody from stopping.
"""

from functools import partial

from gateway.errors import Reason, Refusal, refuse
from gateway.exports import ticket_rows
from gateway.exports.moving import leaf_of
from gateway.exports.stopping import stopped
from gateway.exports.ticket import NOTHING, Act, Given, Ticket
from gateway.services.call import Call
from gateway.services.export_tickets import Tickets
from gateway.store.database import Transaction


async def stop(
    tickets: Tickets, call: Call, ticket_id: str, act: Act, given: Given = NOTHING
) -> Ticket:
    """Return a ticket that was revoked or called back, whatever row and log say of it.

    Raises as `Tickets.find`, `Tickets.judge`, `Tickets.move` and `stopped`.
    """
    try:
        found = await tickets.find(call, ticket_id)
    except Refusal as refusal:
        if refusal.reason is not Reason.TICKET_TAMPERED:
            raise
        return await _stop_spoiled(tickets, call, ticket_id, act, given)
    tickets.judge(call, found, act, given)
    return await tickets.move(call, found, act, given)


async def _stop_spoiled(
    tickets: Tickets, call: Call, ticket_id: str, act: Act, given: Given
) -> Ticket:
    found, version = await tickets.spoiled(ticket_id)
    by, seal = tickets.caller(call, found.around.registry), tickets.ground.seal
    allowed = tickets.ask(call, call.action, found)
    stopped(found.ticket, version, act, by, found.around.now_us, given)
    if not allowed:
        raise refuse(Reason.POLICY_DENIED)
    call.permitted = True

    async def work(tx: Transaction) -> Ticket:
        before, version = await ticket_rows.lock_spoiled(tx, ticket_id, seal)
        now_us = await tickets.now_us(tx)
        after = stopped(before, version, act, by, now_us, given)
        return await ticket_rows.move(tx, before, after)

    return await tickets.told(await call.effect(work, partial(leaf_of, seal)))
