"""A small gateway in a thread, with an administration that remembers what it was told; and `cli`, which runs one command."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from google.protobuf.message import Message

from gateway.cli.main import application, run
from gateway.errors import Reason, refuse
from gateway.v1 import admin_service_pb2 as ad
from gateway.v1 import types_pb2 as t
from gateway.v1 import upload_service_pb2 as up
from tests.client.renewing_gateway import RenewingGateway, stamp

_ADMIN = "/gateway.v1.AdminService/"
CODE = "0123456789ABCDEFGHJKMNPQRS"
ONE_TIME = "abcde-fghij-klmno"
_MODULES = dict.fromkeys(("logout", "passwd", "whoami"), "login") | {"break-glass": "breakglass"}


@dataclass
class SmallAdmin(RenewingGateway):
    """Also: organisations, systems, units, accounts; certificates, invitations, tunnels; and a list of what was quarantined."""

    organisations: dict[str, ad.Organisation] = field(default_factory=dict)
    systems: list[str] = field(default_factory=list)
    units: dict[str, t.Unit] = field(default_factory=dict)
    accounts: dict[str, ad.Account] = field(default_factory=dict)
    certificates: list[ad.RegisteredCertificate] = field(default_factory=list)
    invitations: dict[str, ad.Invitation] = field(default_factory=dict)
    revocations: list[ad.RevokeCertificatesRequest] = field(default_factory=list)
    tunnels: dict[str, ad.Tunnel] = field(default_factory=dict)
    relations: list[ad.SetRelationRequest] = field(default_factory=list)
    quarantined: list[up.QuarantinedItem] = field(default_factory=list)

    def methods(self) -> dict[str, tuple[Callable[..., Message], type[Message]]]:
        return {
            **super().methods(),
            f"{_ADMIN}CreateOrganisation": (self.create, ad.CreateOrganisationRequest),
            f"{_ADMIN}ListOrganisations": (self.list_organisations, ad.ListOrganisationsRequest),
            f"{_ADMIN}SetOrganisationState": (self.set_state, ad.SetOrganisationStateRequest),
            f"{_ADMIN}CreateSystem": (self.create_system, ad.CreateSystemRequest),
            f"{_ADMIN}RegisterUnits": (self.register_units, ad.RegisterUnitsRequest),
            f"{_ADMIN}ListUnits": (self.list_units, ad.ListUnitsRequest),
            f"{_ADMIN}CreateAccount": (self.create_account, ad.CreateAccountRequest),
            f"{_ADMIN}ResetPassword": (self.reset, ad.ResetPasswordRequest),
            f"{_ADMIN}SetAccountRoles": (self.set_roles, ad.SetAccountRolesRequest),
            f"{_ADMIN}SetAccountState": (self.set_account_state, ad.SetAccountStateRequest),
            f"{_ADMIN}UnlockAccount": (self.unlock, ad.UnlockAccountRequest),
            f"{_ADMIN}ListAccounts": (self.list_accounts, ad.ListAccountsRequest),
            f"{_ADMIN}InviteCertificate": (self.invite, ad.InviteCertificateRequest),
            f"{_ADMIN}ApproveEnrolment": (self.approve, ad.ApproveEnrolmentRequest),
            f"{_ADMIN}CancelInvitation": (self.cancel, ad.CancelInvitationRequest),
            f"{_ADMIN}ListInvitations": (self.list_invitations, ad.ListInvitationsRequest),
            f"{_ADMIN}ListCertificates": (self.list_certificates, ad.ListCertificatesRequest),
            f"{_ADMIN}AddTunnel": (self.add_tunnel, ad.AddTunnelRequest),
            f"{_ADMIN}ListTunnels": (self.list_tunnels, ad.ListTunnelsRequest),
            f"{_ADMIN}SetTunnelState": (self.set_tunnel, ad.SetTunnelStateRequest),
            f"{_ADMIN}SetRelation": (self.relate, ad.SetRelationRequest),
            f"{_ADMIN}RevokeCertificates": (self.revoke, ad.RevokeCertificatesRequest),
            "/gateway.v1.UploadService/ListQuarantine": (
                self.list_quarantine,
                up.ListQuarantineRequest,
            ),
        }

    def create(self, request, token):
        self._check(token)
        code = request.organisation.organisation_code
        if code in self.organisations:
            raise refuse(Reason.ALREADY_EXISTS)
        self.organisations[code] = request.organisation
        self.organisations[code].state = ad.Organisation.STATE_ACTIVE
        return ad.CreateOrganisationResponse(organisation=self.organisations[code])

    def list_organisations(self, request, token):
        """Two to a page, so that the pages are asked for."""
        self._check(token)
        codes = sorted(self.organisations)
        start = int(request.page_token or 0)
        rest = str(start + 2) if start + 2 < len(codes) else ""
        page = [self.organisations[code] for code in codes[start : start + 2]]
        return ad.ListOrganisationsResponse(organisations=page, next_page_token=rest)

    def set_state(self, request, token):
        self._check(token)
        organisation = self.organisations[request.organisation_code]
        organisation.state = request.state
        return ad.SetOrganisationStateResponse(organisation=organisation)

    def create_system(self, request, token):
        self._check(token)
        kind = "officer" if request.officer else "sys"
        self.systems.append(
            f"spiffe://gateway.test/org/{request.organisation_code}/{kind}/{request.system_name}"
        )
        return ad.CreateSystemResponse(spiffe_id=self.systems[-1])

    def register_units(self, request, token):
        self._check(token)
        self.units.update({unit.unit_code: unit for unit in request.units})
        return ad.RegisterUnitsResponse(registered_count=len(request.units))

    def list_units(self, request, token):
        self._check(token)
        wanted = request.organisation_code
        return ad.ListUnitsResponse(
            units=[u for u in self.units.values() if wanted in ("", u.organisation_code)]
        )

    def create_account(self, request, token):
        self._check(token)
        self.accounts[request.account_name] = ad.Account(
            organisation_code=request.organisation_code,
            account_name=request.account_name,
            roles=request.roles,
            system_name=request.system_name,
            must_change=True,
            state=ad.Account.STATE_ACTIVE,
        )
        return ad.CreateAccountResponse(one_time_password=ONE_TIME)

    def reset(self, request, token):
        self._check(token)
        if request.account_name not in self.accounts:
            raise refuse(Reason.NOT_FOUND)
        return ad.ResetPasswordResponse(one_time_password=ONE_TIME)

    def _account(self, request, token):
        self._check(token)
        if request.account_name not in self.accounts:
            raise refuse(Reason.NOT_FOUND)
        return self.accounts[request.account_name]

    def set_roles(self, request, token):
        found = self._account(request, token)
        found.roles[:] = request.roles
        return ad.SetAccountRolesResponse(account=found)

    def set_account_state(self, request, token):
        found = self._account(request, token)
        found.state = request.state
        return ad.SetAccountStateResponse(account=found)

    def unlock(self, request, token):
        self._account(request, token).locked = False
        return ad.UnlockAccountResponse()

    def list_accounts(self, _request, token):
        self._check(token)
        return ad.ListAccountsResponse(accounts=self.accounts.values())

    def invite(self, request, token):
        self._check(token)
        self.invitations[request.request_id] = ad.Invitation(
            invitation_id=request.request_id,
            organisation_code=request.organisation_code,
            system_name=request.system_name,
            officer=request.officer,
            purpose=request.purpose,
            state=ad.Invitation.STATE_REQUESTED if request.needs_approval else ad.Invitation.STATE_INVITED,
            spki_sha256="ab" * 32 if request.needs_approval else "",
            expire_time=stamp(self.clock.now_us()),
        )  # fmt: skip
        return ad.InviteCertificateResponse(
            invitation_id=request.request_id,
            code=CODE,
            root_sha256="cd" * 32,
            expire_time=stamp(self.clock.now_us()),
        )

    def approve(self, request, token):
        self._check(token)
        found = self.invitations.get(request.invitation_id)
        if found is None:
            raise refuse(Reason.NOT_FOUND)
        if found.spki_sha256 != request.spki_sha256:
            raise refuse(Reason.FIELD_INVALID)
        found.state = ad.Invitation.STATE_APPROVED
        return ad.ApproveEnrolmentResponse(invitation=found)

    def cancel(self, request, token):
        self._check(token)
        found = self.invitations[request.invitation_id]
        found.state = ad.Invitation.STATE_CANCELLED
        return ad.CancelInvitationResponse(invitation=found)

    def list_invitations(self, _request, token):
        self._check(token)
        return ad.ListInvitationsResponse(invitations=self.invitations.values())

    def list_certificates(self, request, token):
        """One to a page, so that the pages are asked for."""
        self._check(token)
        start = int(request.page_token or 0)
        rest = str(start + 1) if start + 1 < len(self.certificates) else ""
        page = self.certificates[start : start + 1]
        return ad.ListCertificatesResponse(certificates=page, next_page_token=rest)

    def add_tunnel(self, request, token):
        self._check(token)
        if request.tunnel.peer in self.tunnels:
            raise refuse(Reason.ALREADY_EXISTS)
        request.tunnel.state = ad.Tunnel.STATE_ACTIVE
        self.tunnels[request.tunnel.peer] = request.tunnel
        return ad.AddTunnelResponse(tunnel=request.tunnel)

    def list_tunnels(self, request, token):
        """One to a page, so that the pages are asked for."""
        self._check(token)
        wanted = request.organisation_code
        found = [one for one in self.tunnels.values() if wanted in ("", one.organisation_code)]
        start = int(request.page_token or 0)
        rest = str(start + 1) if start + 1 < len(found) else ""
        return ad.ListTunnelsResponse(tunnels=found[start : start + 1], next_page_token=rest)

    def set_tunnel(self, request, token):
        self._check(token)
        found = self.tunnels.get(request.peer)
        if found is None or found.organisation_code != request.organisation_code:
            raise refuse(Reason.NOT_FOUND)
        found.state = request.state
        return ad.SetTunnelStateResponse(tunnel=found)

    def relate(self, request, token):
        self._check(token)
        self.relations.append(request)
        return ad.SetRelationResponse(relation=request.relation, changed=True)

    def revoke(self, request, token):
        self._check(token)
        self.revocations.append(request)
        return ad.RevokeCertificatesResponse(revoked_count=2, crl_number=7)

    def list_quarantine(self, _request, token):
        self._check(token)
        return up.ListQuarantineResponse(items=self.quarantined)


@contextmanager
def served(gateway: SmallAdmin) -> Iterator[SmallAdmin]:
    """Serve a gateway from a thread with a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(gateway.start(), loop).result(10)
        try:
            yield gateway
        finally:
            asyncio.run_coroutine_threadsafe(gateway.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def cli(*words: str) -> int:
    """Run `gateway WORDS` in this process and return its exit status."""
    with pytest.raises(SystemExit) as ended:
        run(application(_MODULES.get(words[0], words[0])), words)
    return int(ended.value.code or 0)
