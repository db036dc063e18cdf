"""The principal: who calls, after token, session and account were found to agree.

`establish` is the one place that says so; the guard calls it before every call and before every
batch of a stream.
"""

import hmac
from dataclasses import dataclass
from enum import IntEnum

from gateway.errors import Reason, refuse
from gateway.identity import accounts, session
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

    @property
    def restricted(self) -> bool:
        """Whether only ChangePassword, WhoAmI and Logout are allowed."""
        return self in (PasswordState.EXPIRED, PasswordState.MUST_CHANGE)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling: established facts only.

    `session` is the 16-byte session id, times are in microseconds.
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
        roles=frozenset(account.roles),
        session=standing.session.sid,
        certificate_sha256=standing.session.certificate_sha256,
        origin=connection.origin,
        password_state=password_state(account, profile, now_us),
        password_expires_us=account.ends_us(profile),
        session_expires_us=standing.session.expires_us,
        token_expires_us=claims.expires_us,
    )


def password_state(account: Account, profile: Profile, now_us: int) -> PasswordState:
    """Return the state of the account's password at this moment."""
    ends_us = account.ends_us(profile)
    if account.must_change:
        return PasswordState.MUST_CHANGE
    if now_us >= ends_us:
        return PasswordState.EXPIRED
    return (
        PasswordState.CURRENT if profile.warning(ends_us, now_us) is None else PasswordState.WARNED
    )


def require_password(principal: Principal, *, expired_allowed: bool) -> None:
    """Return when the password's state allows the call.

    Raises PASSWORD_EXPIRED or PASSWORD_MUST_CHANGE. `expired_allowed` is the rpc's access option
    `password_expired_allowed`.
    """
    if principal.password_state.restricted and not expired_allowed:
        must_change = principal.password_state is PasswordState.MUST_CHANGE
        raise refuse(Reason.PASSWORD_MUST_CHANGE if must_change else Reason.PASSWORD_EXPIRED)


def _carries(standing: Standing, claims: Claims, connection: Connection, now_us: int) -> bool:
    held, account = standing.session, standing.account
    subject = parse_subject(connection.subject)
    return (
        held.alive(now_us)
        and hmac.compare_digest(held.sid, claims.session)
        and hmac.compare_digest(held.certificate_sha256, claims.certificate_sha256)
        and (held.organisation, held.account) == (claims.organisation, claims.account)
        and (account.organisation, account.name) == (claims.organisation, claims.account)
        and account.active
        and (account.password_epoch, account.role_epoch)
        == (claims.password_epoch, claims.role_epoch)
        and (account.organisation, account.subject_kind, account.subject_name)
        == (subject.organisation, subject.kind, subject.name)
    )
