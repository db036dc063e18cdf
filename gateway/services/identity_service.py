"""The identity door's service: sessions, passwords, what a certificate is worth.

The work is `identity`'s; here messages become values and back.
"""
# ruff: noqa: N802 -- methods have the names of the contract's rpcs

from gateway.audit.event import Event
from gateway.config.policies import RenewalRules
from gateway.errors import REASONS, Reason, refuse
from gateway.identity import breakglass, change, login, roles, secret_change, service_secrets
from gateway.identity.accounts import Account
from gateway.identity.login import Desk, Grant
from gateway.identity.secret_change import Secrets
from gateway.pki import authorities, renewal
from gateway.pki.defect import Life
from gateway.services import certificates
from gateway.services.call import Call, told
from gateway.services.current import Current
from gateway.services.times import timestamp
from gateway.v1 import certificate_pb2, options_pb2
from gateway.v1 import identity_service_pb2 as pb


class IdentityService:
    """Serves gateway.v1.IdentityService."""

    def __init__(
        self,
        desk: Desk,
        current: Current,
        rules: RenewalRules,
        issuers: authorities.Current,
    ) -> None:
        """Work at this desk; by `issuers` it is known whose certificates are renewed here."""
        self._desk = desk
        self._current = current
        self._rules = rules
        self._issuers = issuers

    async def Login(self, call: Call, request: pb.LoginRequest) -> pb.LoginResponse:
        """Open a session.

        Raises LOGIN_FAILED, LOGIN_THROTTLED, LOGIN_LOCKED, PASSWORD_BLOCKED, SECRET_REPLACED,
        RATE_LIMITED.
        """
        who = login.caller(call.link, request.account_name)
        proof = await login.prove(self._desk, who, request.password)
        # From here on the name is that of an account, so the leaf may tell it.
        call.note(account=proof.credential.account.name)
        grant = await call.effect(lambda tx: login.open_session(self._desk, tx, proof), _opened)
        former = grant.shown == "former"
        now_us = self._desk.clock.now_us()
        window = service_secrets.window(grant.account, self._desk.rules, now_us)
        return pb.LoginResponse(
            access_token=grant.token,
            expire_time=timestamp(grant.expires_us),
            password_state=_state(grant),
            password_expire_time=timestamp(grant.password_expires_us),
            secret_window=None if former or window is None else certificates.window(window),
            break_glass=await self._notice(grant.account),
        )

    async def RefreshToken(
        self, call: Call, _request: pb.RefreshTokenRequest
    ) -> pb.RefreshTokenResponse:
        """Mint a fresh token of the same session; raises SESSION_UNKNOWN."""
        grant = await call.effect(lambda tx: login.refresh(self._desk, tx, call.caller), _session)
        return pb.RefreshTokenResponse(
            access_token=grant.token, expire_time=timestamp(grant.expires_us)
        )

    async def Logout(self, call: Call, _request: pb.LogoutRequest) -> pb.LogoutResponse:
        """End the session; raises SESSION_UNKNOWN."""
        await call.effect(lambda tx: login.logout(self._desk, tx, call.caller))
        await self._current.renew()
        return pb.LogoutResponse()

    async def ChangePassword(
        self, call: Call, request: pb.ChangePasswordRequest
    ) -> pb.ChangePasswordResponse:
        """Set a new password and end the account's sessions.

        Raises LOGIN_FAILED, PASSWORD_WEAK and their kin.
        """
        registry = await self._current.registry()
        organisation = registry.organisation(call.caller.organisation)
        name = "" if organisation is None else organisation.name
        prepared = await change.prepare(
            self._desk, call.caller, name, request.old_password, request.new_password
        )
        grant = await call.effect(lambda tx: change.apply(self._desk, tx, prepared), _session)
        await self._current.renew()
        return pb.ChangePasswordResponse(
            access_token=grant.token,
            expire_time=timestamp(grant.expires_us),
            password_expire_time=timestamp(grant.password_expires_us),
        )

    async def RotateSecret(
        self, call: Call, request: pb.RotateSecretRequest
    ) -> pb.RotateSecretResponse:
        """Give a service account its next secret.

        Raises LOGIN_FAILED, SECRET_REPLACED, PASSWORD_WEAK and their kin.
        """
        brought = Secrets(request.request_id, request.old_secret, request.new_secret)
        prepared = await secret_change.prepare(self._desk, call.caller, brought)
        call.note(detail={"secret": "next" if prepared.new_hash else "repeated"})
        ends_us = await call.effect(lambda tx: secret_change.apply(self._desk, tx, prepared))
        return pb.RotateSecretResponse(overlap_end_time=timestamp(ends_us))

    async def Confirm(self, call: Call, request: pb.ConfirmRequest) -> pb.ConfirmResponse:
        """Note that the password was given again; raises LOGIN_FAILED and its kin, counted."""
        who = call.caller
        proof = await login.prove(self._desk, login.again(who), request.password)
        confirmed_us = await call.effect(lambda tx: login.confirm(self._desk, tx, who, proof))
        await self._current.renew()
        return pb.ConfirmResponse(confirm_time=timestamp(confirmed_us))

    async def WhoAmI(self, call: Call, _request: pb.WhoAmIRequest) -> pb.WhoAmIResponse:
        """Tell how the gateway sees the caller."""
        who = call.caller
        registry = await self._current.registry()
        organisation = registry.organisation(who.organisation)
        return pb.WhoAmIResponse(
            organisation_code=who.organisation,
            organisation_name="" if organisation is None else organisation.name,
            spiffe_id=str(who.subject),
            account_name=who.account,
            roles=[options_pb2.Role.Value(f"ROLE_{role.upper()}") for role in sorted(who.roles)],
            origin_strength=who.origin.strength,
            certificate_expire_time=timestamp(call.link.not_after_us),
            password_expire_time=timestamp(who.password_expires_us),
            password_state=pb.PasswordState.ValueType(int(who.password_state)),
            session_expire_time=timestamp(who.session_expires_us),
            renewal_window=self._window(await self._life(call)),
        )

    async def Diagnose(self, call: Call, _request: pb.DiagnoseRequest) -> pb.DiagnoseResponse:
        """Tell what the gateway thinks of the connection's certificate, and what to do about it."""
        link, now_us = call.link, self._desk.clock.now_us()
        life = await self._life(call)
        meaning = None if call.defect is None else REASONS[call.defect]
        return pb.DiagnoseResponse(
            spiffe_id=link.subject,
            serial=link.serial,
            state=certificates.state(life, call.defect),
            reason=call.defect or "",
            text_en="" if meaning is None else meaning.english,
            text_zh="" if meaning is None else meaning.chinese,
            expire_time=timestamp(link.not_after_us),
            renewable=not self._issuers.external(life.issuer_sha256)
            and renewal.open_to(life, call.defect, self._rules, now_us),
            renewal_window=self._window(life),
            gateway_time=timestamp(now_us),
            tunnel_organisation_code=link.origin.organisation,
            origin_strength=link.origin.strength,
        )

    async def _notice(self, account: Account) -> pb.BreakGlassNotice | None:
        """Return what an officer is to know of break-glass; nothing for anybody else."""
        if not {roles.ADMIN, roles.SECURITY_OFFICER} & set(account.roles):
            return None
        async with self._desk.database.transaction() as tx:
            found = await breakglass.unrepaired(tx, account.organisation)
        if found is None:
            return None
        limits, now_us = self._desk.rules.break_glass, self._desk.clock.now_us()
        return pb.BreakGlassNotice(
            opening_id=found.id,
            opener_name=found.name,
            ticket=found.ticket,
            drill=found.drill,
            state=found.stage(limits, now_us),
            end_time=timestamp(found.until_us(limits)),
        )

    async def _life(self, call: Call) -> Life:
        found = await self._current.certificate(call.link.serial)
        if found is None:
            raise refuse(Reason.CERT_UNKNOWN)
        return found.life

    def _window(self, life: Life) -> certificate_pb2.RenewalWindow | None:
        """Return when to renew; None where another's authority issued: that one renews it."""
        if self._issuers.external(life.issuer_sha256):
            return None
        rolled_over = self._issuers.rolled_over(life.issuer_sha256)
        bounds = (life.not_before_us, life.not_after_us)
        found = renewal.suggested(
            bounds, self._rules, self._desk.clock.now_us(), rolled_over=rolled_over
        )
        return certificates.window(found)


def _state(grant: Grant) -> pb.PasswordState.ValueType:
    return pb.PasswordState.ValueType(int(grant.password_state))


def _session(grant: Grant, event: Event) -> Event:
    return event.with_(session=grant.session.hex())


def _opened(grant: Grant, event: Event) -> Event:
    """Tell also that a service account's next secret is in force, or its former one still used."""
    event = _session(grant, event)
    return told(event, detail={"secret": grant.shown}) if grant.shown else event
