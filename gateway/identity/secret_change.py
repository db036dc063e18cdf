"""RotateSecret: a service account's next secret, judged before the log's transaction, given inside.

The present secret is asked for again and counted like a login. Nothing ends here: both open
sessions until the end of the overlap, and the first login with the next one puts it in force.
"""

from dataclasses import dataclass, field

from gateway.errors import Reason, Violation, refuse
from gateway.identity import accounts, service_secrets, strength
from gateway.identity.accounts import Credential
from gateway.identity.login import Desk, again, prove
from gateway.identity.principal import Principal
from gateway.identity.rules import HOUR_US
from gateway.identity.service_secrets import Other
from gateway.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Secrets:
    """The present and the next secret, as a request brings them."""

    request_id: str
    old: str = field(repr=False)
    new: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rotation:
    """A next secret that was found good, to be given once by `apply`.

    `other` is what stood beside the present one; `new_hash` None: it was given before.
    """

    credential: Credential
    other: Other | None
    request_id: str
    new_hash: str | None = field(repr=False)


async def prepare(desk: Desk, who: Principal, brought: Secrets) -> Rotation:
    """Return the rotation of the principal's secret; the first half of RotateSecret.

    Raises LOGIN_FAILED for a wrong present secret (counted), LOGIN_THROTTLED, SECRET_REPLACED for
    one that was replaced, PASSWORD_WEAK with violations, REQUEST_ID_REUSED, RATE_LIMITED.
    """
    proof = await prove(desk, again(who), brought.old)
    async with desk.database.transaction() as tx:
        other = await service_secrets.read(tx, who.organisation, who.account)
    if other is not None and other.request_id == brought.request_id:
        await _require_same(desk, proof.credential, other, brought.new)
        if other.former or other.opens(desk.clock.now_us()):
            return Rotation(proof.credential, other, brought.request_id, None)
    if proof.other is not None and proof.other.former:
        raise refuse(Reason.SECRET_REPLACED)
    wrong = service_secrets.judge(brought.new, desk.rules.service)
    wrong += _too_soon(desk, proof.credential, other)
    if not wrong and await _used_before(desk, proof.credential, other, brought):
        wrong.append(strength.violation("PW-HISTORY"))
    if wrong:
        raise refuse(Reason.PASSWORD_WEAK, violations=tuple(wrong))
    new_hash = await desk.passwords.hash(brought.new)
    return Rotation(proof.credential, other, brought.request_id, new_hash)


async def apply(desk: Desk, tx: Transaction, rotation: Rotation) -> int:
    """Give the next secret and return until when both open sessions; the second half.

    Raises REVISION_STALE when a secret of the account was changed meanwhile.
    """
    account = rotation.credential.account
    await service_secrets.hold(tx, account)
    fresh = await accounts.read(tx, account.organisation, account.name)
    other = await service_secrets.read(tx, account.organisation, account.name)
    if rotation.new_hash is None and rotation.other is not None:
        if other is None or other.request_id != rotation.request_id:
            raise refuse(Reason.REVISION_STALE)
        return other.ends_us
    if fresh != account or other != rotation.other or rotation.new_hash is None:
        raise refuse(Reason.REVISION_STALE)
    made_us = desk.clock.now_us()
    ends_us = made_us + desk.rules.service.overlap_hours * HOUR_US
    bounds = (made_us, ends_us)
    await service_secrets.give(tx, account, rotation.new_hash, rotation.request_id, bounds)
    return ends_us


async def _require_same(desk: Desk, held: Credential, other: Other, new: str) -> None:
    """Return when the request that was sent again brings the secret that it brought before."""
    given = held.password_hash if other.former else other.hash
    if not await desk.passwords.matches(given, new):
        raise refuse(Reason.REQUEST_ID_REUSED)


def _too_soon(desk: Desk, held: Credential, other: Other | None) -> list[Violation]:
    """Judge the least time between two rotations (Vault #18738); after a reset there is none."""
    hours = desk.rules.service.minimum_hours
    made_us = max(held.account.password_set_us, 0 if other is None else other.made_us)
    if held.account.must_change or desk.clock.now_us() - made_us >= hours * HOUR_US:
        return []
    return [strength.violation("PW-AGE", {"hours": hours})]


async def _used_before(desk: Desk, held: Credential, other: Other | None, brought: Secrets) -> bool:
    """Tell whether the next secret served before; one that lapsed unused may be given again."""
    if brought.new == brought.old:
        return True
    former = [other.hash] if other is not None and other.former else []
    for one in (*former, *held.history[-desk.profile.history_count :]):
        if await desk.passwords.matches(one, brought.new):
            return True
    return False
