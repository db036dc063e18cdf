"""What the engine of rotation asks of each kind of secret: who takes the steps of its change.

A kind has one taker; the engine judges, journals and tells, the taker changes files and rows.
"""

from dataclasses import dataclass
from typing import Protocol

from gateway.audit.event import Event
from gateway.identity.lives import Kept
from gateway.identity.rotation import Kind, Secret, Step
from gateway.identity.secret_rows import OpenStep
from gateway.store.database import Transaction


class StepError(Exception):
    """A step cannot be taken now; it stays open, is counted and tried again."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a step came to: the key id that it was of, and what the log is told as it closes."""

    key_id: str
    event: Event | None = None


class Taker(Protocol):
    """Takes the steps of one kind of secret."""

    @property
    def kind(self) -> Kind:
        """The kind of secret."""
        ...

    def begins(self, kept: Kept, step: Step, following: int) -> Secret | None:
        """Return of which secret a step that is due by `kept` is begun; None: not by itself.

        `following` is the generation that a new one would have.
        """
        ...

    async def take(self, step: OpenStep) -> Taken:
        """Take a step, whole or from wherever it broke off; it ends the same however often.

        Raises StepError, KeyFileError or OSError where it cannot be taken now.
        """
        ...

    async def close(self, tx: Transaction, step: OpenStep, key_id: str, now_us: int) -> None:
        """Note in the table what a taken step changed; in the transaction that closes it."""
        ...
