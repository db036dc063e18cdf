"""The last administrator of the province: slowed like everybody, never locked out.

Who is the last is asked where somebody would be: at a lock, past the grace of a password, when an
account is suspended, disabled or loses the role. Another administrator counts only where he could
come in: active, his certificate's subject too, not locked, with a password that opens something.
"""

from dataclasses import dataclass

from gateway.errors import Reason, refuse
from gateway.identity import accounts, roles
from gateway.identity.accounts import Account
from gateway.identity.rules import Profile
from gateway.registry.organisations import Kind
from gateway.store.database import Transaction

# Constants only. The rows are locked where they are about to be changed, in one order: two
# administrators who suspend each other wait for each other.
_ADMINS = (
    "SELECT a.organisation, a.name, t.locked_us IS NOT NULL FROM gateway.account AS a"
    " JOIN gateway.organisation AS o ON o.code = a.organisation AND o.kind = %s"
    " JOIN gateway.system AS s ON (s.organisation, s.kind, s.name)"
    " = (a.organisation, a.subject_kind, a.subject_name) AND s.state = 1"
    " LEFT JOIN gateway.throttle AS t ON (t.organisation, t.account, t.lineage)"
    " = (a.organisation, a.name, a.subject_kind || '/' || a.subject_name)"
    " WHERE a.state = 1 AND %s = ANY (a.roles) ORDER BY a.organisation, a.name"
)
_LOCKING = f"{_ADMINS} FOR NO KEY UPDATE OF a"


@dataclass(frozen=True, slots=True)
class _Admin:
    account: Account
    locked: bool

    def able(self, profile: Profile, now_us: int) -> bool:
        return not self.locked and not self.account.blocked(profile, now_us)


async def is_last(
    tx: Transaction, account: Account, profile: Profile, now_us: int, *, locking: bool = False
) -> bool:
    """Return whether nobody could administer the province without this account.

    With `locking` that stays so until the transaction ends; for who may change accounts.
    """
    found = await _admins(tx, locking=locking)
    key = (account.organisation, account.name)
    others = [one for one in found if (one.account.organisation, one.account.name) != key]
    return len(others) < len(found) and not any(one.able(profile, now_us) for one in others)


async def require_another(tx: Transaction, account: Account, profile: Profile, now_us: int) -> None:
    """Return when the province can do without this account; raises LAST_ADMIN."""
    if await is_last(tx, account, profile, now_us, locking=True):
        raise refuse(Reason.LAST_ADMIN)


async def _admins(tx: Transaction, *, locking: bool) -> list[_Admin]:
    rows = await tx.fetch(_LOCKING if locking else _ADMINS, (int(Kind.PROVINCE), roles.ADMIN))
    read = [(await accounts.read(tx, *row[:2]), row[2]) for row in rows]
    return [_Admin(account, locked) for account, locked in read if account is not None]
