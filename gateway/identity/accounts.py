"""Accounts: who may log in, with which certificate subject, in which role.

The administration door opens and resets accounts without ever reading a hash; only the identity
door reads one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.errors import Reason, refuse
from gateway.identity import roles as duties
from gateway.identity import session, throttle
from gateway.identity.rules import HOUR_US, Profile
from gateway.names import ACCOUNT_NAME, SubjectKind
from gateway.registry import systems
from gateway.registry.fields import Wrong
from gateway.store.database import Transaction

ACTIVE, SUSPENDED, UNUSED = 1, 2, 3

# What every reader of accounts selects, in the order of `of_row`.
COLUMNS = (
    "organisation, name, roles, subject_kind, subject_name, state, password_set_us,"
    " password_expires_us, must_change, password_epoch, role_epoch, secret_rotations"
)
# Constants only, here and below: no value ever stands in the text.
_READ = f"SELECT {COLUMNS} FROM gateway.account WHERE organisation = %s AND name = %s"  # noqa: S608
_READ_CREDENTIAL = (
    f"SELECT {COLUMNS}, password_hash, history FROM gateway.account"  # noqa: S608
    " WHERE organisation = %s AND name = %s"
)
_BOUND = (
    "SELECT name FROM gateway.account WHERE organisation = %s AND subject_kind = %s"
    " AND subject_name = %s AND state = 1 LIMIT 2"
)
_OTHERS = (
    "SELECT roles FROM gateway.account"
    " WHERE organisation = %s AND subject_kind = %s AND subject_name = %s AND name <> %s"
)
_HOLD_BEARER = (
    "SELECT 1 FROM gateway.system"
    " WHERE organisation = %s AND kind = %s AND name = %s FOR NO KEY UPDATE"
)
_INSERT = (
    "INSERT INTO gateway.account (organisation, name, roles, subject_kind, subject_name, state,"
    " password_hash, password_set_us, password_expires_us, must_change, password_epoch, role_epoch,"
    " history, created_us) VALUES (%s, %s, %s, %s, %s, 1, %s, %s, %s, true, 0, 0, '{}', %s)"
    " ON CONFLICT (organisation, name) DO NOTHING"
)
_RESET = (
    "UPDATE gateway.account SET password_hash = %s, password_set_us = %s,"
    " password_expires_us = %s, must_change = true, password_epoch = password_epoch + 1"
    " WHERE organisation = %s AND name = %s"
)
_SET = (
    "UPDATE gateway.account SET password_hash = %s, password_set_us = %s,"
    " password_expires_us = %s, must_change = false, password_epoch = password_epoch + 1,"
    " history = %s WHERE organisation = %s AND name = %s AND state = 1 AND password_epoch = %s"
)
_END_OTHER = "DELETE FROM gateway.other_secret WHERE organisation = %s AND account = %s"
_USED = (
    "UPDATE gateway.account SET last_login_us = %s, unused_told_us = NULL"
    " WHERE organisation = %s AND name = %s"
)
_REHASH = (
    "UPDATE gateway.account SET password_hash = %s"
    " WHERE organisation = %s AND name = %s AND password_hash = %s"
)


@dataclass(frozen=True, slots=True)
class Account:
    """An account without its secrets.

    The epochs grow with each change of password or roles; tokens carry them. A service account's
    secret follows another without one (`service_secrets`).
    """

    organisation: str
    name: str
    roles: tuple[str, ...]
    subject_kind: SubjectKind
    subject_name: str
    state: int
    password_set_us: int
    password_expires_us: int
    must_change: bool
    password_epoch: int
    role_epoch: int
    secret_rotations: int = 0

    @property
    def active(self) -> bool:
        """Whether it may be used."""
        return self.state == ACTIVE

    def ends_us(self, profile: Profile) -> int:
        """Return when the password ends: as set, or earlier by a stricter policy since."""
        if self.must_change:
            return self.password_expires_us
        return profile.ends_us(self.password_set_us, self.password_expires_us)

    def blocked(self, profile: Profile, now_us: int) -> bool:
        """Whether its password opens nothing any more: past its grace, or a one-time one's day."""
        ends_us = self.ends_us(profile)
        return now_us >= (ends_us if self.must_change else profile.blocks_us(ends_us))


@dataclass(frozen=True, slots=True)
class Credential:
    """An account with the hash of its password and of its former ones, newest last.

    For the identity door alone.
    """

    account: Account
    password_hash: str = field(repr=False)
    history: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to open; whether a system or an officer bears it follows from the roles."""

    organisation: str
    name: str
    roles: tuple[str, ...]
    subject_name: str


async def read(tx: Transaction, organisation: str, name: str) -> Account | None:
    """Return the account, or None."""
    row = await tx.fetch_one(_READ, (organisation, name))
    return None if row is None else of_row(row)


async def read_credential(tx: Transaction, organisation: str, name: str) -> Credential | None:
    """Return the account with its hashes, or None."""
    row = await tx.fetch_one(_READ_CREDENTIAL, (organisation, name))
    return None if row is None else Credential(of_row(row[:-2]), row[-2], tuple(row[-1]))


async def only_of(tx: Transaction, organisation: str, kind: SubjectKind, subject_name: str) -> str:
    """Return the name of the one account that a bearer may use, "" with none or several."""
    found = await tx.fetch(_BOUND, (organisation, kind, subject_name))
    return found[0][0] if len(found) == 1 else ""


async def create(
    tx: Transaction, wanted: NewAccount, one_time_hash: str, profile: Profile, now_us: int
) -> Account:
    """Open an account with a one-time password (`Passwords.one_time`) and return it.

    Raises FIELD_INVALID with violations, ALREADY_EXISTS.
    """
    await _check(tx, wanted)
    kind = duties.subject_kind(wanted.roles)
    expires_us = now_us + profile.one_time_hours * HOUR_US
    roles = tuple(sorted(set(wanted.roles)))
    who = (wanted.organisation, wanted.name, list(roles), kind, wanted.subject_name)
    if not await tx.execute(_INSERT, (*who, one_time_hash, now_us, expires_us, now_us)):
        raise refuse(Reason.ALREADY_EXISTS)
    return Account(
        wanted.organisation,
        wanted.name,
        roles,
        kind,
        wanted.subject_name,
        ACTIVE,
        now_us,
        expires_us,
        True,
        0,
        0,
    )


async def reset(
    tx: Transaction, organisation: str, name: str, one_time_hash: str, profile: Profile, now_us: int
) -> Account:
    """Give an account a one-time password, end its sessions and lift its blocks.

    Raises NOT_FOUND.
    """
    expires_us = now_us + profile.one_time_hours * HOUR_US
    await tx.execute(_RESET, (one_time_hash, now_us, expires_us, organisation, name))
    account = await read(tx, organisation, name)
    if account is None:
        raise refuse(Reason.NOT_FOUND)
    await end_other_secret(tx, organisation, name)
    await session.end_all(tx, organisation, name, now_us)
    await throttle.lift(tx, organisation, name)
    return account


async def set_password(
    tx: Transaction, held: Credential, new_hash: str, profile: Profile, now_us: int
) -> Account:
    """Replace the password and return the account as it is then.

    Raises REVISION_STALE when it was replaced meanwhile. The new hash joins the history at once, so
    that a reset need not read it.
    """
    history = [*held.history, new_hash][-profile.history_count :]
    account = replace(
        held.account,
        password_set_us=now_us,
        password_expires_us=profile.expires_us(now_us),
        must_change=False,
        password_epoch=held.account.password_epoch + 1,
    )
    values = (new_hash, now_us, account.password_expires_us, history)
    key = (account.organisation, account.name, held.account.password_epoch)
    if not await tx.execute(_SET, (*values, *key)):
        raise refuse(Reason.REVISION_STALE)
    await end_other_secret(tx, account.organisation, account.name)
    return account


async def end_other_secret(tx: Transaction, organisation: str, name: str) -> None:
    """End a service account's next or former secret, where it has one (`service_secrets`)."""
    await tx.execute(_END_OTHER, (organisation, name))


async def rehash(tx: Transaction, held: Credential, new_hash: str) -> None:
    """Store the same password under today's parameters, unless it was replaced meanwhile."""
    await tx.execute(
        _REHASH, (new_hash, held.account.organisation, held.account.name, held.password_hash)
    )


async def note_login(tx: Transaction, account: Account, now_us: int) -> None:
    """Note that somebody came in with the account."""
    await tx.execute(_USED, (now_us, account.organisation, account.name))


def of_row(row: Sequence[Any]) -> Account:  # Any: the columns of COLUMNS, in their types
    """Return the account of a row of COLUMNS."""
    organisation, name, roles, *rest = row
    return Account(organisation, name, tuple(roles), *rest)


async def check_roles(
    tx: Transaction, account: NewAccount, wrong: Wrong, field_name: str = "roles"
) -> None:
    """Note what is wrong with the roles of an account that is to be, its person's others beside.

    Waits for whoever gives this person another account's roles at the same time.
    """
    kind = duties.subject_kind(account.roles)
    who = (account.organisation, kind, account.subject_name)
    await tx.execute(_HOLD_BEARER, who)
    others = await tx.fetch(_OTHERS, (*who, account.name))
    for rule in duties.faults(account.roles, [row[0] for row in others]):
        wrong.add(field_name, rule)


async def _check(tx: Transaction, wanted: NewAccount) -> None:
    wrong = Wrong()
    wrong.unless(ACCOUNT_NAME.fullmatch(wanted.name), "account_name", "account-name")
    await check_roles(tx, wanted, wrong)
    kind = duties.subject_kind(wanted.roles)
    system = await systems.read(tx, wanted.organisation, kind, wanted.subject_name)
    wrong.unless(system is not None and system.active, "system_name", "account-system")
    wrong.refuse_if_any()
