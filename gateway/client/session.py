"""A session at the identity door: log in, keep the token fresh, change the password, log out.

The token lives in the profile (0600), bound to its certificate: useless without the private key.
"""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.client import kept_secret
from gateway.client.channel import Channels
from gateway.client.files import write_private
from gateway.client.secret import Secret
from gateway.clock import SYSTEM, US_PER_S, Clock
from gateway.errors import Reason, Refusal, refuse
from gateway.v1 import identity_service_pb2 as v1
from gateway.v1.identity_service_pb2_grpc import IdentityServiceStub

# A token with less life than this is not used for a new call.
_SPARE_US = 20 * US_PER_S
# Refreshed from the half of its life on.
_FRESH_SHARE = 2
# The session, not the call, is at fault: logging in again helps.
SESSION_OVER = frozenset(
    {Reason.TOKEN_EXPIRED, Reason.TOKEN_INVALID, Reason.TOKEN_MISSING, Reason.SESSION_UNKNOWN}
)


@dataclass(frozen=True, slots=True)
class Token:
    """An access token; times in microseconds since 1970."""

    secret: Secret
    issued_us: int
    expire_us: int


class Session:
    """The session of a profile; `password` is asked where only a login helps."""

    def __init__(
        self,
        channels: Channels,
        *,
        clock: Clock = SYSTEM,
        password: Callable[[], Secret] | None = None,
    ) -> None:
        """Take up the session that the profile holds, where it holds one."""
        self.profile = channels.profile
        self._channels, self._clock, self._password = channels, clock, password
        self._stub = IdentityServiceStub(channels.to("identity"))
        self._token = self._stored()
        self._renewing = asyncio.Lock()
        # What a login told of break-glass, for an officer to be told of.
        self.break_glass: v1.BreakGlassNotice | None = None
        # Logs in by a secret that the client keeps (`own_secret`), None where it keeps none.
        self.own: Callable[[], Awaitable[v1.LoginResponse | None]] | None = None

    def take_up(self) -> None:
        """Take up the session of the certificate that is in use now."""
        self._token = self._stored()

    def alive(self) -> Secret | None:
        """Return the token where there is one that has not ended; nobody is asked."""
        token = self._token
        return token.secret if token and token.expire_us > self._clock.now_us() else None

    async def login(self, password: Secret) -> v1.LoginResponse:
        """Open a session; raises the refusal (LOGIN_FAILED has one text for every cause)."""
        request = v1.LoginRequest(account_name=self.profile.remote.account, password=password.value)
        response = await self._channels.call(self._stub.Login, request)
        self.break_glass = response.break_glass if response.HasField("break_glass") else None
        self._keep(response.access_token, response.expire_time.ToMicroseconds())
        return response

    async def token(self) -> Token:
        """Return a token that is good for the next call: kept, refreshed, or by a new login."""
        async with self._renewing:
            token, now = self._token, self._clock.now_us()
            if token is None or token.expire_us - _SPARE_US <= now:
                return await self._login_again(
                    Reason.TOKEN_EXPIRED if token else Reason.TOKEN_MISSING
                )
            if now - token.issued_us > (token.expire_us - token.issued_us) // _FRESH_SHARE:
                return await self._refresh(token)
            return token

    async def renew(self, refused: Token) -> Token:
        """Return another token than the one that was refused; one task renews for all."""
        async with self._renewing:
            if self._token is not None and self._token.secret != refused.secret:
                return self._token
            return await self._login_again(Reason.SESSION_UNKNOWN)

    async def logout(self) -> None:
        """End the session here and at the gateway."""
        token = self._token
        self._forget()
        if token is not None:
            await self._channels.call(self._stub.Logout, v1.LogoutRequest(), token.secret)

    async def change_password(self, old: Secret, new: Secret) -> v1.ChangePasswordResponse:
        """Set a new password; the session goes on with a token of its own.

        It is a person's: where the client kept a service account's secret, it does no more.
        """
        request = v1.ChangePasswordRequest(
            request_id=str(uuid.uuid4()), old_password=old.value, new_password=new.value
        )
        token = await self.token()
        response = await self._channels.call(self._stub.ChangePassword, request, token.secret)
        self._keep(response.access_token, response.expire_time.ToMicroseconds())
        self.profile.password.unlink(missing_ok=True)
        kept_secret.forget(self.profile.folder)
        return response

    async def confirm(self) -> None:
        """Give the password again, for what asks for it; raises CONFIRMATION_NEEDED: nobody knows.

        A wrong one raises LOGIN_FAILED.
        """
        if self._password is None:
            raise refuse(Reason.CONFIRMATION_NEEDED)
        request = v1.ConfirmRequest(password=self._password().value)
        token = await self.token()
        await self._channels.call(self._stub.Confirm, request, token.secret)

    async def who_am_i(self) -> v1.WhoAmIResponse:
        """Return the caller as the gateway sees it."""
        token = await self.token()
        return await self._channels.call(self._stub.WhoAmI, v1.WhoAmIRequest(), token.secret)

    async def _refresh(self, token: Token) -> Token:
        try:
            response = await self._channels.call(
                self._stub.RefreshToken, v1.RefreshTokenRequest(), token.secret
            )
        except Refusal as refusal:
            if refusal.reason not in SESSION_OVER:
                raise
            return await self._login_again(refusal.reason)
        return self._keep(response.access_token, response.expire_time.ToMicroseconds())

    async def _login_again(self, reason: Reason) -> Token:
        if self.own is None or await self.own() is None:
            if self._password is None:
                self._forget()
                raise refuse(reason)
            await self.login(self._password())
        if self._token is None:
            raise refuse(Reason.TOKEN_MISSING)
        return self._token

    def _keep(self, secret: str, expire_us: int) -> Token:
        self._token = self.keep_in(self.profile.token, secret, expire_us)
        return self._token

    def keep_in(self, file: Path, secret: str, expire_us: int) -> Token:
        """Write a token down for whoever uses the certificate beside it, and return it."""
        token = Token(Secret(secret), self._clock.now_us(), expire_us)
        document = {"access_token": secret, "issued_us": token.issued_us, "expire_us": expire_us}
        write_private(file, json.dumps(document).encode())
        return token

    def _forget(self) -> None:
        self._token = None
        self.profile.token.unlink(missing_ok=True)

    def _stored(self) -> Token | None:
        try:
            document = json.loads(self.profile.token.read_bytes())
            secret = Secret(str(document["access_token"]))
            return Token(secret, int(document["issued_us"]), int(document["expire_us"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
