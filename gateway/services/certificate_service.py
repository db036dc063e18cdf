"""The part of AdminService that revokes certificates and lists them."""
# ruff: noqa: N802 -- methods have the names of the contract's rpcs

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.audit.event import Event
from gateway.clock import Clock
from gateway.config.home import Home
from gateway.config.policies import WarningRules
from gateway.names import ORGANISATION_CODE
from gateway.pki import publish, register, renewal, revoke
from gateway.pki.register import Row
from gateway.pki.revoke import Revoked, Target
from gateway.registry.snapshot import Registry
from gateway.services import certificates, pages, repeats
from gateway.services.call import Call, told
from gateway.services.current import Current
from gateway.services.pages import Pages
from gateway.services.permits import Permits, part_of_register
from gateway.services.requests import invalid, require_reason
from gateway.store.database import Database, Transaction
from gateway.v1 import admin_service_pb2 as pb

# Connections are cut within a second; the list follows, or by itself after that.
LIST_PATIENCE_S = 2.0
_Cause = pb.RevokeCertificatesRequest
_CAUSES: Mapping[pb.RevokeCertificatesRequest.Cause.ValueType, str] = MappingProxyType(
    {
        _Cause.CAUSE_KEY_COMPROMISE: "key-compromise",
        _Cause.CAUSE_AFFILIATION_CHANGED: "affiliation-changed",
        _Cause.CAUSE_SUPERSEDED: "superseded",
        _Cause.CAUSE_CESSATION: "cessation",
        _Cause.CAUSE_PRIVILEGE_WITHDRAWN: "privilege-withdrawn",
    }
)
_SERIAL = re.compile(r"[0-9a-f]{1,40}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _About:
    """What a request wants revoked, in whose part of the register it stands ("": all), if anywhere.

    What is not `known` may be anything, a person's number too: no leaf tells of it.
    """

    target: Target
    organisation: str
    known: bool


class CertificateService:
    """Serves RevokeCertificates and ListCertificates of gateway.v1.AdminService."""

    def __init__(
        self,
        home: Home,
        database: Database,
        current: Current,
        permits: Permits,
        pages: Pages,
        warnings: WarningRules,
        clock: Clock,
    ) -> None:
        """Work on this HOME's register; `warnings` are the steps of the expiry ladder."""
        self._home = home
        self._database = database
        self._current = current
        self._permits = permits
        self._pages = pages
        self._warnings = warnings
        self._clock = clock

    async def RevokeCertificates(
        self, call: Call, request: pb.RevokeCertificatesRequest
    ) -> pb.RevokeCertificatesResponse:
        """Revoke a certificate, or all of a bearer, an organisation, an authority.

        Answers once the list names them, or after LIST_PATIENCE_S. The same request again revokes
        nothing more and answers with the first's count. Raises FIELD_INVALID, NOT_FOUND,
        ALREADY_EXISTS for a certificate that is revoked already.
        """
        require_reason(request.reason)
        cause = _CAUSES.get(request.cause)
        if cause is None:
            raise invalid("cause", "CAUSE", "A cause of the contract.", "须为接口约定的原因。")
        registry = await self._current.registry()
        about = await self._about(request, registry)
        call.note(detail={"cause": cause, **(about.target.told if about.known else {})})
        self._permits.require(call, [part_of_register(about.organisation, registry)], registry)
        first: list[int] = []

        async def work(tx: Transaction) -> Revoked:
            earlier = await repeats.earlier(tx, call)
            first[:] = [] if earlier is None else [repeats.count(earlier, "certificates")]
            if earlier is not None:
                return Revoked(0, 0, await publish.epoch(tx))
            return await revoke.revoke_all(tx, about.target, cause, self._clock.now_us())

        done = await call.effect(work, _counts)
        await self._current.renew()
        number = await publish.reached(self._home, done.epoch, LIST_PATIENCE_S)
        return pb.RevokeCertificatesResponse(
            revoked_count=first[0] if first else done.certificates, crl_number=number
        )

    async def ListCertificates(
        self, call: Call, request: pb.ListCertificatesRequest
    ) -> pb.ListCertificatesResponse:
        """List certificates, newest first: the named organisation's, or all within reach."""
        size = pages.size(request)
        registry, top = await self._current.registry(), call.caller.organisation
        issued_us, last_serial = self._pages.position(call, request) or pages.NEWEST
        in_force_us = self._clock.now_us() if request.in_force else None
        of = request.organisation_code
        async with self._database.transaction() as tx:
            found = await pages.gather(
                lambda place, count: register.page(tx, of, place, count, in_force_us),
                lambda row: (row.not_before_us, row.serial),
                lambda row: registry.is_at_or_below(row.organisation, top),
                (int(issued_us), str(last_serial)),
                size + 1,
            )
        shown = found[:size]
        call.note(counts={"certificates": len(shown)})
        last = (shown[-1].not_before_us, shown[-1].serial) if len(found) > size else None
        return pb.ListCertificatesResponse(
            certificates=map(self._message, shown),
            next_page_token="" if last is None else self._pages.seal(call, request, last),
        )

    async def _about(self, request: pb.RevokeCertificatesRequest, registry: Registry) -> _About:
        """Return what a request is about; raises FIELD_INVALID, NOT_FOUND for an authority."""
        which = request.WhichOneof("target")
        if which == "serial" and _SERIAL.fullmatch(request.serial):
            async with self._database.transaction() as tx:
                row = await register.read(tx, request.serial)
            # An unknown one stands in the province: who governs all may learn that there is none.
            organisation = "" if row is None else row.organisation
            return _About(Target.of_serial(request.serial), organisation, row is not None)
        if which == "bearer" and ORGANISATION_CODE.fullmatch(request.bearer.organisation_code):
            named = request.bearer
            holder = certificates.bearer(
                named.organisation_code, named.system_name, officer=named.officer
            )
            known = (holder.organisation, holder.kind, holder.name) in registry.systems
            return _About(Target.of_bearer(holder), holder.organisation, known)
        if which == "organisation_code" and ORGANISATION_CODE.fullmatch(request.organisation_code):
            code = request.organisation_code
            return _About(Target.of_organisation(code), code, code in registry.organisations)
        if which == "authority_spki_sha256" and _SHA256.fullmatch(request.authority_spki_sha256):
            digest = bytes.fromhex(request.authority_spki_sha256)
            return _About(revoke.authority_target(self._home, digest), "", known=True)
        raise invalid("target", "TARGET", "One target, well formed.", "须指定一个格式正确的对象。")

    def _message(self, row: Row) -> pb.RegisteredCertificate:
        now_us = self._clock.now_us()
        bounds = (row.not_before_us, row.not_after_us)
        step = renewal.warning_days(*bounds, now_us, self._warnings)
        return certificates.registered(row, now_us, step)


def _counts(done: Revoked, event: Event) -> Event:
    counts = {"certificates": done.certificates, "invitations": done.invitations}
    return told(event, counts=counts)
