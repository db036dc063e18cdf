"""What the engine of rotation asks of each kind of secret: who takes the steps of its change.

A kind has one taker; the engine judges, journals and tells, the taker changes files and rows.
"""

import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from typing import Protocol

from gateway.audit.event import Event
from gateway.identity.lives import Kept
from gateway.identity.rotation import Kind, Secret, Step
from gateway.identity.secret_rows import OpenStep
from gateway.store.database import Transaction

# How a SHA-256 is written in a key id: in hexadecimal, or as a JWK thumbprint (RFC 7638).
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


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


def detail(secret: Secret, step: str) -> dict[str, str | int]:
    """Return what a leaf tells of a step: of the key only its public name, as hex."""
    told: dict[str, str | int] = {
        "secret": secret.kind,
        "step": step,
        "generation": secret.generation,
    }
    if digest := _digest(secret.key_id):
        told["digest"] = digest
    return told


def _digest(key_id: str) -> str:
    """Return a key's public name as the log has it, SHA-256 in hex; "" of a key with another."""
    if _HEX.fullmatch(key_id):
        return key_id
    return urlsafe_b64decode(key_id + "=").hex() if _THUMBPRINT.fullmatch(key_id) else ""
