"""The part of AdminService that invites to enrol; it hands out codes and never sees a key."""
# ruff: noqa: N802 -- methods have the names of the contract's rpcs

import hashlib
import re

from cryptography.hazmat.primitives.serialization import Encoding

from gateway.audit.event import Event
from gateway.clock import Clock
from gateway.config.home import Home
from gateway.config.policies import EnrolmentRules
from gateway.errors import Reason, refuse
from gateway.pki import authorities, confirmation, enrol, invitation
from gateway.pki.confirmation import Confirmation
from gateway.pki.invitation import Invitation, Officer, Terms, Wanted
from gateway.pki.proof import Proofs
from gateway.services import certificates, pages, requests
from gateway.services.call import Call, told
from gateway.services.current import Current
from gateway.services.pages import Pages
from gateway.services.permits import Permits, part_of_register
from gateway.services.repeats import is_repeat
from gateway.services.requests import invalid
from gateway.services.times import timestamp
from gateway.store.database import Database, Transaction
from gateway.v1 import admin_service_pb2 as pb

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class InvitationService:
    """Serves the invitations' rpcs of gateway.v1.AdminService."""

    def __init__(
        self,
        home: Home,
        database: Database,
        current: Current,
        permits: Permits,
        pages: Pages,
        rules: EnrolmentRules,
        clock: Clock,
    ) -> None:
        """Invite under these rules; the root's certificate is the pin of every invitation.

        Raises SettingsError.
        """
        self._home = home
        self._database = database
        self._current = current
        self._permits = permits
        self._pages = pages
        self._terms = Terms(rules, Proofs.load(home, "administration"))
        self._clock = clock

    async def InviteCertificate(
        self, call: Call, request: pb.InviteCertificateRequest
    ) -> pb.InviteCertificateResponse:
        """Invite a registered bearer; the same request again answers with a fresh code.

        An officer's key is confirmed by a second officer, whatever was asked.
        Raises FIELD_INVALID, NOT_FOUND, ORGANISATION_SUSPENDED, SYSTEM_SUSPENDED; ALREADY_EXISTS
        once the code was used.
        """
        holder = certificates.bearer(
            request.organisation_code, request.system_name, officer=request.officer
        )
        purpose = certificates.purpose(request.purpose)
        call.note(detail={"purpose": certificates.PURPOSE_WORDS[purpose]})
        wanted = Wanted(call.request_id, holder, purpose, request.needs_approval, _officer(call))
        code = invitation.new_code()

        async def work(tx: Transaction) -> Invitation:
            now_us = self._clock.now_us()
            if await is_repeat(tx, call):
                return await invitation.recode(tx, wanted, code, self._terms, now_us)
            return await invitation.invite(tx, wanted, code, self._terms, now_us)

        made = await call.effect(work, _target)
        return pb.InviteCertificateResponse(
            invitation_id=made.id,
            code=code,
            expire_time=timestamp(made.expires_us),
            root_sha256=_pin(self._home),
        )

    async def ApproveEnrolment(
        self, call: Call, request: pb.ApproveEnrolmentRequest
    ) -> pb.ApproveEnrolmentResponse:
        """Confirm the key that was shown, as a second officer: another person than who invited.

        Raises NOT_FOUND, SECOND_OFFICER_NEEDED, FIELD_INVALID for another fingerprint,
        ALREADY_EXISTS where another officer confirmed it.
        """
        shown = await self._permit(call, request.invitation_id)
        if not invitation.proven(shown, self._terms.proofs):
            call.note(detail={"alert": enrol.ALERT_TAMPERED})
            raise refuse(Reason.NOT_FOUND)
        if _SHA256.fullmatch(request.spki_sha256) is None:
            raise invalid(
                "spki_sha256", "SHA-256", "64 hex digits, lower case.", "64 位小写十六进制。"
            )
        spki = bytes.fromhex(request.spki_sha256)
        call.note(detail={"spki_sha256": request.spki_sha256})

        wanted = Confirmation(request.invitation_id, spki, _officer(call))

        async def work(tx: Transaction) -> Invitation:
            await is_repeat(tx, call)
            return await confirmation.confirm(tx, wanted, self._terms.proofs, self._clock.now_us())

        found = await call.effect(work, _target)
        return pb.ApproveEnrolmentResponse(invitation=self._message(found))

    async def CancelInvitation(
        self, call: Call, request: pb.CancelInvitationRequest
    ) -> pb.CancelInvitationResponse:
        """Make an invitation void; raises NOT_FOUND, REVISION_STALE once its certificate exists."""
        await self._permit(call, request.invitation_id)

        async def work(tx: Transaction) -> Invitation:
            await is_repeat(tx, call)
            return await invitation.cancel(tx, request.invitation_id)

        found = await call.effect(work, _target)
        return pb.CancelInvitationResponse(invitation=self._message(found))

    async def ListInvitations(
        self, call: Call, request: pb.ListInvitationsRequest
    ) -> pb.ListInvitationsResponse:
        """List invitations, newest first: the named organisation's, or all within reach."""
        size = pages.size(request)
        registry, top = await self._current.registry(), call.caller.organisation
        created_us, last_id = self._pages.position(call, request) or pages.NEWEST
        async with self._database.transaction() as tx:
            found = await pages.gather(
                lambda at, count: invitation.page(tx, request.organisation_code, at, count),
                lambda one: (one.created_us, one.id),
                lambda one: registry.is_at_or_below(one.bearer.organisation, top),
                (int(created_us), str(last_id)),
                size + 1,
            )
        shown = found[:size]
        call.note(counts={"invitations": len(shown)})
        last = (shown[-1].created_us, shown[-1].id) if len(found) > size else None
        return pb.ListInvitationsResponse(
            invitations=map(self._message, shown),
            next_page_token="" if last is None else self._pages.seal(call, request, last),
        )

    async def _permit(self, call: Call, invitation_id: str) -> Invitation:
        """Ask the policy about the organisation that an invitation is of, and return it.

        An unknown one stands in the province: who governs all may learn that there is none.
        """
        if not requests.is_id(invitation_id):
            raise invalid("invitation_id", "REQUEST-ID", "A UUID in lower case.", "须为小写 UUID。")
        async with self._database.transaction() as tx:
            found = await invitation.find(tx, invitation_id)
        registry = await self._current.registry()
        organisation = "" if found is None else found.bearer.organisation
        self._permits.require(call, [part_of_register(organisation, registry)], registry)
        if found is None:
            raise refuse(Reason.NOT_FOUND)
        return found

    def _message(self, found: Invitation) -> pb.Invitation:
        return certificates.invited(found, self._clock.now_us())


def _officer(call: Call) -> Officer:
    """Return the person who calls; a system is none, whatever roles its rows give it."""
    caller = call.caller
    if caller.subject.kind != "officer":
        raise refuse(Reason.SECOND_OFFICER_NEEDED)
    return Officer(caller.organisation, caller.account, caller.subject.name)


def _target(found: Invitation, event: Event) -> Event:
    words = {"invitation": found.id, **certificates.target(found.bearer)}
    return told(event, detail=words)


def _pin(home: Home) -> str:
    """Return the SHA-256 of the root above the front, hex: read anew, for it may be followed."""
    shown = authorities.read(home.server_certificate)
    root = authorities.shown_root(authorities.roots(home), shown)
    return hashlib.sha256(root.public_bytes(Encoding.DER)).hexdigest()
