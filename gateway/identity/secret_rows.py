"""The tables `secret` and `secret_step`: the secrets of the host, what is done to any secret.

Written by the supervisor and the host's commands as the owner; no door's role sees them. Whoever
makes a secret of the host enters it here (`enter`), and notes its use, its successor and its end.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from gateway.identity.lives import HOST, Kept
from gateway.identity.rotation import Kind, Secret
from gateway.store.database import Transaction

# What is noted of a secret: the columns of the same meaning.
Turn = Literal["used", "replaced", "ended"]
_ALL = (
    "SELECT kind, name, generation, key_id, made_us, used_us, replaced_us, ended_us"
    " FROM gateway.secret WHERE ended_us IS NULL ORDER BY kind, name, generation"
)
_NEXT = "SELECT coalesce(max(generation), 0) + 1 FROM gateway.secret WHERE kind = %s AND name = %s"
_ENTER = (
    "INSERT INTO gateway.secret"
    " (kind, name, generation, key_id, made_us, used_us, replaced_us)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
)
_TURNS: dict[Turn, str] = {
    "used": "UPDATE gateway.secret SET used_us = %s WHERE used_us IS NULL",
    "replaced": "UPDATE gateway.secret SET replaced_us = %s WHERE replaced_us IS NULL",
    "ended": "UPDATE gateway.secret SET ended_us = %s WHERE ended_us IS NULL",
}
_WHICH = " AND kind = %s AND name = %s AND generation = %s"
_BEGIN = (
    "INSERT INTO gateway.secret_step (kind, owner, name, generation, key_id, step, begun_us)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT ON CONSTRAINT secret_step_once"
    " DO UPDATE SET begun_us = excluded.begun_us, done_us = NULL, failures = 0"
)
_OPEN = (
    "SELECT id, kind, owner, name, generation, key_id, step, failures"
    " FROM gateway.secret_step WHERE done_us IS NULL ORDER BY id"
)
_DONE = "UPDATE gateway.secret_step SET done_us = %s WHERE id = %s"
_FAILED = "UPDATE gateway.secret_step SET failures = failures + 1 WHERE id = %s RETURNING failures"
_TELL = (
    "INSERT INTO gateway.secret_step"
    " (kind, owner, name, generation, key_id, step, begun_us, done_us)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
)
_TOLD = "SELECT kind, owner, name, generation, key_id, step FROM gateway.secret_step"


@dataclass(frozen=True, slots=True)
class OpenStep:
    """A step that was begun and not finished; how often it failed."""

    id: int
    secret: Secret
    step: str
    failures: int


async def in_force(tx: Transaction) -> list[Kept]:
    """Return every secret of the host that has not ended."""
    return [_kept(row) for row in await tx.fetch(_ALL)]


async def next_generation(tx: Transaction, kind: Kind, name: str) -> int:
    """Return the generation that follows those of this name."""
    [(generation,)] = await tx.fetch(_NEXT, (kind, name))
    return int(generation)


async def enter(tx: Transaction, kept: Kept) -> None:
    """Enter a secret; one that is entered already stays as it is."""
    of = (kept.secret.kind, kept.secret.name, kept.secret.generation, kept.secret.key_id)
    await tx.execute(_ENTER, (*of, kept.made_us, kept.used_us, kept.replaced_us))


async def enter_all(tx: Transaction, unknown: Iterable[Kept]) -> None:
    """Enter secrets that the table lacks, numbered after those that it has or had."""
    for one in unknown:
        generation = await next_generation(tx, one.secret.kind, one.secret.name)
        await enter(tx, replace(one, secret=replace(one.secret, generation=generation)))


async def turn(tx: Transaction, secret: Secret, what: Turn, now_us: int) -> None:
    """Note since when a secret is used, replaced or ended; the first time counts."""
    of = (secret.kind, secret.name, secret.generation)
    await tx.execute(_TURNS[what] + _WHICH, (now_us, *of))


async def begin(tx: Transaction, secret: Secret, step: str, now_us: int) -> None:
    """Open a step in the journal; one that was taken before is taken again."""
    await tx.execute(_BEGIN, (*_who(secret), step, now_us))


async def open_steps(tx: Transaction) -> list[OpenStep]:
    """Return the steps that were begun and not finished, in the order in which they were begun."""
    return [
        OpenStep(number, Secret(kind, name, owner, generation, key_id), step, failures)
        for number, kind, owner, name, generation, key_id, step, failures in await tx.fetch(_OPEN)
    ]


async def done(tx: Transaction, step: OpenStep, now_us: int) -> None:
    """Close a step."""
    await tx.execute(_DONE, (now_us, step.id))


async def failed(tx: Transaction, step: OpenStep) -> int:
    """Count a failure of a step and return how many it has."""
    row = await tx.fetch_one(_FAILED, (step.id,))
    return int(row[0]) if row else 0


async def tell(tx: Transaction, secret: Secret, what: str, now_us: int) -> bool:
    """Note that something is told of a secret; False where it was told before."""
    return bool(await tx.execute(_TELL, (*_who(secret), what, now_us, now_us)))


async def told(tx: Transaction) -> set[tuple[Secret, str]]:
    """Return what was begun, done or told of every secret."""
    return {
        (Secret(kind, name, owner, generation, key_id), step)
        for kind, owner, name, generation, key_id, step in await tx.fetch(_TOLD)
    }


def _who(secret: Secret) -> tuple[str, str, str, int, str]:
    return (secret.kind, secret.owner, secret.name, secret.generation, secret.key_id)


def _kept(row: Sequence[Any]) -> Kept:  # Any: the columns of _ALL, in their types
    kind, name, generation, key_id, *times = row
    return Kept(Secret(kind, name, HOST, generation, key_id), *times)
