"""The guard's checks of who is calling and what they may, under the guard's numbers.

    1 connection                         5 token and session              7 rate
    2 certificate, organisation, system  6 password state                 8 roles and policy
    3 origin

Each raises the refusal it finds. What a check establishes it notes on the call, so that the leaf of
a refusal says how far the caller came.
"""

import hmac
from collections.abc import Callable
from contextlib import AbstractContextManager

from google.protobuf.message import Message

from gateway.clock import Clock
from gateway.config.home import Door
from gateway.errors import Reason, refuse
from gateway.identity import principal
from gateway.identity.rules import Profile
from gateway.identity.token import Claims, Verifier
from gateway.link.connection import Connection
from gateway.link.control import ControlClient
from gateway.names import parse_subject
from gateway.services.call import Call
from gateway.services.current import Current
from gateway.services.limits import Limits
from gateway.services.permits import Permits


class Checks:
    """The checks of one door; everything they ask is given."""

    def __init__(
        self,
        door: Door,
        control: ControlClient,
        current: Current,
        verifier: Verifier,
        profile: Profile,
        limits: Limits,
        permits: Permits,
        clock: Clock,
    ) -> None:
        """Judge the calls of this door."""
        self._door = door
        self._control = control
        self._current = current
        self._verifier = verifier
        self._profile = profile
        self._clock = clock
        self.limits = limits
        self.permits = permits

    async def connection(self, call: Call, name: str) -> None:
        """1, 2, 3: establish the connection.

        Raises FRONT_AWAY, STORE_AWAY, CONNECTION_UNKNOWN and below.
        """
        found = await self._control.who(name)  # 1
        if found is None or found.door != self._door:
            raise refuse(Reason.CONNECTION_UNKNOWN)
        call.connect(found)
        await self._valid(found)
        if found.origin.organisation != found.organisation:  # 3
            raise refuse(Reason.ORIGIN_MISMATCH)

    async def caller(self, call: Call, token: Callable[[], str], request: Message | None) -> None:
        """5, 6, 7, 8: establish the principal and its permission.

        `request` is None where a stream begins.
        """
        rpc = call.known
        if not rpc.access.needs_token:
            self.limits.connection(call.link.name)  # 7
            return
        claims = self._verifier.verify(
            token(), principal.bearer(call.link), self._clock.now_us()
        )  # 5
        await self._establish(call, claims)
        principal.require_password(
            call.caller, expired_allowed=rpc.access.password_expired_allowed
        )  # 6
        self.limits.account(call.caller.organisation, call.caller.account)  # 7
        if rpc.access.roles and not rpc.access.roles & call.caller.roles:  # 8
            raise refuse(Reason.ROLE_NOT_ALLOWED)
        if request is not None:
            self.permits.judge(call, request, await self._current.registry())

    async def again(self, call: Call) -> None:
        """2, 5, 6 once more, before each batch of a stream.

        Raises TOKEN_EXPIRED, SESSION_UNKNOWN and the like.
        """
        await self._valid(call.link)
        if self._clock.now_us() >= call.claims.expires_us:
            raise refuse(Reason.TOKEN_EXPIRED)
        await self._establish(call, call.claims)
        principal.require_password(call.caller, expired_allowed=False)

    def stream(self, call: Call) -> AbstractContextManager[None]:
        """7: hold one stream of the connection open; raises RATE_LIMITED."""
        return self.limits.streams.one(call.link.name)

    async def _valid(self, connection: Connection) -> None:
        """2: the certificate is in force, and so are its organisation and the system it names."""
        if self._clock.now_us() >= connection.not_after_us:
            raise refuse(Reason.CERT_EXPIRED)
        certificate = await self._current.certificate(connection.serial)
        digest = bytes.fromhex(connection.certificate_sha256)
        if certificate is None or not hmac.compare_digest(certificate.sha256, digest):
            raise refuse(Reason.CERT_UNKNOWN)
        if not certificate.active:
            raise refuse(Reason.CERT_REVOKED)
        registry = await self._current.registry()
        if not registry.organisation_active(connection.organisation):
            raise refuse(Reason.ORGANISATION_SUSPENDED)
        subject = parse_subject(connection.subject)
        if not registry.system_active(subject.organisation, subject.kind, subject.name):
            raise refuse(Reason.SYSTEM_SUSPENDED)

    async def _establish(self, call: Call, claims: Claims) -> None:
        """5.

        The session is alive and is this account's, with the epochs that the token was minted
        under.
        """
        standing = await self._current.standing(claims.session)
        now_us = self._clock.now_us()
        found = principal.establish(claims, standing, call.link, self._profile, now_us)
        call.identify(found, claims)
