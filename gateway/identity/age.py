"""Since when passwords may be no older than they may be: the store remembers it across starts.

A policy that is tightened while passwords are in use ends them earlier, and their owners must be
warned first; so each door tells the age it was started with, and learns since when it is in force.
"""

from gateway.identity.rules import Rules
from gateway.store.database import Transaction

_SINCE = "SELECT gateway.password_age_since(%s, %s)"


async def in_force(tx: Transaction, rules: Rules, now_us: int) -> Rules:
    """Return the rules knowing since when their profile's age is in force; raises StoreError."""
    [(since_us,)] = await tx.fetch(_SINCE, (rules.active.maximum_age_days, now_us))
    return rules.tightened(since_us)
