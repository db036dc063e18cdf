"""The part of AdminService that tells how break-glass stands and what was done with it.

What was touched is told from the log, so that nothing is that did not happen, and nothing missing
that did; only the leaves of an opening's own session are, never another's.
"""
# ruff: noqa: N802 -- methods have the names of the contract's rpcs

from collections.abc import Mapping

from gateway.audit.search import PAGE_MAX, Filters, Found, search
from gateway.clock import Clock
from gateway.errors import Reason, refuse
from gateway.identity import breakglass
from gateway.identity import breakglass_rows as rows
from gateway.identity.breakglass_rows import Opening
from gateway.identity.rules import MINUTE_US, BreakGlassLimits
from gateway.services.call import Call
from gateway.services.times import timestamp
from gateway.store.database import Database, Transaction
from gateway.tlog import leaf
from gateway.v1 import admin_service_pb2 as pb

_SESSIONS = "SELECT encode(sid, 'hex') FROM gateway.session WHERE opening = %s"
_OPEN = "breakglass.open"
_TARGETS = (
    "target_organisation",
    "target_account",
    "target_subject_name",
    "target_serial",
    "target_tunnel",
)


class BreakGlassReport:
    """Serves the break-glass rpc of gateway.v1.AdminService."""

    def __init__(self, database: Database, limits: BreakGlassLimits, clock: Clock) -> None:
        """Read here."""
        self._database = database
        self._limits = limits
        self._clock = clock

    async def GetBreakGlass(
        self, call: Call, _request: pb.GetBreakGlassRequest
    ) -> pb.GetBreakGlassResponse:
        """Tell of the newest sealing; raises ROLE_NOT_ALLOWED outside the province."""
        organisation = call.caller.organisation
        async with self._database.transaction() as tx:
            if not await rows.is_province(tx, organisation):
                raise refuse(Reason.ROLE_NOT_ALLOWED)
            sealing = await rows.newest(tx, organisation)
            if sealing is None:
                return pb.GetBreakGlassResponse(state="never-sealed")
            found = await rows.openings(tx, sealing.id)
            now_us = self._clock.now_us()
            answer = pb.GetBreakGlassResponse(
                state=breakglass.standing(sealing, found, self._limits, now_us),
                seal_time=timestamp(sealing.sealed_us),
                officers=[
                    pb.GetBreakGlassResponse.Officer(name=name, registered=has)
                    for name, has in await rows.officers(tx, sealing.id)
                ],
                unspent_envelopes=await rows.unspent(tx, sealing.id),
                openings=[await self._opening(tx, organisation, one) for one in found],
            )
            drilled_us = await rows.last_drill_us(tx, organisation)
        if drilled_us is not None:
            answer.last_drill_time.CopyFrom(timestamp(drilled_us))
        return answer

    async def _opening(
        self, tx: Transaction, organisation: str, one: Opening
    ) -> pb.GetBreakGlassResponse.Opening:
        told = pb.GetBreakGlassResponse.Opening(
            opening_id=one.id,
            envelope=one.envelope,
            opener_name=one.name,
            reason=one.reason,
            ticket=one.ticket,
            drill=one.drill,
            ask_time=timestamp(one.asked_us),
            end_time=timestamp(one.until_us(self._limits)),
            confirmer_names=await rows.confirmed(tx, one.id),
        )
        if one.opened_us is not None:
            told.open_time.CopyFrom(timestamp(one.opened_us))
            told.acts.extend(await self._acts(tx, organisation, one, one.opened_us))
        if (index := await _reason_leaf(tx, one)) is not None:
            told.reason_leaf_index = index
        return told

    async def _acts(
        self, tx: Transaction, organisation: str, one: Opening, opened_us: int
    ) -> list[pb.GetBreakGlassResponse.Act]:
        """Return what the sessions of an opening did or were refused, oldest first.

        Refusals of a session that had ended a moment before are its too.
        """
        sessions = {row[0] for row in await tx.fetch(_SESSIONS, (one.id,))}
        until_us = one.until_us(self._limits) + MINUTE_US
        filters = Filters(from_us=opened_us, until_us=until_us, organisation=organisation)
        found = await _all(tx, filters)
        acts = [(each.index, leaf.parse(each.leaf)) for each in reversed(found)]
        return [_act(index, each) for index, each in acts if each.get("session") in sessions]


async def _reason_leaf(tx: Transaction, one: Opening) -> int | None:
    """Return the leaf that the reason stands beside, sealed; the first, where it was asked again.

    None for an opening that still has it in its row. Reading it is an act of its own.
    """
    asked = Filters(from_us=one.asked_us, kind=_OPEN, decision="allow", request_id=one.id)
    found = [] if one.reason else await _all(tx, asked)
    return found[-1].index if found else None


async def _all(tx: Transaction, filters: Filters) -> list[Found]:
    """Return everything that is found, newest first: the province's own calls of an hour."""
    found: list[Found] = []
    while True:
        page = await search(tx, filters, before=found[-1].index if found else None, limit=PAGE_MAX)
        found += page
        if len(page) < PAGE_MAX:
            return found


def _act(index: int, found: Mapping[str, object]) -> pb.GetBreakGlassResponse.Act:
    detail, time_us = found.get("detail"), found.get("time_us")
    about = detail if isinstance(detail, dict) else {}
    return pb.GetBreakGlassResponse.Act(
        time=timestamp(time_us if isinstance(time_us, int) else 0),
        leaf_index=index,
        kind=str(found.get("kind", "")),
        decision=str(found.get("decision", "")),
        reason=str(found.get("reason", "")),
        target=" ".join(str(about[word]) for word in _TARGETS if word in about),
    )
