"""Login in two steps, before the audit log's transaction and inside it; RefreshToken and Logout.

`prove` judges the password (25 ms of argon2id) with short transactions of its own, so that a
failure stays counted although the call is refused and no commit group waits for a hash. What it
returns is redeemed inside the group's transaction, where everything that may have changed meanwhile
is asked again. Certificate first, password second: two factors (GB/T 22239 8.1.4.1 d).
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from gateway.clock import US_PER_S, Clock
from gateway.errors import Reason, refuse
from gateway.identity import accounts, last_admin, principal, service_secrets, session, throttle
from gateway.identity.accounts import Account, Credential
from gateway.identity.passwords import Passwords
from gateway.identity.principal import PasswordState, Principal, Standing
from gateway.identity.rules import MINUTE_US, NEVER_US, Profile, Rules
from gateway.identity.service_secrets import Other
from gateway.identity.throttle import Attempt, Queue
from gateway.identity.token import Claims, Minter
from gateway.link.connection import Connection
from gateway.names import Subject, parse_subject
from gateway.store.database import Database, Transaction

# Of a service account: the next secret, put in force by this login; one that was replaced.
Shown = Literal["", "taken", "former"]


@dataclass(frozen=True, slots=True)
class Desk:
    """What the identity door works with; one per process."""

    database: Database
    rules: Rules
    passwords: Passwords
    minter: Minter
    clock: Clock
    queue: Queue = field(default_factory=Queue)

    @property
    def profile(self) -> Profile:
        """What a password must be now."""
        return self.rules.at(self.clock.now_us())


@dataclass(frozen=True, slots=True)
class Caller:
    """Who tries a password: certificate subject and SHA-256, account name as typed."""

    subject: Subject
    certificate_sha256: bytes
    account: str

    @property
    def attempt(self) -> Attempt:
        """Under what a failure is counted."""
        lineage = throttle.lineage(self.subject.kind, self.subject.name)
        return Attempt(self.subject.organisation, self.account, lineage)


@dataclass(frozen=True, slots=True)
class Proof:
    """That the password was right, to be redeemed once by `open_session`.

    `new_hash` where the stored one is outdated; `other` where it was a service account's other one.
    """

    caller: Caller
    credential: Credential
    new_hash: str | None = field(repr=False)
    other: Other | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """A fresh token and what its bearer should know.

    `warning_days` is the reached step of the policy's warning days.
    """

    token: str = field(repr=False)
    expires_us: int
    account: Account
    session: bytes
    password_state: PasswordState
    password_expires_us: int
    warning_days: int | None
    shown: Shown = ""


def again(who: Principal) -> Caller:
    """Return who tries a password in a session of his own."""
    return Caller(who.subject, who.certificate_sha256, who.account)


def caller(connection: Connection, account: str) -> Caller:
    """Return who tries a password over this connection."""
    return Caller(
        parse_subject(connection.subject), bytes.fromhex(connection.certificate_sha256), account
    )


async def prove(desk: Desk, who: Caller, password: str) -> Proof:
    """Return the proof that the password is this caller's account's; the first half of Login.

    Raises LOGIN_FAILED, with one text and after one time for every cause, and counts it;
    LOGIN_THROTTLED; LOGIN_LOCKED; RATE_LIMITED; and after the right password only, so that it tells
    nobody else anything, PASSWORD_BLOCKED or SECRET_REPLACED.
    """
    async with desk.queue.turn(who.attempt):
        async with desk.database.transaction() as tx:
            locked = await throttle.check(tx, who.attempt, desk.clock.now_us())
            found = await accounts.read_credential(tx, who.subject.organisation, who.account)
            bound = found if found is not None and _bound(found.account, who.subject) else None
            if locked and not (bound is not None and await _is_last(desk, tx, bound.account)):
                raise refuse(Reason.LOGIN_LOCKED)
            # Whether there is one or not, the same is asked.
            other = await service_secrets.read(tx, who.subject.organisation, who.account)
        proof = await _proven(desk, who, (bound, other), password)
        if proof is None:
            async with desk.database.transaction() as tx:
                await throttle.count(tx, who.attempt, desk.rules.throttle, desk.clock.now_us())
            raise refuse(Reason.LOGIN_FAILED)
    await _require_open(desk, proof)
    outdated = proof.other is None and desk.passwords.outdated(proof.credential.password_hash)
    return replace(proof, new_hash=await desk.passwords.hash(password) if outdated else None)


async def open_session(desk: Desk, tx: Transaction, proof: Proof) -> Grant:
    """Open a session and return its first token; the second half of Login.

    A service account's next secret is put in force. Raises LOGIN_FAILED when the account was
    changed since it was proven.
    """
    account, until_us = await service_secrets.redeem(
        tx, (proof.credential, proof.other), desk.profile, desk.clock.now_us()
    )
    await throttle.clear(tx, proof.caller.attempt)
    await accounts.note_login(tx, account, desk.clock.now_us())
    if proof.new_hash is not None:
        await accounts.rehash(tx, proof.credential, proof.new_hash)
    grant = await begin(desk, tx, account, proof.caller, until_us)
    if until_us < NEVER_US:
        state = PasswordState.WARNED
        return replace(grant, password_state=state, password_expires_us=until_us, shown="former")
    taken = account.secret_rotations != proof.credential.account.secret_rotations
    return replace(grant, shown="taken") if taken else grant


async def begin(
    desk: Desk, tx: Transaction, account: Account, who: Caller, until_us: int = NEVER_US
) -> Grant:
    """Open a session of an account that was proven, until then at most; return its first token."""
    now_us = desk.clock.now_us()
    limits = desk.rules.session
    opened = await session.create(
        tx, account.organisation, account.name, who.certificate_sha256, limits, now_us, until_us
    )
    return grant(desk, account, str(who.subject), opened, now_us)


async def refresh(desk: Desk, tx: Transaction, who: Principal) -> Grant:
    """Return a fresh token of the same session.

    Raises SESSION_UNKNOWN when it has ended, run out, or was idle too long.
    """
    now_us = desk.clock.now_us()
    standing = await _standing(desk, tx, who, now_us)
    return grant(desk, standing.account, str(who.subject), standing.session, now_us)


async def exchange(desk: Desk, tx: Transaction, who: Principal, certificate_sha256: bytes) -> Grant:
    """Return a token for the certificate that follows the caller's, ending when its session does.

    RFC 8705 section 6.3: a token dies with its certificate; so its successor gets one of its own.
    Raises SESSION_UNKNOWN as `refresh` does.
    """
    now_us = desk.clock.now_us()
    standing = await _standing(desk, tx, who, now_us)
    held = await session.follow(tx, standing.session, certificate_sha256, now_us)
    return grant(desk, standing.account, str(who.subject), held, now_us)


async def confirm(desk: Desk, tx: Transaction, who: Principal, proof: Proof) -> int:
    """Note in the caller's session that its password was shown again, and return when.

    Raises LOGIN_FAILED when the account was changed since it was proven, SESSION_UNKNOWN when the
    session has ended.
    """
    now_us = desk.clock.now_us()
    account = proof.credential.account
    if await accounts.read(tx, account.organisation, account.name) != account:
        raise refuse(Reason.LOGIN_FAILED)
    if not await session.confirm(tx, who.session, now_us):
        raise refuse(Reason.SESSION_UNKNOWN)
    await throttle.clear(tx, proof.caller.attempt)
    return now_us


async def logout(desk: Desk, tx: Transaction, who: Principal) -> None:
    """End the session; every token of it is void from the commit on.

    Raises SESSION_UNKNOWN when it had ended.
    """
    if not await session.end(tx, who.session, desk.clock.now_us()):
        raise refuse(Reason.SESSION_UNKNOWN)


async def _standing(desk: Desk, tx: Transaction, who: Principal, now_us: int) -> Standing:
    """Return the caller's session, noted as in use; raises SESSION_UNKNOWN where it is over."""
    standing = await principal.read_standing(tx, who.session)
    idle = standing is None or standing.session.idle(desk.rules.session, now_us)
    if standing is None or idle or not standing.session.alive(now_us):
        raise refuse(Reason.SESSION_UNKNOWN)
    if not await session.touch(tx, who.session, now_us):
        raise refuse(Reason.SESSION_UNKNOWN)
    return standing


async def _proven(
    desk: Desk, who: Caller, held: tuple[Credential | None, Other | None], password: str
) -> Proof | None:
    """Return the proof, None for a wrong password or one that is of no use.

    For a system's certificate two hashes are computed, whatever there is: nobody learns from the
    time whether the account has two secrets, or is there at all.
    """
    credential, other = held
    usable = credential if credential is not None and _usable(credential.account, desk) else None
    first = None if usable is None else usable.password_hash
    if await desk.passwords.matches(first, password) and usable is not None:
        return Proof(who, usable, None)
    if who.subject.kind != "sys":
        return None
    second = service_secrets.of_use(credential, other, desk.clock.now_us())
    right = await desk.passwords.matches(None if second is None else second.hash, password)
    return Proof(who, credential, None, second) if right and credential is not None else None


async def _require_open(desk: Desk, proof: Proof) -> None:
    """Return when the password, which was right, still opens a session.

    Raises PASSWORD_BLOCKED, SECRET_REPLACED.
    """
    account, other, now_us = proof.credential.account, proof.other, desk.clock.now_us()
    if other is not None and not other.former:
        return
    if other is not None and not other.opens(now_us):
        raise refuse(Reason.SECRET_REPLACED)
    if not account.blocked(desk.profile, now_us):
        return
    async with desk.database.transaction() as tx:
        if not await _is_last(desk, tx, account):
            raise refuse(Reason.PASSWORD_BLOCKED)


async def _is_last(desk: Desk, tx: Transaction, account: Account) -> bool:
    return await last_admin.is_last(tx, account, desk.profile, desk.clock.now_us())


def _bound(account: Account, subject: Subject) -> bool:
    own = (account.organisation, account.subject_kind, account.subject_name)
    return own == (subject.organisation, subject.kind, subject.name)


def _usable(account: Account, desk: Desk) -> bool:
    # An expired password still opens a session in which to change it; an expired one-time password
    # opens nothing.
    spent = account.must_change and desk.clock.now_us() >= account.password_expires_us
    return account.active and not spent


def grant(desk: Desk, account: Account, subject: str, held: session.Session, now_us: int) -> Grant:
    """Return a fresh token of a session that stands."""
    profile = desk.profile
    issued_s = now_us // US_PER_S
    life_s = desk.rules.session.token_minutes * MINUTE_US // US_PER_S
    claims = Claims(
        organisation=account.organisation,
        account=account.name,
        subject=subject,
        session=held.sid,
        roles=tuple(sorted(principal.roles_of(Standing(held, account)))),
        password_epoch=account.password_epoch,
        role_epoch=account.role_epoch,
        certificate_sha256=held.certificate_sha256,
        issued_s=issued_s,
        # Never beyond the session: its end is the token's too.
        expires_s=min(issued_s + life_s, held.expires_us // US_PER_S),
    )
    ends_us = account.ends_us(profile)
    state = principal.password_state(account, profile, now_us)
    warning = profile.warning(ends_us, now_us) if state is PasswordState.WARNED else None
    return Grant(
        desk.minter.mint(claims), claims.expires_us, account, held.sid, state, ends_us, warning
    )
