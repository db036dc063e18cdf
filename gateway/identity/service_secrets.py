"""A service account's two secrets: the one in force in the account's row, the other one here.

    own row     other row                 opens sessions
    current     -                         current
    current     next, not used yet        both; unused, the next one lapses at `ends_us`
    current     former, replaced          both until `ends_us`, then current

The first login with the next one exchanges the two, in one transaction: whoever is killed between
two steps gets in with one of the two he knows. An officer's reset ends both.
"""

import re
from dataclasses import dataclass, field, replace
from itertools import pairwise

from gateway.errors import Reason, Violation, refuse
from gateway.identity import accounts, session, strength
from gateway.identity.accounts import Account, Credential
from gateway.identity.rules import NEVER_US, Profile, Rules, ServiceRules
from gateway.store.database import Transaction

FIELD = "new_secret"
# RFC 4648 section 5: what `secrets.token_urlsafe` is made of; 6 bits each.
_ALPHABET = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
# So many characters in a row, or in the alphabet's order, no generator gives in a thousand years.
_LONGEST_RUN = 6
_COLUMNS = "secret_hash, made_us, request_id, ends_us, taken_us"
_READ = f"SELECT {_COLUMNS} FROM gateway.other_secret WHERE organisation = %s AND account = %s"  # noqa: S608
_HOLD = "SELECT 1 FROM gateway.account WHERE organisation = %s AND name = %s FOR NO KEY UPDATE"
_PUT = (
    "INSERT INTO gateway.other_secret"
    " (organisation, account, secret_hash, made_us, request_id, ends_us, taken_us)"
    " VALUES (%s, %s, %s, %s, %s, %s, NULL) ON CONFLICT (organisation, account) DO UPDATE"
    " SET secret_hash = EXCLUDED.secret_hash, made_us = EXCLUDED.made_us,"
    " request_id = EXCLUDED.request_id, ends_us = EXCLUDED.ends_us, taken_us = NULL"
)
_REPLACED = (
    "UPDATE gateway.other_secret SET secret_hash = %s, taken_us = %s"
    " WHERE organisation = %s AND account = %s"
)
_IN_FORCE = (
    "UPDATE gateway.account SET password_hash = %s, password_set_us = %s,"
    " password_expires_us = %s, must_change = false, secret_rotations = secret_rotations + 1,"
    " history = %s WHERE organisation = %s AND name = %s"
)
_OVERLAPPING = "SELECT organisation, account FROM gateway.other_secret WHERE ends_us > %s"


@dataclass(frozen=True, slots=True)
class Other:
    """The other secret of a service account; times in microseconds."""

    hash: str = field(repr=False)
    made_us: int
    request_id: str
    ends_us: int
    taken_us: int | None

    @property
    def former(self) -> bool:
        """Whether it was replaced; else it is the next one, which nobody used yet."""
        return self.taken_us is not None

    def opens(self, now_us: int) -> bool:
        """Whether it opens sessions."""
        return now_us < self.ends_us


async def read(tx: Transaction, organisation: str, name: str) -> Other | None:
    """Return the other secret of an account, None where there is none."""
    row = await tx.fetch_one(_READ, (organisation, name))
    return None if row is None else Other(*row)


async def overlapping(tx: Transaction, now_us: int) -> set[tuple[str, str]]:
    """Return organisation and name of the accounts that two secrets open."""
    return {(row[0], row[1]) for row in await tx.fetch(_OVERLAPPING, (now_us,))}


async def hold(tx: Transaction, account: Account) -> None:
    """Let nobody else exchange or give secrets of this account until the transaction's end."""
    await tx.execute(_HOLD, (account.organisation, account.name))


async def give(
    tx: Transaction, account: Account, new_hash: str, request_id: str, bounds: tuple[int, int]
) -> None:
    """Put the next secret beside the account's own; `bounds` is when it is made and when it ends.

    What stood there before opens nothing any more.
    """
    made_us, ends_us = bounds
    key = (account.organisation, account.name)
    await tx.execute(_PUT, (*key, new_hash, made_us, request_id, ends_us))


def of_use(held: Credential | None, other: Other | None, now_us: int) -> Other | None:
    """Return the other secret where it is worth comparing.

    A former one always: who still shows it is told that it was replaced.
    """
    if held is None or not held.account.active or other is None:
        return None
    return other if other.former or other.opens(now_us) else None


async def redeem(
    tx: Transaction, proven: tuple[Credential, Other | None], profile: Profile, now_us: int
) -> tuple[Account, int]:
    """Return the account, and until when sessions last that the shown secret opens.

    `proven` is what the secret was proven against, before this transaction: the account's own or
    its other one. They may have been exchanged meanwhile, never reset. The next one is put in force
    here. Of a person's account nothing may have changed. Raises LOGIN_FAILED.
    """
    held, shown = proven
    account = held.account
    if shown is None and await accounts.read(tx, account.organisation, account.name) == account:
        return account, NEVER_US
    await hold(tx, account)
    fresh = await accounts.read_credential(tx, account.organisation, account.name)
    service = account.subject_kind == "sys"
    if fresh is None or not service or _lasting(fresh.account) != _lasting(account):
        raise refuse(Reason.LOGIN_FAILED)
    text = held.password_hash if shown is None else shown.hash
    if text == fresh.password_hash:
        return fresh.account, NEVER_US
    other = await read(tx, account.organisation, account.name)
    if other is None or other.hash != text or not other.opens(now_us):
        raise refuse(Reason.LOGIN_FAILED)
    if other.former:
        return fresh.account, other.ends_us
    return await _take(tx, fresh, other, profile, now_us), NEVER_US


def judge(secret: str, rules: ServiceRules) -> list[Violation]:
    """Return the rules that a new secret breaks: made by a generator, or not.

    A person's rules would be wrong here: of 43 random characters none is a word.
    """
    if not _ALPHABET.fullmatch(secret) or not (
        rules.minimum_length <= len(secret) <= rules.maximum_length
    ):
        limits = {"minimum": rules.minimum_length, "maximum": rules.maximum_length}
        return [_violation("SECRET-FORM", limits)]
    if len(set(secret)) < rules.minimum_distinct or longest_run(secret) >= _LONGEST_RUN:
        return [_violation("SECRET-RANDOM", {"minimum": rules.minimum_distinct})]
    return []


def longest_run(text: str) -> int:
    """Return the length of the longest part that repeats one character, or counts up or down."""
    longest, length, before = 1, 1, None
    for one, other in pairwise(text):
        step = ord(other) - ord(one)
        length = length + 1 if step == before else 2
        before = step
        longest = max(longest, length if abs(step) <= 1 else 1)
    return longest


def window(account: Account, rules: Rules, now_us: int) -> tuple[int, int] | None:
    """Return from when until when its client should rotate it; None where nobody need."""
    ends_us = account.ends_us(rules.at(now_us))
    if account.subject_kind != "sys" or account.must_change or ends_us >= NEVER_US:
        return None
    set_us, life_us = account.password_set_us, ends_us - account.password_set_us
    service = rules.service
    return (
        set_us + round(life_us * service.window_from),
        set_us + round(life_us * service.window_until),
    )


async def _take(
    tx: Transaction, held: Credential, other: Other, profile: Profile, now_us: int
) -> Account:
    """Exchange the two; where the one before was a one-time password, end what it opened."""
    before = held.account
    after = replace(
        before,
        password_set_us=other.made_us,
        password_expires_us=profile.expires_us(other.made_us),
        must_change=False,
        secret_rotations=before.secret_rotations + 1,
    )
    history = [*held.history, other.hash][-profile.history_count :]
    key = (before.organisation, before.name)
    times = (after.password_set_us, after.password_expires_us)
    await tx.execute(_IN_FORCE, (other.hash, *times, history, *key))
    await tx.execute(_REPLACED, (held.password_hash, now_us, *key))
    if before.must_change:
        await accounts.end_other_secret(tx, *key)
        await session.end_all(tx, *key, now_us)
    return after


def _lasting(account: Account) -> Account:
    """Return the account without what an exchange of its secrets changes."""
    return replace(
        account, password_set_us=0, password_expires_us=0, must_change=False, secret_rotations=0
    )


def _violation(rule: str, parameters: dict[str, int]) -> Violation:
    found = strength.violation(rule, parameters)
    return replace(found, field=FIELD)
