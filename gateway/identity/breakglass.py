"""Break-glass: a sealed credential and two of three officers' codes open a session that repairs.

Its order is its safety:
 1 seal: an administrator makes two credentials for two envelopes and names three officers;
 2 code: each officer makes his own, over his own connection;
 3 open: an officer's certificate of the province, and one credential, which is spent by that;
 4 confirm: two of the three, neither of them the opener, each over his own connection;
 5 enter: the opener, over the same certificate, has a session with the one role break_glass;
 6 close, or its end: credentials and codes are void; 1 begins anew.

The state of the opener's account does not matter: that it opens nothing is what this is for. Codes
and credentials are judged before the log's transaction (`breakglass_secrets`), as passwords are,
and what they may change is asked again inside it.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from gateway.errors import Reason, refuse
from gateway.identity import accounts, login, roles, session, throttle
from gateway.identity import breakglass_rows as rows
from gateway.identity.breakglass_rows import Opening, Sealing
from gateway.identity.breakglass_secrets import COUNTED_AS, Credentials, Shown
from gateway.identity.login import Desk, Grant
from gateway.identity.rules import BreakGlassLimits
from gateway.link.connection import Connection
from gateway.names import Subject, parse_subject
from gateway.store.database import Transaction

OFFICERS = 3
CONFIRMERS = 2
# What every leaf of it tells, and of an exercise; by the role of the session.
ALERT, DRILL_ALERT = "break-glass", "break-glass-drill"
ALERTS: Mapping[str, str] = MappingProxyType(
    {roles.BREAK_GLASS: ALERT, roles.BREAK_GLASS_DRILL: DRILL_ALERT}
)
_NAMED = (
    "SELECT DISTINCT subject_name FROM gateway.account WHERE organisation = %s"
    " AND subject_kind = 'officer' AND state = 1 AND subject_name = ANY (%s) AND roles && %s"
)
_ACCOUNT = (
    "SELECT name FROM gateway.account WHERE organisation = %s AND subject_kind = 'officer'"
    " AND subject_name = %s ORDER BY state, name LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class Why:
    """What an opening is for; the reason in words stands beside its leaf."""

    ticket: str
    drill: bool


@dataclass(frozen=True, slots=True)
class Confirmed:
    """An opening as it is after a confirmation, and how many confirmed it."""

    opening: Opening
    count: int


async def seal(
    desk: Desk, tx: Transaction, made: Sealing, found: Credentials, officers: Sequence[str]
) -> None:
    """1: enter what was sealed, instead of what was; lifts the locks of wrong attempts.

    Raises ROLE_NOT_ALLOWED outside the province, NOT_FOUND where an officer is none,
    REQUEST_ID_REUSED.
    """
    if not await rows.is_province(tx, made.organisation):
        raise refuse(Reason.ROLE_NOT_ALLOWED)
    duty = [roles.ADMIN, roles.SECURITY_OFFICER]
    named = await tx.fetch(_NAMED, (made.organisation, list(officers), duty))
    if len(named) != OFFICERS:
        raise refuse(Reason.NOT_FOUND)
    before = await rows.newest(tx, made.organisation)
    if before is not None and await rows.hold(tx, before.id):
        for one in await rows.openings(tx, before.id):
            await _end(tx, one, desk.clock.now_us())
        await rows.void(tx, before.id, desk.clock.now_us())
    if not await rows.seal(tx, made, found.hashes, officers):
        raise refuse(Reason.REQUEST_ID_REUSED)
    await throttle.lift(tx, made.organisation, COUNTED_AS)


async def register_code(tx: Transaction, who: Subject, code_hash: str, now_us: int) -> int:
    """2: set the caller's own code; return how many of the three have one.

    Raises BREAK_GLASS_UNSEALED, ROLE_NOT_ALLOWED where he is none of the three.
    """
    sealing = await rows.newest(tx, who.organisation)
    if sealing is None or not await rows.hold(tx, sealing.id):
        raise refuse(Reason.BREAK_GLASS_UNSEALED)
    if not await rows.register(tx, sealing.id, who.name, code_hash, now_us):
        raise refuse(Reason.ROLE_NOT_ALLOWED)
    return sum(registered for _, registered in await rows.officers(tx, sealing.id))


async def ask(
    desk: Desk, tx: Transaction, link: Connection, shown: Shown, id_: str, why: Why
) -> Opening:
    """3: spend the envelope and return the opening, which waits for two officers.

    The same again is answered again. Raises BREAK_GLASS_UNSEALED while not all three have a code
    or when it was sealed anew meanwhile, BREAK_GLASS_SPENT, ROLE_NOT_ALLOWED without an account.
    """
    subject, now_us = parse_subject(link.subject), desk.clock.now_us()
    if not await rows.hold(tx, shown.sealing.id):
        raise refuse(Reason.BREAK_GLASS_UNSEALED)
    registered = [has for _, has in await rows.officers(tx, shown.sealing.id)]
    account = await tx.fetch_one(_ACCOUNT, (subject.organisation, subject.name))
    if not all(registered):
        raise refuse(Reason.BREAK_GLASS_UNSEALED)
    if account is None:
        raise refuse(Reason.ROLE_NOT_ALLOWED)
    digest = bytes.fromhex(link.certificate_sha256)
    what = (shown.envelope, subject.name, account[0], digest, why.ticket, why.drill)
    wanted = Opening(id_, shown.sealing.id, *what, now_us, None, None)
    known = await rows.opening(tx, id_)
    if known is not None and (known.envelope, known.name) == (wanted.envelope, wanted.name):
        return known
    others = await rows.openings(tx, shown.sealing.id)
    opened = any(one.opened_us is not None for one in others)
    if opened or not await rows.ask(tx, wanted):
        raise refuse(Reason.BREAK_GLASS_SPENT)
    return wanted


async def confirm(desk: Desk, tx: Transaction, link: Connection, proven: Opening) -> Confirmed:
    """4: note the confirmation; the second opens.

    Raises BREAK_GLASS_OVER where it does not wait any more, BREAK_GLASS_SAME_PERSON for the opener
    and for who confirmed already.
    """
    name, now_us = parse_subject(link.subject).name, desk.clock.now_us()
    stands = await rows.hold(tx, proven.sealing)
    found = await rows.opening(tx, proven.id)
    if not stands or found is None or found.stage(_limits(desk), now_us) != "waiting":
        raise refuse(Reason.BREAK_GLASS_OVER)
    if name == found.name or not await rows.confirm(tx, found.id, name, now_us):
        raise refuse(Reason.BREAK_GLASS_SAME_PERSON)
    count = len(await rows.confirmed(tx, found.id))
    if count >= CONFIRMERS:
        # One sealing is opened once: what else waits is over.
        for other in await rows.openings(tx, found.sealing):
            if other.id != found.id:
                await _end(tx, other, now_us)
        await rows.open_(tx, found.id, now_us)
        found = await rows.opening(tx, found.id) or found
    return Confirmed(found, count)


async def enter(desk: Desk, tx: Transaction, link: Connection, id_: str) -> tuple[Opening, Grant]:
    """5: open a session for who opened, over the certificate that he opened with.

    Raises NOT_FOUND for anybody else, BREAK_GLASS_WAITING before the second confirmation,
    BREAK_GLASS_OVER after the end.
    """
    subject, now_us, limits = parse_subject(link.subject), desk.clock.now_us(), _limits(desk)
    found = await rows.opening(tx, id_)
    digest = bytes.fromhex(link.certificate_sha256)
    if (
        found is None
        or not await rows.is_province(tx, subject.organisation)
        or (subject.kind, subject.name) != ("officer", found.name)
        or not hmac.compare_digest(found.certificate_sha256, digest)
    ):
        raise refuse(Reason.NOT_FOUND)
    stands, stage = await rows.hold(tx, found.sealing), found.stage(limits, now_us)
    if stage == "waiting":
        raise refuse(Reason.BREAK_GLASS_WAITING)
    account = await accounts.read(tx, subject.organisation, found.account)
    if not stands or stage == "over" or account is None:
        raise refuse(Reason.BREAK_GLASS_OVER)
    duty = (found.id, roles.BREAK_GLASS_DRILL if found.drill else roles.BREAK_GLASS)
    who, bounds = (account.organisation, account.name), (now_us, found.until_us(limits))
    held = await session.begin_opened(tx, who, digest, duty, bounds)
    return found, login.grant(desk, account, str(subject), held, now_us)


async def close(desk: Desk, tx: Transaction, organisation: str, id_: str) -> Opening:
    """6: end an opening that waits or is open; where it was open the sealing is void.

    Raises NOT_FOUND, BREAK_GLASS_OVER.
    """
    found = await rows.opening(tx, id_)
    if found is None or not await rows.is_province(tx, organisation):
        raise refuse(Reason.NOT_FOUND)
    await rows.hold(tx, found.sealing)
    if not await _end(tx, found, desk.clock.now_us()):
        raise refuse(Reason.BREAK_GLASS_OVER)
    return found


async def run_out(tx: Transaction, found: Opening, limits: BreakGlassLimits, now_us: int) -> bool:
    """6: note the end of an opening that is over by the clock; False where that was noted."""
    await rows.hold(tx, found.sealing)
    return found.stage(limits, now_us) == "over" and await _end(tx, found, now_us)


async def unrepaired(tx: Transaction, organisation: str) -> Opening | None:
    """Return what was opened and not sealed anew since, for every officer to be told of.

    An envelope that only waits, or waited in vain, is told of too: it was opened.
    """
    sealing = await rows.newest(tx, organisation)
    found = [] if sealing is None else await rows.openings(tx, sealing.id)
    opened = [one for one in found if one.opened_us is not None]
    return next(iter(opened or reversed(found)), None)


def standing(
    sealing: Sealing, found: Sequence[Opening], limits: BreakGlassLimits, now_us: int
) -> str:
    """Return how a sealing stands: "sealed", "waiting", "open", or "void", to be made anew."""
    stages = {one.stage(limits, now_us) for one in found}
    if "open" in stages:
        return "open"
    if sealing.ended_us is not None or any(one.opened_us is not None for one in found):
        return "void"
    return "waiting" if "waiting" in stages else "sealed"


async def _end(tx: Transaction, found: Opening, now_us: int) -> bool:
    if not await rows.end(tx, found.id, now_us):
        return False
    await session.end_opened(tx, found.id, now_us)
    again = await rows.opening(tx, found.id)
    if again is not None and again.opened_us is not None:
        await rows.void(tx, found.sealing, now_us)
    return True


def _limits(desk: Desk) -> BreakGlassLimits:
    return desk.rules.break_glass
