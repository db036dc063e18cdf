"""What can be wrong with a certificate of ours whose bearer is still told so (decision 0009).

Pure: the register's word and the clock in, a reason out. The front asks it at each handshake and
while a connection stands, the guard before each call, Diagnose to explain. When several apply, the
first of RANKED is told.
"""

from dataclasses import dataclass

from gateway.clock import US_PER_S
from gateway.errors import Reason

ACTIVE = 1
REVOKED = 2
SUPERSEDED = 3

RANKED = (
    Reason.LINEAGE_LOCKED,
    Reason.CERT_REVOKED,
    Reason.CERT_SUPERSEDED,
    Reason.CERT_EXPIRED,
    Reason.CERT_NOT_YET_VALID,
)


@dataclass(frozen=True, slots=True)
class Life:
    """Where a registered certificate stands: the columns of its row and of its lineage.

    Times are microseconds: `ended_us` when it stopped being active, `locked_us` when its lineage
    was locked; None: it did not, it was not. Digests and the lineage's id are bytes.
    """

    state: int
    not_before_us: int
    not_after_us: int
    ended_us: int | None = None
    first_used_us: int | None = None
    locked_us: int | None = None
    lineage: bytes = b""
    generation: int = 1
    issuer_sha256: bytes | None = None

    def registered(self) -> Reason | None:
        """Return the defect that the register tells of, whatever time it is."""
        if self.locked_us is not None:
            return Reason.LINEAGE_LOCKED
        if self.state == ACTIVE:
            return None
        return Reason.CERT_SUPERSEDED if self.state == SUPERSEDED else Reason.CERT_REVOKED

    def defect(self, now_us: int) -> Reason | None:
        """Return what is wrong with it now, None for a certificate that lets its bearer in."""
        return worst(self.registered(), timely(self.not_before_us, self.not_after_us, now_us))

    def graceful(self, now_us: int, grace_s: float) -> bool:
        """Return whether it was superseded so shortly ago that its connections may finish."""
        superseded = self.registered() is Reason.CERT_SUPERSEDED and self.ended_us is not None
        return superseded and now_us < self.drained_us(grace_s)

    def drained_us(self, grace_s: float) -> int:
        """Return until when connections of a superseded certificate may finish."""
        return (self.ended_us or 0) + round(grace_s * US_PER_S)


def timely(not_before_us: int, not_after_us: int, now_us: int) -> Reason | None:
    """Return what is wrong with a validity now."""
    if now_us >= not_after_us:
        return Reason.CERT_EXPIRED
    return Reason.CERT_NOT_YET_VALID if now_us < not_before_us else None


def worst(*reasons: str | None) -> Reason | None:
    """Return which of several defects is told; None and "" are none."""
    found = {reason for reason in reasons if reason}
    return next((reason for reason in RANKED if reason in found), None)


def worse(reason: Reason | None, than: str | None) -> bool:
    """Return whether this is another and graver defect; one that is not of RANKED is graver."""
    if reason is None or reason == than:
        return False
    return reason not in RANKED or worst(reason, than) is reason
