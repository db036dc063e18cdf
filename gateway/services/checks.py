"""The guard's checks of who is calling and what they may, under the guard's numbers.

    1 connection                         5 token and session              7 rate
    2 certificate, organisation, system  6 password state                 8 confirmed, roles, policy
    3 origin

Each raises the refusal it finds. What a check establishes it notes on the call, so that the leaf of
a refusal says how far the caller came. At the enrolment listener there is no certificate: 2 is left
out there.
"""

import hmac
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from google.protobuf.message import Message

from gateway.clock import Clock, iso
from gateway.config.disk import Disk, Use
from gateway.config.home import Listener
from gateway.errors import Reason, Refusal, refuse
from gateway.identity import breakglass, principal
from gateway.identity.rules import Rules
from gateway.identity.token import Claims, Verifier
from gateway.link.connection import Connection
from gateway.link.control import ControlClient
from gateway.names import parse_subject
from gateway.pki.defect import Life, worst
from gateway.services.access import Rpc
from gateway.services.backed import Backed
from gateway.services.call import Call
from gateway.services.current import Current
from gateway.services.limits import Limits
from gateway.services.permits import Permits

# Somebody has to make room first.
ROOM_RETRY_S = 5.0


@dataclass(frozen=True, slots=True)
class Checks:
    """The checks of one door; everything they ask is given.

    `grace_s` is the policy's `renewal.grace_s`.
    """

    door: Listener
    control: ControlClient
    current: Current
    verifier: Verifier
    rules: Rules
    limits: Limits
    permits: Permits
    clock: Clock
    grace_s: float
    disk: Disk
    backed: Backed | None

    async def connection(self, call: Call, name: str) -> None:
        """1, 2, 3: establish the connection.

        Raises FRONT_AWAY, STORE_AWAY, CONNECTION_UNKNOWN and below.
        """
        found = await self.control.who(name)  # 1
        if found is None or found.door != self.door:
            raise refuse(Reason.CONNECTION_UNKNOWN)
        call.connect(found)
        if found.door != "enrolment":
            await self._valid(call)  # 2
        owner = found.origin.organisation
        if found.organisation != owner:  # 3
            registry = await self.current.registry()
            if not registry.may_use_tunnel(found.organisation, owner):
                call.note(detail={"alert": "origin-mismatch", "target_organisation": owner})
                raise refuse(Reason.ORIGIN_MISMATCH)

    async def caller(self, call: Call, token: Callable[[], str], request: Message | None) -> None:
        """5, 6, 7, 8: establish the principal and its permission.

        `request` is None where a stream begins.
        """
        rpc = call.known
        presented = _presented(call, token)
        if presented is None:
            call.charged = "connection"
            self.limits.connection(call.link.name)  # 7
            return
        claims = self.verifier.verify(  # 5
            presented, principal.bearer(call.link), self.clock.now_us(), partial(_mark, call)
        )
        await self._establish(call, claims)
        self._require_password(call)  # 6
        call.charged = "account"
        self.limits.account(call.caller.organisation, call.caller.account)  # 7
        self._require_room(rpc)  # 7
        await self._require_backed(rpc)  # 7
        if rpc.access.confirmed_within_s:
            await self._require_confirmed(call, claims)  # 8
        if rpc.access.roles and not rpc.access.roles & call.caller.roles:  # 8
            raise refuse(Reason.ROLE_NOT_ALLOWED)
        if request is not None:
            self.permits.judge(call, request, await self.current.registry())

    async def again(self, call: Call) -> None:
        """2, 5, 6 once more, and room, before each batch of a stream.

        Raises TOKEN_EXPIRED, SESSION_UNKNOWN and the like.
        """
        await self._valid(call)
        if self.clock.now_us() >= call.claims.expires_us:
            raise refuse(Reason.TOKEN_EXPIRED)
        await self._establish(call, call.claims)
        self._require_password(call)
        self._require_room(call.known)
        await self._require_backed(call.known)

    def stream(self, call: Call) -> AbstractContextManager[None]:
        """7: hold one stream of the connection open; raises RATE_LIMITED."""
        return self.limits.streams.one(call.link.name)

    def told(self, call: Call) -> bool:
        """7, of a refused call: return whether it has a leaf of its own; beyond, it is counted.

        Whose account was charged has one. Any other costs its source one, and its connection where
        the call was refused before 7. An alert has a measure of its own: no flood of its sender's
        hides it.
        """
        if call.charged == "account":
            return True
        connection = call.connection if call.charged is None else None
        return self.limits.refused((call.source, call.event.alert), connection)

    async def _valid(self, call: Call) -> None:
        """2: certificate, organisation and system are as they must be.

        With a defect only calls pass that are allowed in spite of it.
        """
        connection = call.link
        certificate = await self.current.certificate(connection.serial)
        digest = bytes.fromhex(connection.certificate_sha256)
        if certificate is None or not hmac.compare_digest(certificate.sha256, digest):
            raise refuse(Reason.CERT_UNKNOWN)
        registry = await self.current.registry()
        if not registry.organisation_active(connection.organisation):
            raise refuse(Reason.ORGANISATION_SUSPENDED)
        subject = parse_subject(connection.subject)
        if not registry.system_active(subject.organisation, subject.kind, subject.name):
            raise refuse(Reason.SYSTEM_SUSPENDED)
        call.defect = self._defect(connection, certificate.life)
        allowed = call.rpc is not None and call.rpc.access.defective_certificate_allowed
        if call.defect is not None and not allowed:
            raise self._refusal(call.defect, connection, certificate.life)

    def _defect(self, connection: Connection, life: Life) -> Reason | None:
        """Return what it came with or what befell it; grace is for one that was good."""
        now_us = self.clock.now_us()
        graceful = not connection.defect and life.graceful(now_us, self.grace_s)
        registered = None if graceful else life.registered()
        ended = Reason.CERT_EXPIRED if now_us >= connection.not_after_us else None
        return worst(connection.defect, registered, ended)

    def _refusal(self, defect: Reason, connection: Connection, life: Life) -> Refusal:
        """Return the refusal; where time is what is wrong, with both times to compare."""
        dates = {
            Reason.CERT_EXPIRED: {"notAfter": iso(connection.not_after_us)},
            Reason.CERT_NOT_YET_VALID: {"notBefore": iso(life.not_before_us)},
        }.get(defect)
        now = {"gatewayTime": iso(self.clock.now_us())}
        return refuse(defect, metadata=None if dates is None else dates | now)

    def _require_password(self, call: Call) -> None:
        """6: the state of the password allows this rpc."""
        access = call.known.access
        principal.require_password(
            call.caller,
            expired_allowed=access.password_expired_allowed,
            grace_allowed=access.password_grace_allowed,
        )

    def _require_room(self, rpc: Rpc) -> None:
        """7: there is room on the disk for what this would store; raises DISK_LOW."""
        use: Use | None = "uploads" if rpc.streaming else "exports" if rpc.sending else None
        if use is not None and not self.disk.allows(use):
            raise refuse(Reason.DISK_LOW, retry_after_s=ROOM_RETRY_S)

    async def _require_backed(self, rpc: Rpc) -> None:
        """7: nothing leaves while there is no backup of it; raises BACKUP_OVERDUE."""
        if rpc.sending and self.backed is not None and not await self.backed.allows():
            raise refuse(Reason.BACKUP_OVERDUE)

    async def _require_confirmed(self, call: Call, claims: Claims) -> None:
        """8: the password was shown lately, as the rpc asks.

        A confirmation of a moment ago, at another door, may not have reached this one yet: before
        it is missed, what is known of the session is read again.
        """
        within_s = call.known.access.confirmed_within_s
        try:
            principal.require_confirmed(call.caller, within_s, self.clock.now_us())
        except Refusal:
            await self.current.renew()
            await self._establish(call, claims)
            principal.require_confirmed(call.caller, within_s, self.clock.now_us())

    async def _establish(self, call: Call, claims: Claims) -> None:
        """5.

        The session is alive and is this account's, with the epochs that the token was minted
        under.
        """
        standing = await self.current.standing(claims.session)
        now_us = self.clock.now_us()
        found = principal.establish(claims, standing, call.link, self.rules.at(now_us), now_us)
        call.identify(found, claims)


def _mark(call: Call, claims: Claims) -> None:
    """Mark the leaf of whoever brings a token of break-glass, good or not: critical, always."""
    for role, alert in breakglass.ALERTS.items():
        if role in claims.roles:
            call.note(detail={"alert": alert})


def _presented(call: Call, token: Callable[[], str]) -> str | None:
    """Return the token that counts: the one that is needed, or was sent where it is welcome.

    With a defective certificate nobody is anybody, whatever token comes along.
    """
    access = call.known.access
    if access.needs_token:
        return token()
    if not access.token_welcome or call.defect is not None:
        return None
    try:
        return token()
    except Refusal as refusal:
        if refusal.reason is Reason.TOKEN_MISSING:
            return None
        raise
