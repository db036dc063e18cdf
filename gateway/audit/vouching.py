"""How far the log is vouched for from outside: checkpoints offered to witnesses, what came back.

A checkpoint is offered for a while (`offer`), so that the lines of many witnesses meet on one note.
Confirmed is the newest that suffices by the quorum (`confirmed`); what comes after it is the tail:
were it rewritten together with the signer's state, nobody outside could tell (`tail`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.clock import US_PER_S
from gateway.config.witnesses import WitnessRules
from gateway.store.database import Transaction
from gateway.tlog.cosignature import WitnessKey
from gateway.tlog.note import Verifier
from gateway.tlog.policy import NONE, Policy, PolicyError, by_organisation

# A witness that did not answer for so many offers is no reason to look further back.
_LOOK_BACK = 500
# A note has room for a hundred lines (`note.SIGNATURES_MAX`), the log's own among them.
_LINES_MAX = 90
_NEWEST = "SELECT size, note, offered_us FROM gateway.offered_checkpoint ORDER BY size DESC LIMIT 1"
_OFFER = (
    "INSERT INTO gateway.offered_checkpoint (size, note, offered_us) VALUES (%s, %s, %s)"
    " ON CONFLICT (size) DO NOTHING"
)
_NOTE = "SELECT note FROM gateway.offered_checkpoint WHERE size = %s"
_STORE = (
    "INSERT INTO gateway.cosignature (size, vkey, line, time_s, received_us)"
    " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (size, vkey) DO NOTHING"
)
# When a checkpoint's newest entry was made, and what a witness stated of smaller and larger ones.
_AROUND = (
    "SELECT (SELECT time_us FROM gateway.audit_entry WHERE idx = %s),"
    " (SELECT max(time_s) FROM gateway.cosignature WHERE vkey = %s AND size < %s),"
    " (SELECT min(time_s) FROM gateway.cosignature WHERE vkey = %s AND size > %s)"
)
_COSIGNED = (
    "SELECT o.size, o.note, array_agg(c.vkey ORDER BY c.vkey), array_agg(c.line ORDER BY c.vkey)"
    " FROM gateway.offered_checkpoint AS o JOIN gateway.cosignature AS c ON c.size = o.size"
    " GROUP BY o.size, o.note ORDER BY o.size DESC LIMIT %s"
)
_TAIL = (
    "SELECT h.size, e.time_us FROM gateway.audit_head AS h"
    " LEFT JOIN gateway.audit_entry AS e ON e.idx = %s"
)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A checkpoint that suffices: its size, and its note with the lines of those that count."""

    size: int
    note: str


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of the log that no quorum vouches for: entries, and the age of the oldest, seconds.

    `confirmed_size` is where it begins; `asked`: whether the policy asks for witnesses at all.
    """

    entries: int
    age_s: float
    confirmed_size: int
    asked: bool

    def too_long(self, rules: WitnessRules, now_us: int) -> bool:
        """Return whether it is past the policy's limits."""
        long = self.entries > rules.tail_entries or self.age_s > rules.longest_s(now_us)
        return self.asked and long


def quorum(
    logs: Sequence[Verifier], witnesses: Sequence[tuple[str, WitnessKey]], rules: WitnessRules
) -> Policy | None:
    """Return by which witnesses, each with its organisation, a checkpoint is confirmed.

    None while there are fewer organisations than must suffice.
    """
    try:
        return by_organisation(logs, witnesses, rules.organisations)
    except PolicyError:
        return None


async def offer(
    tx: Transaction, newest: tuple[int, str], rules: WitnessRules, now_us: int
) -> tuple[int, str]:
    """Return size and note of the checkpoint to cosign now; `newest` becomes it when it is time."""
    row = await tx.fetch_one(_NEWEST)
    if row is not None:
        size, note, offered_us = row
        if now_us - offered_us < rules.offer_s * US_PER_S or newest[0] <= size:
            return int(size), str(note)
    await tx.execute(_OFFER, (*newest, now_us))
    return newest


async def offered(tx: Transaction, size: int) -> str | None:
    """Return the note of this size that was offered, None where none was."""
    row = await tx.fetch_one(_NOTE, (size,))
    return None if row is None else str(row[0])


async def store(tx: Transaction, size: int, cosigned: tuple[str, str, int], now_us: int) -> None:
    """Keep a verified cosignature: vkey, line and time in seconds; the first of a key stays."""
    await tx.execute(_STORE, (size, *cosigned, now_us))


async def in_order(tx: Transaction, size: int, vkey: str, time_s: int, skew_s: int) -> bool:
    """Return whether a witness can have cosigned this size at this time, in seconds since 1970.

    Not before the checkpoint's newest entry was made, but for clocks that differ by `skew_s`; not
    before what it cosigned that is smaller, not after what is larger: else its clock, or whoever
    has its key, made the time up.
    """
    row = await tx.fetch_one(_AROUND, (size - 1, vkey, size, vkey, size))
    made_us, smaller_s, larger_s = row or (None, None, None)
    made = made_us is None or time_s + skew_s >= made_us // US_PER_S
    return made and (smaller_s or 0) <= time_s and (larger_s is None or time_s <= larger_s)


async def confirmed(tx: Transaction, policy: Policy | None) -> Confirmed | None:
    """Return the newest checkpoint that suffices by the policy; None where none does."""
    if policy is None or policy.quorum == NONE:
        return None
    by_vkey = {str(key): key for key in policy.witnesses.values()}
    for size, note, vkeys, lines in await tx.fetch(_COSIGNED, (_LOOK_BACK,)):
        cosigned = dict(zip(vkeys, lines, strict=True))
        counting = {by_vkey[vkey]: cosigned[vkey] for vkey in vkeys if vkey in by_vkey}
        if policy.suffices(counting.keys()):
            return Confirmed(size, note + "".join(_few(counting, policy).values()))
    return None


def _few(counting: dict[WitnessKey, str], policy: Policy) -> dict[WitnessKey, str]:
    """Return no more lines than a note carries; those that are left still suffice."""
    kept = dict(counting)
    for key in counting:
        if len(kept) <= _LINES_MAX:
            break
        if policy.suffices(kept.keys() - {key}):
            del kept[key]
    return kept


async def tail(tx: Transaction, policy: Policy | None, now_us: int) -> Tail:
    """Return how much of the log is un-witnessed now."""
    found = await confirmed(tx, policy)
    begin = 0 if found is None else found.size
    row = await tx.fetch_one(_TAIL, (begin,))
    size, oldest_us = (0, None) if row is None else row
    age_s = 0.0 if oldest_us is None else max(0, now_us - oldest_us) / US_PER_S
    asked = policy is None or policy.quorum != NONE
    return Tail(max(0, size - begin), age_s, begin, asked)
