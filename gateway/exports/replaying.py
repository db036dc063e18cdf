"""Past decisions on tickets, found again, so that `policy.history` can ask them of other policies.

A leaf names the ticket, who came how, and the digest of all that was asked (`policy.facts.words`).
What that was made of stands in the ticket, which grew since, and in the register, as far as it did
not change. What stands nowhere (was it frozen, was the password shown, which budgets were spent) is
tried, one after the other. Only what has the very digest is taken: nothing is guessed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from itertools import combinations, product
from typing import Any

from gateway.config.exports import QuotaRules
from gateway.errors import Reason, Refusal
from gateway.exports import deciding, facts, ticket_rows
from gateway.exports.facts import Around
from gateway.exports.ticket import ENDED, OUT, UNRELEASED, State, Ticket
from gateway.identity import accounts
from gateway.policy import facts as asked
from gateway.policy import request as policy
from gateway.policy.request import Actor, Calling, Context, Request, Resource, Strength
from gateway.store.database import Database

_UNNUMBERED = "EX-00000000"
_BUDGETS = tuple(one.name for one in fields(QuotaRules))
_BOTH = (False, True)
# What a plan was told to give before its count: nothing, or the count that its leaf tells.
_UNCOUNTED = (None, (0, 0))
_MADE = (UNRELEASED - {State.APPROVED, State.BUILDING}) | OUT | ENDED
# A repeated request is shown its ticket; the gateway's own leaves name no rpc.
_SHOWN = "GetExport"
_OWN = (deciding.KEEP, deciding.BUILD)


@dataclass(frozen=True, slots=True)
class _Told:
    """What a leaf tells: its whole, the rpc ("": the gateway's own act), when, the digest."""

    leaf: Mapping[str, Any]  # Any: as JSON gives it
    rpc: str
    now_us: int
    facts_sha256: str
    state: State


class Past:
    """Finds requests again, with today's register and the tickets of this database."""

    def __init__(self, database: Database, around: Around, *, weak: bool) -> None:
        """Look into a register (its time is not used); `weak`: a weak origin is taken."""
        self._database = database
        self._around = around
        self._weak = weak

    async def request(self, leaf: Mapping[str, Any]) -> Request | None:  # Any: as JSON gives it
        """Return what was asked when a leaf was written, None where it is not to be found.

        Raises StoreError.
        """
        told, detail = _told(leaf), leaf["detail"]
        around = replace(self._around, now_us=told.now_us)
        async with self._database.transaction() as tx:
            try:
                ticket = await ticket_rows.read(tx, detail.get("ticket", ""))
            except Refusal:
                return None
            if ticket is None or ticket.plan_sha256 != detail.get("plan_sha256"):
                return None
            place = (leaf.get("organisation", ""), leaf.get("account", ""))
            account = await accounts.read(tx, *place)
            roles = frozenset() if account is None else frozenset(account.roles)
            for then in _approved(ticket, told):
                known = await facts.of(tx, then, around)
                for one in _variants(ticket, told, known):
                    for wanted in self._asked(told, one, roles, ticket, around):
                        if asked.words(wanted)["facts_sha256"] == told.facts_sha256:
                            return wanted
        return None

    def _asked(
        self,
        told: _Told,
        known: policy.Ticket,
        roles: frozenset[str],
        ticket: Ticket,
        around: Around,
    ) -> Iterator[Request]:
        """Yield what may have been asked of a ticket in this condition."""
        if not told.rpc:
            yield from (deciding.asked(act, ticket.plan, known, around) for act in _OWN)
            return
        leaf, registry = told.leaf, around.registry
        strength: Strength = "proven" if leaf.get("strength") == "proven" else "weak"
        organisation = leaf.get("organisation", "")
        actor = Actor(organisation, registry.chain(organisation), roles, strength)
        chain = registry.chain(ticket.plan.requester.organisation)
        came = (leaf.get("subject", ""), leaf.get("certificate", ""), leaf.get("tunnel", ""))
        for action, confirmed in product((told.rpc, _SHOWN), _BOTH):
            for spent in _overspent(told, action):
                calling = Calling(*came, confirmed, told.now_us, spent)
                context = Context(True, self._weak, calling=calling)
                yield Request(action, actor, Resource("ExportTicket", chain, ticket=known), context)


def _told(leaf: Mapping[str, Any]) -> _Told:  # Any: as JSON gives it
    detail = leaf["detail"]
    rpc = str(leaf.get("rpc", "")).rpartition("/")[2]
    state = State(detail.get("from_state", State.DRAFT.value))
    return _Told(leaf, rpc, detail["judged_us"], detail["facts_sha256"], state)


def _approved(ticket: Ticket, told: _Told) -> Iterator[Ticket]:
    """Yield the ticket with the approvals that it had: one may be of the same microsecond."""
    before = [one for one in ticket.approvals if one.at_us < told.now_us]
    until = [one for one in ticket.approvals if one.at_us <= told.now_us]
    number = _UNNUMBERED if told.rpc == "DraftExport" else ticket.ticket_id
    for approvals in dict.fromkeys((tuple(until), tuple(before))):
        for state in dict.fromkeys((told.state, *(() if told.rpc else (State.APPROVED,)))):
            # What ends a building was judged before it began.
            yield replace(ticket, ticket_id=number, state=state, approvals=approvals)


def _variants(ticket: Ticket, told: _Told, known: policy.Ticket) -> Iterator[policy.Ticket]:
    """Yield the facts in each condition that the ticket may have been in."""
    flags = ("held", "certificates_good", "tunnel_active", "overdue")
    likely = [(getattr(known, name), not getattr(known, name)) for name in flags]
    # What somebody did since had not been done.
    done = {(known.recalled_by, known.unheld_by), ("", known.unheld_by), ("", "")}
    for people, counted, built, (recalled_by, unheld_by) in product(
        _people(known), _counted(ticket, told), _built(ticket, told), sorted(done, reverse=True)
    ):
        planned, needed = counted
        since = replace(people, recalled_by=recalled_by, unheld_by=unheld_by)
        so_far = replace(since, planned=planned, approvals_needed=needed, built=built)
        for values in product(*likely):
            yield replace(so_far, **dict(zip(flags, values, strict=True)))


def _people(known: policy.Ticket) -> list[policy.Ticket]:
    """Return who is in it as registered now, as if all were active, as if one were not."""
    standing = replace(
        known,
        requester=replace(known.requester, active=True),
        recipient=replace(known.recipient, active=True),
        approvals=tuple(
            replace(one, by=replace(one.by, active=True), plan_sha256=known.plan_sha256)
            for one in known.approvals
        ),
    )
    fallen = [
        replace(standing, requester=_fallen(standing.requester)),
        replace(standing, recipient=_fallen(standing.recipient)),
    ]
    for place, one in enumerate(standing.approvals):
        changed = (replace(one, by=_fallen(one.by)),)
        approvals = (*standing.approvals[:place], *changed, *standing.approvals[place + 1 :])
        fallen.append(replace(standing, approvals=approvals))
    return list(dict.fromkeys((known, standing, *fallen)))


def _fallen(party: policy.Party) -> policy.Party:
    return replace(party, active=False)


def _counted(ticket: Ticket, told: _Told) -> list[tuple[tuple[int, int] | None, int]]:
    """Return the counts that may have been known, each with the approvals needed."""
    counted = ticket.counted
    if told.state is not State.DRAFT and counted is not None:
        known = ((counted.rows, counted.children), (0, 0))
        return [(one, max(2, counted.needed)) for one in known]
    told_so = told.leaf.get("counts") or {}
    counts = [*_UNCOUNTED]
    if "rows" in told_so:
        counts.insert(0, (told_so["rows"], told_so["children"]))
    return [(one, 2) for one in counts]


def _built(ticket: Ticket, told: _Told) -> list[tuple[int, int] | None]:
    built = ticket.built
    made = None if built is None else (built.rows, built.children)
    return list(dict.fromkeys((made, None))) if told.state in _MADE else [None]


def _overspent(told: _Told, action: str) -> Iterator[frozenset[str] | None]:
    """Yield the budgets that may have been spent: of a release alone anybody counts them."""
    if action != "ReleaseExport":
        yield None
        return
    yield frozenset()
    if told.leaf.get("reason") == Reason.CHILD_BUDGET_SPENT.value:
        for many in range(1, len(_BUDGETS) + 1):
            yield from map(frozenset, combinations(_BUDGETS, many))
