"""An export ticket and the call about it as Cedar sees them; the sums that Cedar must not form.

A fact that is not established is left out: the policies ask for it with `has`, and its absence
denies. What the schema's closed lists do not know (a state, a field class) is refused with the
whole request.
"""

from collections.abc import Iterable

from gateway.clock import US_PER_S
from gateway.policy.request import Calling, Party, Signed, Ticket

Uid = dict[str, str]
SLOTS = ("first", "second", "third")


def attributes(ticket: Ticket) -> dict[str, object]:
    """Return the attributes of the entity ExportTicket."""
    stated: dict[str, object] = {
        "state": _one("State", ticket.state),
        "held": ticket.held,
        "plan": ticket.plan_sha256,
        "province": _one("Organisation", ticket.province),
        "requester": _party(ticket.requester),
        "recipient": _party(ticket.recipient),
        "recipientCertificate": ticket.recipient_certificate,
        "recipientTunnel": ticket.recipient_tunnel,
        "individual": ticket.individual,
        "divisions": sorted(ticket.divisions),
        "purpose": ticket.purpose,
        "legalBasis": ticket.legal_basis,
        "classes": _all("FieldClass", ticket.classes),
        "rowCap": ticket.row_cap,
        "childCap": ticket.child_cap,
        "notBefore": ticket.not_before_us,
        "notAfter": ticket.not_after_us,
        "windowSeconds": (ticket.not_after_us - ticket.not_before_us) // US_PER_S,
        "certificatesGood": ticket.certificates_good,
        "tunnelActive": ticket.tunnel_active,
        "overdue": ticket.overdue,
        "approvalsNeeded": ticket.approvals_needed,
    }
    persons = {"recalledBy": ticket.recalled_by, "unheldBy": ticket.unheld_by}
    stated |= {name: person for name, person in persons.items() if person}
    # A fourth approval is no fact of any policy.
    stated |= {name: _signed(one) for name, one in zip(SLOTS, ticket.approvals, strict=False)}
    for name, counted in (("planned", ticket.planned), ("built", ticket.built)):
        if counted is not None:
            stated[name] = {"rows": counted[0], "children": counted[1]}
    return stated


def organisations(ticket: Ticket) -> set[str]:
    """Return the organisations that the attributes refer to: their entities are needed too."""
    parties = [ticket.requester, ticket.recipient, *(one.by for one in ticket.approvals)]
    return {ticket.province, *(one.organisation for one in parties)}


def circumstances(calling: Calling, ticket: Ticket) -> dict[str, object]:
    """Return what the context says beyond that of every call."""
    stated: dict[str, object] = {
        "person": calling.person,
        "certificate": calling.certificate_sha256,
        "tunnel": calling.tunnel,
        "confirmed": calling.confirmed,
        "now": calling.now_us,
    }
    if ticket.approvals:
        latest = max(one.at_us for one in ticket.approvals)
        stated["sinceApprovalSeconds"] = (calling.now_us - latest) // US_PER_S
    if calling.overspent is not None:
        stated["overspent"] = sorted(calling.overspent)
    return stated


def _party(party: Party) -> dict[str, object]:
    return {
        "person": party.person,
        "organisation": _one("Organisation", party.organisation),
        "active": party.active,
        "roles": sorted(party.roles),
        "covers": sorted(party.covers),
        "external": party.external,
    }


def _signed(approval: Signed) -> dict[str, object]:
    return {"by": _party(approval.by), "plan": approval.plan_sha256}


def _one(kind: str, name: str) -> dict[str, Uid]:
    return {"__entity": {"type": kind, "id": name}}


def _all(kind: str, names: Iterable[str]) -> list[dict[str, Uid]]:
    return [_one(kind, name) for name in sorted(names)]
