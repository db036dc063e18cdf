"""Whether the log can be written, and the exact count of calls refused while it could not."""

from dataclasses import dataclass, field
from typing import Literal

from gateway.audit.event import Event
from gateway.errors import Reason, Refusal, refuse

# store: the database is away or refuses; signer: no checkpoints; log: the database's log is not
# what was signed; replaced, files: it lies in another database than before, or its files are gone.
Cause = Literal["store", "signer", "log", "replaced", "files"]
Phase = Literal["normal", "degraded", "recovering", "closed"]
RETRY_AFTER_S = 1.0

# What such an outage brings about in its course does not hide it.
_LASTING = frozenset({"replaced", "files"})
_REASONS = {
    "store": Reason.AUDIT_DEGRADED,
    "signer": Reason.SIGNER_AWAY,
    "log": Reason.AUDIT_DEGRADED,
    "replaced": Reason.AUDIT_DEGRADED,
    "files": Reason.AUDIT_DEGRADED,
}


@dataclass(slots=True)
class State:
    """Normal, or degraded since when and why, with what the recovery leaf will tell.

    refused: calls that were told "not now" and of which nothing was committed. unknown: calls whose
    leaf may be committed although they were told "unknown". Both are exact.
    """

    phase: Phase = "normal"
    cause: Cause = "store"
    since_us: int = 0
    refused: int = 0
    unknown: int = 0
    _told: tuple[int, int] = field(default=(0, 0))

    @property
    def degraded(self) -> bool:
        """Whether appends are refused at once."""
        return self.phase == "degraded"

    def admit(self) -> None:
        """Raise the counted refusal when nothing can be appended now."""
        if self.phase == "closed":
            raise refuse(Reason.SHUTTING_DOWN)
        if self.phase == "degraded":
            raise self.refusal()

    def refusal(self, *, unknown: bool = False) -> Refusal:
        """Count one call and return its refusal."""
        if unknown:
            self.unknown += 1
        else:
            self.refused += 1
        return refuse(_REASONS[self.cause], retry_after_s=RETRY_AFTER_S)

    def degrade(self, cause: Cause, now_us: int) -> None:
        """Refuse from now on; the first cause of an outage keeps its time."""
        if self.phase == "normal":
            self.since_us = now_us
        if self.phase == "normal" or self.cause not in _LASTING:
            self.cause = cause
        if self.phase != "closed":
            self.phase = "degraded"

    def recovering(self, door: str, now_us: int) -> Event:
        """Return the recovery leaf; from now on appends wait instead of being refused."""
        self.phase = "recovering"
        self._told = (self.refused, self.unknown)
        return Event(
            kind="log.recover",
            door=door,
            counts={"refused": self.refused, "unknown": self.unknown},
            detail={
                "cause": self.cause,
                "outage_from_us": self.since_us,
                "outage_until_us": max(now_us, self.since_us),
            },
        )

    def recovered(self) -> None:
        """Begin anew after the recovery leaf is committed and signed."""
        self.refused -= self._told[0]
        self.unknown -= self._told[1]
        self.phase = "normal"
