"""The part of AdminService that keeps the register: organisations, systems, units.

The rules are `registry`'s.
"""
# ruff: noqa: N802 -- methods have the names of the contract's rpcs

from collections.abc import Container
from typing import Literal

from gateway.audit.event import Event
from gateway.clock import Clock
from gateway.names import Subject
from gateway.registry import organisations, systems, units
from gateway.registry.organisations import Organisation
from gateway.registry.systems import System
from gateway.registry.units import Unit
from gateway.services import pages, times
from gateway.services.call import Call, told
from gateway.services.current import Current
from gateway.services.pages import Pages
from gateway.services.repeats import is_repeat
from gateway.services.requests import require_impersonal, require_reason
from gateway.store.database import Transaction
from gateway.v1 import admin_service_pb2 as pb
from gateway.v1 import types_pb2


class RegisterService:
    """Serves the register's rpcs of gateway.v1.AdminService."""

    def __init__(
        self,
        current: Current,
        pages: Pages,
        divisions: Container[str],
        trust_domain: str,
        clock: Clock,
    ) -> None:
        """Write for a province with these six-digit division codes."""
        self._current = current
        self._pages = pages
        self._divisions = divisions
        self._trust_domain = trust_domain
        self._clock = clock

    async def CreateOrganisation(
        self, call: Call, request: pb.CreateOrganisationRequest
    ) -> pb.CreateOrganisationResponse:
        """Register an organisation; raises FIELD_INVALID, ALREADY_EXISTS."""
        given = request.organisation
        wanted = Organisation(
            given.organisation_code, given.name, given.kind, given.parent_organisation_code or None
        )

        async def work(tx: Transaction) -> Organisation:
            await is_repeat(tx, call)
            return await organisations.create(tx, wanted, self._divisions, self._clock.now_us())

        made = await call.effect(work, _organisation_target)
        await self._current.renew()
        return pb.CreateOrganisationResponse(organisation=_organisation(made))

    async def ListOrganisations(
        self, call: Call, request: pb.ListOrganisationsRequest
    ) -> pb.ListOrganisationsResponse:
        """List the caller's organisation and those below it, by code."""
        size = pages.size(request)
        [after] = self._pages.position(call, request) or [""]
        registry = await self._current.registry()
        top = call.caller.organisation
        below = [
            one
            for code, one in sorted(registry.organisations.items())
            if code > str(after) and registry.is_at_or_below(code, top)
        ]
        shown = below[:size]
        call.note(counts={"organisations": len(shown)})
        more = len(below) > size
        return pb.ListOrganisationsResponse(
            organisations=map(_organisation, shown),
            next_page_token=self._pages.seal(call, request, [shown[-1].code]) if more else "",
        )

    async def SetOrganisationState(
        self, call: Call, request: pb.SetOrganisationStateRequest
    ) -> pb.SetOrganisationStateResponse:
        """Suspend an organisation or let it in again; raises NOT_FOUND, FIELD_INVALID."""
        require_reason(request.reason)

        async def work(tx: Transaction) -> Organisation:
            await is_repeat(tx, call)
            found, _ = await organisations.set_state(tx, request.organisation_code, request.state)
            return found

        found = await call.effect(work, _organisation_state)
        await self._current.renew()
        return pb.SetOrganisationStateResponse(organisation=_organisation(found))

    async def CreateSystem(
        self, call: Call, request: pb.CreateSystemRequest
    ) -> pb.CreateSystemResponse:
        """Register the bearer of a certificate; raises FIELD_INVALID."""
        require_impersonal(request.system_name, "system_name")
        kind: Literal["officer", "sys"] = "officer" if request.officer else "sys"
        wanted = System(request.organisation_code, kind, request.system_name)

        async def work(tx: Transaction) -> System:
            await is_repeat(tx, call)
            return await systems.create(tx, wanted, self._clock.now_us())

        made = await call.effect(work, _system_target)
        await self._current.renew()
        subject = Subject(self._trust_domain, made.organisation, made.kind, made.name)
        return pb.CreateSystemResponse(spiffe_id=str(subject))

    async def RegisterUnits(
        self, call: Call, request: pb.RegisterUnitsRequest
    ) -> pb.RegisterUnitsResponse:
        """Register units or change them, all or none; raises FIELD_INVALID."""
        wanted = [_unit(given, f"units[{index}].") for index, given in enumerate(request.units)]

        async def work(tx: Transaction) -> int:
            await is_repeat(tx, call)
            return len(await units.register(tx, wanted, self._divisions))

        count = await call.effect(work, lambda n, event: told(event, counts={"units": n}))
        await self._current.renew()
        return pb.RegisterUnitsResponse(registered_count=count)

    async def ListUnits(self, call: Call, request: pb.ListUnitsRequest) -> pb.ListUnitsResponse:
        """List the units of an organisation and those below it, by code.

        Of the caller's own when none is named.
        """
        size = pages.size(request)
        [after] = self._pages.position(call, request) or [""]
        registry = await self._current.registry()
        top = request.organisation_code or call.caller.organisation
        found = sorted(registry.units_of(top), key=lambda unit: unit.unit_code)
        rest = [unit for unit in found if unit.unit_code > str(after)]
        shown = rest[:size]
        call.note(counts={"units": len(shown)})
        more = len(rest) > size
        return pb.ListUnitsResponse(
            units=map(_unit_message, shown),
            next_page_token=self._pages.seal(call, request, [shown[-1].unit_code]) if more else "",
        )


def _organisation(found: Organisation) -> pb.Organisation:
    return pb.Organisation(
        organisation_code=found.code,
        name=found.name,
        kind=pb.Organisation.Kind.ValueType(found.kind),
        parent_organisation_code=found.parent or "",
        state=pb.Organisation.State.ValueType(found.state),
    )


def _organisation_target(found: Organisation, event: Event) -> Event:
    return told(event, detail={"target_organisation": found.code})


def _organisation_state(found: Organisation, event: Event) -> Event:
    state = "active" if found.active else "suspended"
    return told(event, detail={"target_organisation": found.code, "state": state})


def _system_target(found: System, event: Event) -> Event:
    target = {
        "target_organisation": found.organisation,
        "target_subject_kind": found.kind,
        "target_subject_name": found.name,
    }
    return told(event, detail=target)


def _unit(given: types_pb2.Unit, path: str) -> Unit:
    until = given.active_until_date if given.HasField("active_until_date") else None
    return Unit(
        unit_code=given.unit_code,
        organisation=given.organisation_code,
        parent=given.parent_unit_code or None,
        division=given.division_code,
        level=given.level,
        name=given.name,
        credit_code=given.credit_code or None,
        active_from=times.day(given.active_from_date, path + "active_from_date"),
        active_until=None if until is None else times.day(until, path + "active_until_date"),
    )


def _unit_message(unit: Unit) -> types_pb2.Unit:
    message = types_pb2.Unit(
        unit_code=unit.unit_code,
        name=unit.name,
        division_code=unit.division,
        level=types_pb2.Unit.Level.ValueType(unit.level),
        parent_unit_code=unit.parent or "",
        organisation_code=unit.organisation,
        active_from_date=times.message(unit.active_from),
        credit_code=unit.credit_code or "",
    )
    if unit.active_until is not None:
        message.active_until_date.CopyFrom(times.message(unit.active_until))
    return message
