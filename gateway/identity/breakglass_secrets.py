"""The secrets of break-glass: credentials for envelopes and officers' codes, made and judged.

A wrong one is counted per certificate subject, as a wrong password is, under a name of its own:
nobody locks another's account with it, nor another's code.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.errors import Reason, refuse
from gateway.identity import breakglass_rows as rows
from gateway.identity import throttle
from gateway.identity.breakglass_rows import Opening, Sealing
from gateway.identity.login import Desk
from gateway.identity.passwords import WrongPasswordError
from gateway.identity.throttle import Attempt
from gateway.link.connection import Connection
from gateway.names import Subject, parse_subject
from gateway.store.database import Transaction

ENVELOPES = 2
# Under which wrong credentials and codes are counted, per certificate subject.
COUNTED_AS = "break-glass"
# Crockford's base 32, as one-time passwords; 8 groups of 4 are 160 bits.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_GROUPS, _GROUP = 8, 4


@dataclass(frozen=True, slots=True)
class Shown:
    """A credential that was right: of which sealing, in which envelope."""

    sealing: Sealing
    envelope: int


@dataclass(frozen=True, slots=True)
class Credentials:
    """Texts for two envelopes, to be handed out once, and their hashes."""

    texts: tuple[str, ...] = field(repr=False)
    hashes: tuple[str, ...] = field(repr=False)


async def credentials(desk: Desk) -> Credentials:
    """Return two fresh credentials of 160 bits."""
    texts = tuple(_credential() for _ in range(ENVELOPES))
    return Credentials(texts, tuple([await desk.passwords.hash(text) for text in texts]))


async def show(desk: Desk, link: Connection, credential: str) -> Shown:
    """Judge a credential, the first half of step 3 of `breakglass`.

    Raises ROLE_NOT_ALLOWED without an officer's certificate of the province, BREAK_GLASS_UNSEALED,
    BREAK_GLASS_FAILED (counted), LOGIN_THROTTLED, LOGIN_LOCKED, RATE_LIMITED.
    """
    subject = parse_subject(link.subject)
    async with desk.database.transaction() as tx:
        await _require_officer(tx, subject)
        sealing = await rows.newest(tx, subject.organisation)
        if sealing is None or sealing.ended_us is not None:
            raise refuse(Reason.BREAK_GLASS_UNSEALED)
        hashes: list[str | None] = [*await rows.credentials(tx, sealing.id)]
    right = await _judge(desk, subject, hashes, credential)
    return Shown(sealing, right + 1)


async def prove_code(desk: Desk, link: Connection, id_: str, code: str) -> Opening:
    """Judge an officer's code for an opening, the first half of step 4.

    Raises BREAK_GLASS_FAILED (counted) also where there is no such opening, or he is none of the
    three; LOGIN_THROTTLED, LOGIN_LOCKED, RATE_LIMITED, ROLE_NOT_ALLOWED.
    """
    subject = parse_subject(link.subject)
    async with desk.database.transaction() as tx:
        await _require_officer(tx, subject)
        found = await rows.opening(tx, id_)
        stored = None if found is None else await rows.code(tx, found.sealing, subject.name)
    await _judge(desk, subject, [stored], code)
    if found is None:  # nothing was compared with, so nothing was right
        raise refuse(Reason.BREAK_GLASS_FAILED)
    return found


async def _judge(desk: Desk, subject: Subject, stored: Sequence[str | None], secret: str) -> int:
    """Return which of these hashes a secret is of; all are computed, whichever it is."""
    lineage = throttle.lineage(subject.kind, subject.name)
    attempt = Attempt(subject.organisation, COUNTED_AS, lineage)
    async with desk.queue.turn(attempt):
        async with desk.database.transaction() as tx:
            if await throttle.check(tx, attempt, desk.clock.now_us()):
                raise refuse(Reason.LOGIN_LOCKED)
        right = [place for place, one in enumerate(stored) if await _is(desk, one, secret)]
        async with desk.database.transaction() as tx:
            if right:
                await throttle.clear(tx, attempt)
            else:
                await throttle.count(tx, attempt, desk.rules.throttle, desk.clock.now_us())
    if not right:
        raise refuse(Reason.BREAK_GLASS_FAILED)
    return right[0]


async def _is(desk: Desk, stored: str | None, secret: str) -> bool:
    try:
        await desk.passwords.verify(stored, secret)
    except WrongPasswordError:
        return False
    return True


async def _require_officer(tx: Transaction, subject: Subject) -> None:
    if subject.kind != "officer" or not await rows.is_province(tx, subject.organisation):
        raise refuse(Reason.ROLE_NOT_ALLOWED)


def _credential() -> str:
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)
