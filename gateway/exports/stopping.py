"""How a ticket is stopped that row and log tell differently (TICKET_TAMPERED): by one person.

Nothing else moves such a ticket, and what is proven of it afterwards is that it is over. What its
row says is believed for one thing: whether a file of it may be out, and is then called back.
"""

from dataclasses import replace

from gateway.errors import Reason, refuse
from gateway.exports.ticket import ENDED, NOTHING, OUT, Act, Caller, Given, State, Ticket, moved

# Where the machine finds a ticket that these acts stop.
_PLACES = {Act.REVOKE: State.APPROVED, Act.RECALL: State.RELEASED}


def stopped(
    ticket: Ticket,
    version: int,
    act: Act,
    by: Caller,
    now_us: int,
    given: Given = NOTHING,
) -> Ticket:
    """Return a spoiled ticket after REVOKE or RECALL; `version` is what log or mark have of it.

    The higher of both versions is followed, so that the leaf of the stop counts. Raises
    TICKET_NOT_YOURS, TICKET_STATE for what has ended, and where the other act is the right one.
    """
    stands = replace(
        ticket,
        state=_PLACES[act],
        version=max(ticket.version, version),
        moved_us=min(ticket.moved_us, now_us),
    )
    after = moved(stands, act, by, now_us, None, given)
    if ticket.state in ENDED or (ticket.state in OUT) != (act is Act.RECALL):
        raise refuse(Reason.TICKET_STATE)
    return after
