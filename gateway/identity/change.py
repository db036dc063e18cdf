"""ChangePassword: judging the new password before the audit log's transaction, setting it inside.

The old password is asked for again and counted like a login: a stolen token alone changes nothing
and guesses nothing.
"""

from dataclasses import dataclass, field

from gateway.errors import Reason, Violation, refuse
from gateway.identity import accounts, session, strength
from gateway.identity.accounts import Credential
from gateway.identity.login import Caller, Desk, Grant, again, begin, prove
from gateway.identity.passwords import WrongPasswordError
from gateway.identity.principal import Principal
from gateway.identity.rules import HOUR_US
from gateway.identity.strength import Names
from gateway.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Change:
    """A new password that was found good, to be set once by `apply`."""

    caller: Caller
    credential: Credential
    new_hash: str = field(repr=False)


async def prepare(desk: Desk, who: Principal, organisation_name: str, old: str, new: str) -> Change:
    """Return the change of the principal's password; the first half of ChangePassword.

    Raises LOGIN_FAILED for a wrong old password (counted), LOGIN_THROTTLED, PASSWORD_WEAK with
    violations, RATE_LIMITED.
    """
    caller = again(who)
    proof = await prove(desk, caller, old)
    credential = proof.credential
    names = Names(who.account, organisation_name, who.organisation, desk.rules.blocklist.words)
    wrong = list(await desk.passwords.run(strength.judge, new, old, names, desk.profile))
    wrong += _too_soon(desk, credential)
    if not wrong:
        wrong += await _used_before(desk, credential, new)
    if wrong:
        raise refuse(Reason.PASSWORD_WEAK, violations=tuple(wrong))
    return Change(caller, credential, await desk.passwords.hash(new))


async def apply(desk: Desk, tx: Transaction, change: Change) -> Grant:
    """Set the password, end all sessions of the account and return a token of a fresh one.

    The second half. Raises REVISION_STALE when the password was replaced meanwhile.
    """
    now_us = desk.clock.now_us()
    held, profile = change.credential, desk.profile
    account = await accounts.set_password(tx, held, change.new_hash, profile, now_us)
    await session.end_all(tx, account.organisation, account.name, now_us)
    return await begin(desk, tx, account, change.caller)


def _too_soon(desk: Desk, held: Credential) -> list[Violation]:
    """Judge the least age: without it the history could be run through in a minute.

    Not after a reset.
    """
    hours = desk.profile.minimum_age_hours
    age_us = desk.clock.now_us() - held.account.password_set_us
    if held.account.must_change or age_us >= hours * HOUR_US:
        return []
    return [strength.violation("PW-AGE", {"hours": hours})]


async def _used_before(desk: Desk, held: Credential, new: str) -> list[Violation]:
    for former in held.history[-desk.profile.history_count :]:
        try:
            await desk.passwords.verify(former, new)
        except WrongPasswordError:
            continue
        return [strength.violation("PW-HISTORY")]
    return []
