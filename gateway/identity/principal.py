"""The principal: who calls, after token, session and account were found to agree.

`establish` is the one place that says so; the guard calls it before every call and before every
batch of a stream.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from gateway.clock import US_PER_S
from gateway.errors import Reason, refuse
from gateway.identity import accounts, roles, session
from gateway.identity.accounts import Account
from gateway.identity.rules import Profile
from gateway.identity.session import Session
from gateway.identity.token import Bearer, Claims
from gateway.link.connection import Connection
from gateway.names import Subject, parse_subject
from gateway.store.database import Transaction
from gateway.vpn.origin import Origin


class PasswordState(IntEnum):
    """In what state a password is; the numbers of PasswordState in the contract."""

    CURRENT = 1
    WARNED = 2
    EXPIRED = 3
    MUST_CHANGE = 4
    BLOCKED = 5

    @property
    def restricted(self) -> bool:
        """Whether only ChangePassword, WhoAmI, RefreshToken and Logout are allowed."""
        return self not in (PasswordState.CURRENT, PasswordState.WARNED)


_RESTRICTED: Mapping[PasswordState, Reason] = MappingProxyType(
    {
        PasswordState.EXPIRED: Reason.PASSWORD_EXPIRED,
        PasswordState.MUST_CHANGE: Reason.PASSWORD_MUST_CHANGE,
        PasswordState.BLOCKED: Reason.PASSWORD_BLOCKED,
    }
)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling: established facts only.

    `session` is the 16-byte session id, times are in microseconds; `confirmed_us` is when the
    password was last shown in this session.
    """

    organisation: str
    subject: Subject
    account: str
    roles: frozenset[str]
    session: bytes
    certificate_sha256: bytes
    origin: Origin
    password_state: PasswordState
    password_expires_us: int
    session_expires_us: int
    token_expires_us: int
    confirmed_us: int = 0

    @property
    def system_in_grace(self) -> bool:
        """Whether it is a system whose password ended so lately that its uploads go on."""
        return self.subject.kind == "sys" and self.password_state is PasswordState.EXPIRED


@dataclass(frozen=True, slots=True)
class Standing:
    """A session and its account as the store holds them.

    May be kept until the epoch "session" moves.
    """

    session: Session
    account: Account


def bearer(connection: Connection) -> Bearer:
    """Return what a token must agree with on this connection."""
    digest = bytes.fromhex(connection.certificate_sha256)
    return Bearer(digest, connection.organisation, connection.subject)


async def read_standing(tx: Transaction, sid: bytes) -> Standing | None:
    """Return session and account, or None when there is no such session."""
    found = await session.read(tx, sid)
    account = None if found is None else await accounts.read(tx, found.organisation, found.account)
    return None if found is None or account is None else Standing(found, account)


def establish(
    claims: Claims, standing: Standing | None, connection: Connection, profile: Profile, now_us: int
) -> Principal:
    """Return the principal of a verified token.

    Raises SESSION_UNKNOWN when session or account no longer carry it. `claims` come from
    `token.Verifier.verify` with this connection's `bearer`, `standing` from `read_standing`.
    """
    if standing is None or not _carries(standing, claims, connection, now_us):
        raise refuse(Reason.SESSION_UNKNOWN)
    account = standing.account
    return Principal(
        organisation=account.organisation,
        subject=parse_subject(connection.subject),
        account=account.name,
        roles=roles_of(standing),
        session=standing.session.sid,
        certificate_sha256=standing.session.certificate_sha256,
        origin=connection.origin,
        # No password was asked for in a session of break-glass.
        password_state=PasswordState.CURRENT
        if standing.session.only_role
        else password_state(account, profile, now_us),
        password_expires_us=account.ends_us(profile),
        session_expires_us=standing.session.expires_us,
        token_expires_us=claims.expires_us,
        confirmed_us=standing.session.confirmed_us,
    )


def roles_of(standing: Standing) -> frozenset[str]:
    """Return what the session's bearer may be: its account's roles, or the session's only one."""
    only = standing.session.only_role
    return frozenset(standing.account.roles if only is None else (only,))


def password_state(account: Account, profile: Profile, now_us: int) -> PasswordState:
    """Return the state of the account's password at this moment."""
    ends_us = account.ends_us(profile)
    if account.must_change:
        return PasswordState.MUST_CHANGE
    if now_us >= ends_us:
        blocked = account.blocked(profile, now_us)
        return PasswordState.BLOCKED if blocked else PasswordState.EXPIRED
    return (
        PasswordState.CURRENT if profile.warning(ends_us, now_us) is None else PasswordState.WARNED
    )


def require_password(
    principal: Principal, *, expired_allowed: bool, grace_allowed: bool = False
) -> None:
    """Return when the password's state allows the call.

    Raises PASSWORD_EXPIRED, PASSWORD_BLOCKED or PASSWORD_MUST_CHANGE. The other parameters are the
    rpc's access options `password_expired_allowed` and `password_grace_allowed`.
    """
    state = principal.password_state
    if not state.restricted or expired_allowed or (grace_allowed and principal.system_in_grace):
        return
    raise refuse(_RESTRICTED[state])


def require_confirmed(principal: Principal, within_s: int, now_us: int) -> None:
    """Return when the password was shown within so many seconds; raises CONFIRMATION_NEEDED.

    A confirmation from the future, after a step of the clock, is none. Break-glass was confirmed
    by two officers, and has no password to show.
    """
    if {roles.BREAK_GLASS, roles.BREAK_GLASS_DRILL} & principal.roles:
        return
    if not 0 <= now_us - principal.confirmed_us <= within_s * US_PER_S:
        raise refuse(Reason.CONFIRMATION_NEEDED)


def _carries(standing: Standing, claims: Claims, connection: Connection, now_us: int) -> bool:
    held, account = standing.session, standing.account
    subject = parse_subject(connection.subject)
    return (
        held.alive(now_us)
        and hmac.compare_digest(held.sid, claims.session)
        and hmac.compare_digest(held.certificate_sha256, claims.certificate_sha256)
        and (held.organisation, held.account) == (claims.organisation, claims.account)
        and (account.organisation, account.name) == (claims.organisation, claims.account)
        # Break-glass is for when accounts open nothing.
        and (account.active or held.only_role is not None)
        and (account.password_epoch, account.role_epoch)
        == (claims.password_epoch, claims.role_epoch)
        and (account.organisation, account.subject_kind, account.subject_name)
        == (subject.organisation, subject.kind, subject.name)
    )
