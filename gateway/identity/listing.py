"""Accounts as lists and duties see them: with how they are used, and whether they are locked."""

from dataclasses import dataclass
from typing import Any

from gateway.identity import accounts
from gateway.identity.accounts import Account
from gateway.store.database import Transaction

# What a page of a list holds at most (design/contract.md, "Pagination").
MOST_ACCOUNTS = 1000

# When it was last used, or made or taken up again since.
_USED_US = "greatest(created_us, active_since_us, coalesce(last_login_us, 0))"
_LISTED = (
    f"SELECT {accounts.COLUMNS}, last_login_us, {_USED_US}, unused_told_us,"  # noqa: S608
    " EXISTS (SELECT 1 FROM gateway.throttle AS t WHERE t.locked_us IS NOT NULL"
    " AND (t.organisation, t.account, t.lineage)"
    " = (a.organisation, a.name, a.subject_kind || '/' || a.subject_name))"
    " FROM gateway.account AS a"
)
_PAGE = (
    f"{_LISTED} WHERE (organisation, name) > (%s, %s)"
    " AND (%s = '' OR organisation = %s) ORDER BY organisation, name LIMIT %s"
)
_ONE = f"{_LISTED} WHERE organisation = %s AND name = %s"
_LEFT_ALONE = (
    f"{_LISTED} WHERE state = 1 AND {_USED_US} <= %s"
    " ORDER BY unused_told_us NULLS FIRST, organisation, name LIMIT %s"
)


@dataclass(frozen=True, slots=True)
class Listed:
    """An account and how it is used, in microseconds.

    `used_us` is when it was last used, or made or taken up again since; `unused_told_us` when it
    was told that nobody uses it; `locked` whether its own lineage failed too often.
    """

    account: Account
    last_login_us: int | None
    used_us: int
    unused_told_us: int | None
    locked: bool

    @property
    def key(self) -> tuple[str, str]:
        """Organisation and name."""
        return self.account.organisation, self.account.name


async def page(
    tx: Transaction, organisation: str, after: tuple[str, str], limit: int
) -> list[Listed]:
    """Return at most `limit` accounts after (organisation, name), in that order.

    Organisation "" means all of them.
    """
    parameters = (*after, organisation, organisation, min(limit, MOST_ACCOUNTS))
    return [_listed(row) for row in await tx.fetch(_PAGE, parameters)]


async def listed(tx: Transaction, organisation: str, name: str) -> Listed | None:
    """Return an account and how it is used, or None."""
    row = await tx.fetch_one(_ONE, (organisation, name))
    return None if row is None else _listed(row)


async def left_alone(tx: Transaction, before_us: int, limit: int) -> list[Listed]:
    """Return at most so many active accounts last used then or earlier, those not told of first."""
    return [_listed(row) for row in await tx.fetch(_LEFT_ALONE, (before_us, limit))]


def _listed(row: tuple[Any, ...]) -> Listed:  # Any: the columns of _LISTED, in their types
    return Listed(accounts.of_row(row[:-4]), *row[-4:])
