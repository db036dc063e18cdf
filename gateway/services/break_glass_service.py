"""The identity door's service of break-glass: messages become values and back.

The work is `identity.breakglass`'s. Secrets stand in requests and answers only; what a leaf tells
is which opening, which envelope and how far it is.
"""
# ruff: noqa: N802 -- methods have the names of the contract's rpcs

import re

from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.errors import Reason, StaleError, refuse
from gateway.identity import breakglass, breakglass_secrets
from gateway.identity import breakglass_rows as rows
from gateway.identity.breakglass import OFFICERS, Why
from gateway.identity.breakglass_rows import Opening, Sealing
from gateway.identity.login import Desk
from gateway.names import SUBJECT_NAME
from gateway.services.call import Call, told
from gateway.services.current import Current
from gateway.services.requests import invalid, is_id, require_reason
from gateway.services.times import timestamp
from gateway.store.database import Transaction
from gateway.v1 import break_glass_service_pb2 as pb

TICKET = re.compile(r"[A-Z]{1,10}-[0-9]{1,8}", re.ASCII)


class BreakGlassService:
    """Serves gateway.v1.BreakGlassService."""

    def __init__(self, desk: Desk, current: Current) -> None:
        """Work at this desk."""
        self._desk = desk
        self._current = current

    async def SealBreakGlass(
        self, call: Call, request: pb.SealBreakGlassRequest
    ) -> pb.SealBreakGlassResponse:
        """Make two credentials and name the three officers; raises as `breakglass.seal`."""
        self._current.require_province()
        officers = sorted(set(request.officer_names))
        fit = all(SUBJECT_NAME.fullmatch(name) for name in officers)
        if len(officers) != OFFICERS or not fit:
            raise invalid("officer_names", "OFFICERS", "Three officers.", "须为三名人员。")
        found = await breakglass_secrets.credentials(self._desk)
        who, now_us = call.caller, self._desk.clock.now_us()
        made = Sealing(call.request_id, who.organisation, who.subject.name, now_us, None)
        call.note(detail={"officers": ".".join(officers), "opening": call.request_id})
        await call.effect(lambda tx: breakglass.seal(self._desk, tx, made, found, officers))
        await self._current.renew()
        return pb.SealBreakGlassResponse(sealed_texts=found.texts)

    async def RegisterBreakGlassCode(
        self, call: Call, _request: pb.RegisterBreakGlassCodeRequest
    ) -> pb.RegisterBreakGlassCodeResponse:
        """Make the caller's own code; raises as `breakglass.register_code`."""
        self._current.require_province()
        code = await self._desk.passwords.one_time()
        who, now_us = call.caller.subject, self._desk.clock.now_us()
        count = await call.effect(
            lambda tx: breakglass.register_code(tx, who, code.hash, now_us),
            lambda count, event: told(event, counts={"confirmations": count}),
        )
        return pb.RegisterBreakGlassCodeResponse(code=code.text, registered_count=count)

    async def OpenBreakGlass(
        self, call: Call, request: pb.OpenBreakGlassRequest
    ) -> pb.OpenBreakGlassResponse:
        """Spend an envelope; raises as `breakglass_secrets.show` and `breakglass.ask`."""
        self._current.require_province()
        if request.drill:
            call.note(detail={"alert": breakglass.DRILL_ALERT})
        require_reason(request.reason)
        if not TICKET.fullmatch(request.ticket):
            raise invalid("ticket", "TICKET", "Of the form AB-123.", "格式应为 AB-123。")
        shown = await breakglass_secrets.show(self._desk, call.link, request.sealed_credential)
        call.note(detail={"envelope": shown.envelope, "ticket": request.ticket})
        why = Why(request.ticket, request.drill)
        found = await call.effect(
            lambda tx: breakglass.ask(self._desk, tx, call.link, shown, call.request_id, why),
            lambda found, event: _told(found, event, "waiting"),
        )
        until_us = found.until_us(self._desk.rules.break_glass)
        return pb.OpenBreakGlassResponse(
            opening_id=found.id, confirm_until_time=timestamp(until_us)
        )

    async def ConfirmBreakGlass(
        self, call: Call, request: pb.ConfirmBreakGlassRequest
    ) -> pb.ConfirmBreakGlassResponse:
        """Note a confirmation; raises as `breakglass_secrets.prove_code`, `breakglass.confirm`."""
        self._current.require_province()
        id_ = _opening(call, request.opening_id)
        found = await breakglass_secrets.prove_code(self._desk, call.link, id_, request.secret_code)
        _mark(call, found)
        done = await call.effect(
            lambda tx: breakglass.confirm(self._desk, tx, call.link, found),
            lambda done, event: told(
                _told(done.opening, event, _stage(done.opening)),
                counts={"confirmations": done.count},
            ),
        )
        now = done.opening
        answer = pb.ConfirmBreakGlassResponse(
            opener_name=now.name, ticket=now.ticket, drill=now.drill, confirmed_count=done.count
        )
        if now.opened_us is not None:
            until_us = now.until_us(self._desk.rules.break_glass)
            answer.open_until_time.CopyFrom(timestamp(until_us))
        return answer

    async def EnterBreakGlass(
        self, call: Call, request: pb.EnterBreakGlassRequest
    ) -> pb.EnterBreakGlassResponse:
        """Open the session of who opened; raises as `breakglass.enter`."""
        self._current.require_province()
        id_ = _opening(call, request.opening_id)
        async with self._desk.database.transaction() as tx:
            known = await rows.opening(tx, id_)
        if known is not None:
            _mark(call, known)
        found, grant = await call.effect(
            lambda tx: breakglass.enter(self._desk, tx, call.link, id_),
            lambda made, event: _told(made[0], event, "open").with_(
                account=made[1].account.name, session=made[1].session.hex()
            ),
        )
        until_us = found.until_us(self._desk.rules.break_glass)
        return pb.EnterBreakGlassResponse(
            access_token=grant.token,
            expire_time=timestamp(grant.expires_us),
            open_until_time=timestamp(until_us),
            drill=found.drill,
        )

    async def CloseBreakGlass(
        self, call: Call, request: pb.CloseBreakGlassRequest
    ) -> pb.CloseBreakGlassResponse:
        """End an opening; raises as `breakglass.close`."""
        id_ = _opening(call, request.opening_id)
        found = await call.effect(
            lambda tx: breakglass.close(self._desk, tx, call.caller.organisation, id_),
            lambda found, event: _told(found, event, "over"),
        )
        await self._current.renew()
        return pb.CloseBreakGlassResponse(sealing_void=found.opened_us is not None)


class RunningOut:
    """The duty of the identity door: what is over by the clock is said to be, with a leaf."""

    def __init__(self, desk: Desk, recorder: Recorder) -> None:
        """Look at this desk's openings and tell this log."""
        self._desk = desk
        self._recorder = recorder

    async def look(self, base: Event) -> int:
        """End what is over; return how much that was. Raises StoreError, what the recorder raises.

        Nobody waits for it: every step asks the clock itself.
        """
        limits, now_us = self._desk.rules.break_glass, self._desk.clock.now_us()
        async with self._desk.database.transaction() as tx:
            found = await rows.unended(tx)
        over = [one for one in found if one.stage(limits, now_us) == "over"]
        done = 0
        for one in over:
            try:
                await self._end(one, base)
            except StaleError:  # somebody closed it, or sealed anew, a moment before
                continue
            done += 1
        return done

    async def _end(self, one: Opening, base: Event) -> None:
        """End a session that ran out, or an opening that nobody confirmed in time."""
        kind = "breakglass.lapsed" if one.opened_us is None else "breakglass.expired"
        event = _told(one, base.with_(kind=kind), "over")

        async def work(tx: Transaction) -> Event:
            limits, now_us = self._desk.rules.break_glass, self._desk.clock.now_us()
            if not await breakglass.run_out(tx, one, limits, now_us):
                raise refuse(Reason.REVISION_STALE)
            return event

        await self._recorder.append(event, work)


def _opening(call: Call, given: str) -> str:
    if not is_id(given):
        raise invalid("opening_id", "REQUEST-ID", "A UUID in lower case.", "须为小写 UUID。")
    call.note(detail={"opening": given})
    return given


def _alert(found: Opening) -> str:
    return breakglass.DRILL_ALERT if found.drill else breakglass.ALERT


def _mark(call: Call, found: Opening) -> None:
    call.note(detail={"alert": _alert(found)})


def _stage(found: Opening) -> str:
    return "waiting" if found.opened_us is None else "open"


def _told(found: Opening, event: Event, state: str) -> Event:
    detail = {"alert": _alert(found), "opening": found.id, "state": state}
    return told(event, detail={**detail, "ticket": found.ticket, "envelope": found.envelope})
