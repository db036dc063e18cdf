"""Break-glass as the store holds it: sealings, envelopes, officers' codes, openings, confirmations.

Only the identity door reads a hash. What may be done with a row is judged in `breakglass`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.identity.rules import BreakGlassLimits
from gateway.registry.organisations import Kind
from gateway.store.database import Transaction

Stage = Literal["waiting", "open", "over"]

_OPENING = (
    "id::text, sealing::text, envelope, name, account, certificate_sha256, ticket, drill, asked_us,"
    " opened_us, ended_us, coalesce(reason, '')"
)
# Constants only, here and below: no value ever stands in the text.
_PROVINCE = "SELECT 1 FROM gateway.organisation WHERE code = %s AND kind = %s"
_NEWEST = (
    "SELECT id::text, organisation, sealed_by, sealed_us, ended_us FROM gateway.break_glass_sealing"
    " WHERE organisation = %s ORDER BY sealed_us DESC, ended_us DESC NULLS FIRST LIMIT 1"
)
# Whoever changes what belongs to a sealing waits here for whoever else does.
_HOLD = "SELECT ended_us FROM gateway.break_glass_sealing WHERE id = %s FOR NO KEY UPDATE"
_SEAL = (
    "INSERT INTO gateway.break_glass_sealing (id, organisation, sealed_by, sealed_us)"
    " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"
)
_PUT_IN = (
    "INSERT INTO gateway.break_glass_envelope (sealing, number, credential_hash)"
    " VALUES (%s, %s, %s)"
)
_NAME = "INSERT INTO gateway.break_glass_officer (sealing, name) VALUES (%s, %s)"
_VOID = "UPDATE gateway.break_glass_sealing SET ended_us = %s WHERE id = %s AND ended_us IS NULL"
_CREDENTIALS = (
    "SELECT credential_hash FROM gateway.break_glass_envelope WHERE sealing = %s ORDER BY number"
)
_UNSPENT = (
    "SELECT count(*) FROM gateway.break_glass_envelope WHERE sealing = %s AND spent_us IS NULL"
)
_SPEND = (
    "UPDATE gateway.break_glass_envelope SET spent_us = %s"
    " WHERE sealing = %s AND number = %s AND spent_us IS NULL"
)
_OFFICERS = (
    "SELECT name, registered_us IS NOT NULL FROM gateway.break_glass_officer"
    " WHERE sealing = %s ORDER BY name"
)
_CODE = "SELECT code_hash FROM gateway.break_glass_officer WHERE sealing = %s AND name = %s"
_REGISTER = (
    "UPDATE gateway.break_glass_officer SET code_hash = %s, registered_us = %s"
    " WHERE sealing = %s AND name = %s"
)
_ASK = (
    "INSERT INTO gateway.break_glass_opening (id, sealing, envelope, name, account,"
    " certificate_sha256, ticket, drill, asked_us)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
)
_READ = f"SELECT {_OPENING} FROM gateway.break_glass_opening WHERE id = %s"  # noqa: S608
_OF_SEALING = (
    f"SELECT {_OPENING} FROM gateway.break_glass_opening"  # noqa: S608
    " WHERE sealing = %s ORDER BY asked_us, id"
)
_UNENDED = (
    f"SELECT {_OPENING} FROM gateway.break_glass_opening"  # noqa: S608
    " WHERE ended_us IS NULL ORDER BY asked_us, id"
)
_CONFIRM = (
    "INSERT INTO gateway.break_glass_confirmation (opening, name, confirmed_us)"
    " VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
)
_CONFIRMED = (
    "SELECT name FROM gateway.break_glass_confirmation WHERE opening = %s ORDER BY confirmed_us"
)
_OPEN = "UPDATE gateway.break_glass_opening SET opened_us = %s WHERE id = %s AND opened_us IS NULL"
_END = "UPDATE gateway.break_glass_opening SET ended_us = %s WHERE id = %s AND ended_us IS NULL"
_SEALINGS = (
    "SELECT organisation, count(*) FROM gateway.break_glass_sealing"
    " GROUP BY organisation ORDER BY organisation"
)
_LAST_DRILL = (
    "SELECT max(opened_us) FROM gateway.break_glass_opening AS o"
    " JOIN gateway.break_glass_sealing AS s ON s.id = o.sealing"
    " WHERE s.organisation = %s AND o.drill"
)


@dataclass(frozen=True, slots=True)
class Sealing:
    """Two envelopes and three officers; void once it has ended. Times in microseconds."""

    id: str
    organisation: str
    sealed_by: str
    sealed_us: int
    ended_us: int | None


@dataclass(frozen=True, slots=True)
class Glass:
    """How the newest sealing of an organisation stands; times in microseconds, None for never.

    `coded`: all its officers made their codes. `shown_us` is since when an envelope is open,
    `void_us` since when it opens nothing any more and everything must be sealed anew.
    """

    organisation: str
    generation: int
    sealed_us: int
    coded: bool
    shown_us: int | None = None
    void_us: int | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """An envelope that was opened: by whom (certificate subject's name), over which certificate.

    `reason` is of a gateway that did not seal it yet; now it stands beside the leaf.
    """

    id: str
    sealing: str
    envelope: int
    name: str
    account: str
    certificate_sha256: bytes
    ticket: str
    drill: bool
    asked_us: int
    opened_us: int | None
    ended_us: int | None
    reason: str = ""

    def until_us(self, limits: BreakGlassLimits) -> int:
        """Return when it stops waiting, or its session ends; when it ended, if that was sooner."""
        began_us, longest_us = self.asked_us, limits.confirm_us
        if self.opened_us is not None:
            began_us, longest_us = self.opened_us, limits.session_us
        return min(began_us + longest_us, self.ended_us or began_us + longest_us)

    def stage(self, limits: BreakGlassLimits, now_us: int) -> Stage:
        """Return how far it is; by the clock, whether or not its end was noted already."""
        if self.ended_us is not None or now_us >= self.until_us(limits):
            return "over"
        return "waiting" if self.opened_us is None else "open"


async def is_province(tx: Transaction, organisation: str) -> bool:
    """Tell whether this is the organisation at the top: break-glass is its own alone."""
    return await tx.fetch_one(_PROVINCE, (organisation, int(Kind.PROVINCE))) is not None


async def newest(tx: Transaction, organisation: str) -> Sealing | None:
    """Return the last sealing there was, void or not."""
    row = await tx.fetch_one(_NEWEST, (organisation,))
    return None if row is None else Sealing(*row)


async def hold(tx: Transaction, sealing: str) -> bool:
    """Keep a sealing as it is until the transaction ends; return whether it stands."""
    row = await tx.fetch_one(_HOLD, (sealing,))
    return row is not None and row[0] is None


async def seal(
    tx: Transaction, made: Sealing, hashes: Sequence[str], officers: Sequence[str]
) -> bool:
    """Enter a sealing; return False when there is one of this id, or one stands."""
    row = (made.id, made.organisation, made.sealed_by, made.sealed_us)
    if not await tx.execute(_SEAL, row):
        return False
    for number, one in enumerate(hashes, 1):
        await tx.execute(_PUT_IN, (made.id, number, one))
    for name in officers:
        await tx.execute(_NAME, (made.id, name))
    return True


async def void(tx: Transaction, sealing: str, now_us: int) -> bool:
    """End a sealing: credentials and codes open nothing any more. Return whether it stood."""
    return await tx.execute(_VOID, (now_us, sealing)) > 0


async def credentials(tx: Transaction, sealing: str) -> list[str]:
    """Return the hashes of envelope 1 and 2."""
    return [row[0] for row in await tx.fetch(_CREDENTIALS, (sealing,))]


async def unspent(tx: Transaction, sealing: str) -> int:
    """Return how many envelopes can still be opened."""
    [(count,)] = await tx.fetch(_UNSPENT, (sealing,))
    return int(count)


async def officers(tx: Transaction, sealing: str) -> list[tuple[str, bool]]:
    """Return the three by name, and whether each has made his code."""
    return [(row[0], row[1]) for row in await tx.fetch(_OFFICERS, (sealing,))]


async def code(tx: Transaction, sealing: str, name: str) -> str | None:
    """Return the hash of an officer's code, None where he has none or is none of the three."""
    row = await tx.fetch_one(_CODE, (sealing, name))
    return None if row is None else row[0]


async def register(tx: Transaction, sealing: str, name: str, code_hash: str, now_us: int) -> bool:
    """Set an officer's code; return whether he is one of the three."""
    return await tx.execute(_REGISTER, (code_hash, now_us, sealing, name)) > 0


async def ask(tx: Transaction, opening: Opening) -> bool:
    """Enter an opening and spend its envelope; return False where it was spent, or the id used."""
    row = (
        *(opening.id, opening.sealing, opening.envelope, opening.name, opening.account),
        *(opening.certificate_sha256, opening.ticket, opening.drill, opening.asked_us),
    )
    if not await tx.execute(_SPEND, (opening.asked_us, opening.sealing, opening.envelope)):
        return False
    return await tx.execute(_ASK, row) > 0


async def opening(tx: Transaction, id_: str) -> Opening | None:
    """Return an opening, or None."""
    row = await tx.fetch_one(_READ, (id_,))
    return None if row is None else Opening(*row)


async def openings(tx: Transaction, sealing: str) -> list[Opening]:
    """Return what was opened of a sealing, oldest first."""
    return [Opening(*row) for row in await tx.fetch(_OF_SEALING, (sealing,))]


async def unended(tx: Transaction) -> list[Opening]:
    """Return every opening whose end was not noted yet."""
    return [Opening(*row) for row in await tx.fetch(_UNENDED)]


async def confirm(tx: Transaction, id_: str, name: str, now_us: int) -> bool:
    """Note an officer's confirmation; return False where he had confirmed already."""
    return await tx.execute(_CONFIRM, (id_, name, now_us)) > 0


async def confirmed(tx: Transaction, id_: str) -> list[str]:
    """Return who confirmed an opening, in order."""
    return [row[0] for row in await tx.fetch(_CONFIRMED, (id_,))]


async def open_(tx: Transaction, id_: str, now_us: int) -> None:
    """Note that the second officer confirmed."""
    await tx.execute(_OPEN, (now_us, id_))


async def end(tx: Transaction, id_: str, now_us: int) -> bool:
    """Note an opening's end; return False where it was noted."""
    return await tx.execute(_END, (now_us, id_)) > 0


async def glasses(tx: Transaction) -> list[Glass]:
    """Return how the newest sealing stands of every organisation that ever sealed one."""
    found = []
    for organisation, count in await tx.fetch(_SEALINGS):
        sealing = await newest(tx, organisation)
        if sealing is not None:
            opened = await openings(tx, sealing.id)
            ends = [one.opened_us for one in opened if one.opened_us is not None]
            ends += [] if sealing.ended_us is None else [sealing.ended_us]
            coded = all(has for _, has in await officers(tx, sealing.id))
            shown_us = min((one.asked_us for one in opened), default=None)
            made = (organisation, int(count), sealing.sealed_us, coded)
            found.append(Glass(*made, shown_us, min(ends, default=None)))
    return found


async def last_drill_us(tx: Transaction, organisation: str) -> int | None:
    """Return when the last exercise was open, None where there never was one."""
    row = await tx.fetch_one(_LAST_DRILL, (organisation,))
    return None if row is None else row[0]
