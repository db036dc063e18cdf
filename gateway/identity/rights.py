"""What an account may, changed by an officer: its roles, whether it may be used, its lock.

Nobody changes his own: neither the account he came with nor another of the same certificate
subject. The province keeps one administrator who can come in. A change of roles or state ends the
account's sessions; with the roles' epoch every token of them is void at every door.
"""

from dataclasses import dataclass, replace

from gateway.errors import Reason, refuse
from gateway.identity import accounts, last_admin, roles, session, throttle
from gateway.identity.accounts import ACTIVE, Account, NewAccount
from gateway.identity.rules import Profile
from gateway.names import Subject
from gateway.registry.fields import Wrong
from gateway.store.database import Transaction

_SET_ROLES = (
    "UPDATE gateway.account SET roles = %s, role_epoch = role_epoch + 1"
    " WHERE organisation = %s AND name = %s"
)
_SET_STATE = (
    "UPDATE gateway.account SET state = %s, active_since_us = CASE WHEN %s = 1 THEN %s"
    " ELSE active_since_us END, unused_told_us = NULL WHERE organisation = %s AND name = %s"
)


@dataclass(frozen=True, slots=True)
class Officer:
    """Who changes something, under which policy, when."""

    subject: Subject
    profile: Profile
    now_us: int


def require_another_person(subject: Subject, organisation: str, kind: str, name: str) -> None:
    """Return when a certificate subject is not this officer's own; raises OWN_ACCOUNT."""
    if (subject.organisation, subject.kind, subject.name) == (organisation, kind, name):
        raise refuse(Reason.OWN_ACCOUNT)


async def set_roles(
    tx: Transaction, key: tuple[str, str], wanted: tuple[str, ...], by: Officer
) -> Account:
    """Give an account (organisation, name) these roles instead of its own, and end its sessions.

    Raises NOT_FOUND, OWN_ACCOUNT, FIELD_INVALID with violations, LAST_ADMIN. Equal roles change
    nothing.
    """
    account = await others_account(tx, key, by)
    given = tuple(sorted(set(wanted)))
    wrong = Wrong()
    as_wanted = NewAccount(account.organisation, account.name, given, account.subject_name)
    await accounts.check_roles(tx, as_wanted, wrong)
    # The certificate stays: a system's account does not become a person's.
    same_kind = roles.subject_kind(given) == account.subject_kind
    wrong.unless(same_kind, "roles", "account-roles-bearer")
    wrong.refuse_if_any()
    if given == account.roles:
        return account
    if roles.ADMIN not in given:
        await last_admin.require_another(tx, account, by.profile, by.now_us)
    await tx.execute(_SET_ROLES, (list(given), *key))
    await session.end_all(tx, *key, by.now_us)
    return replace(account, roles=given, role_epoch=account.role_epoch + 1)


async def set_state(tx: Transaction, key: tuple[str, str], state: int, by: Officer) -> Account:
    """Suspend an account, or let it be used again; ends its sessions.

    Taken up again it counts as fresh: it is not disabled for the time before. Raises NOT_FOUND,
    OWN_ACCOUNT, LAST_ADMIN.
    """
    account = await others_account(tx, key, by, leaving=state != ACTIVE)
    if state == account.state:
        return account
    if state != ACTIVE:
        await last_admin.require_another(tx, account, by.profile, by.now_us)
    await tx.execute(_SET_STATE, (state, state, by.now_us, *key))
    await session.end_all(tx, *key, by.now_us)
    return replace(account, state=state)


async def unlock(tx: Transaction, key: tuple[str, str], by: Officer) -> Account:
    """Lift lock and blocks of an account; its password stays. Raises NOT_FOUND, OWN_ACCOUNT."""
    account = await others_account(tx, key, by)
    await throttle.lift(tx, *key)
    return account


async def others_account(
    tx: Transaction, key: tuple[str, str], by: Officer, *, leaving: bool = False
) -> Account:
    """Return an account that is not the officer's own; raises NOT_FOUND, OWN_ACCOUNT.

    Only to suspend oneself is left to everybody (`leaving`).
    """
    account = await accounts.read(tx, *key)
    if account is None:
        raise refuse(Reason.NOT_FOUND)
    if not leaving:
        whose = (account.organisation, account.subject_kind, account.subject_name)
        require_another_person(by.subject, *whose)
    return account
