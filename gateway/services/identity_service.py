"""The identity door's service: sessions and passwords. The work is `identity`'s.

Here messages become values and back.
"""
# ruff: noqa: N802 -- methods have the names of the contract's rpcs

from gateway.audit.event import Event
from gateway.identity import change, login
from gateway.identity.login import Desk, Grant
from gateway.services.call import Call
from gateway.services.current import Current
from gateway.services.times import timestamp
from gateway.v1 import identity_service_pb2 as pb
from gateway.v1 import options_pb2


class IdentityService:
    """Serves gateway.v1.IdentityService."""

    def __init__(self, desk: Desk, current: Current) -> None:
        """Work at this desk."""
        self._desk = desk
        self._current = current

    async def Login(self, call: Call, request: pb.LoginRequest) -> pb.LoginResponse:
        """Open a session; raises LOGIN_FAILED, LOGIN_THROTTLED, RATE_LIMITED."""
        who = login.caller(call.link, request.account_name)
        proof = await login.prove(self._desk, who, request.password)
        # From here on the name is that of an account, so the leaf may tell it.
        call.note(account=proof.credential.account.name)
        grant = await call.effect(lambda tx: login.open_session(self._desk, tx, proof), _session)
        return pb.LoginResponse(
            access_token=grant.token,
            expire_time=timestamp(grant.expires_us),
            password_state=_state(grant),
            password_expire_time=timestamp(grant.password_expires_us),
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
        )


def _state(grant: Grant) -> pb.PasswordState.ValueType:
    return pb.PasswordState.ValueType(int(grant.password_state))


def _session(grant: Grant, event: Event) -> Event:
    return event.with_(session=grant.session.hex())
