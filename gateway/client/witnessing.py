"""The profile's witness at work: asked over the network, checked against all we know, answered.

1. What we are asked to cosign is of one log with the checkpoint that the profile kept, and so is
   the newest that others vouched for: a gateway that shows every city its own log contradicts
   itself here, unless it hides the others' lines.
2. It continues what we cosigned last (`client.witness`); else the alarm is raised, with the proof.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.client import alarm
from gateway.client.checkpoints import Checkpoints, Fetch, LogError
from gateway.client.profile import Profile
from gateway.client.witness import Witness
from gateway.clock import US_PER_S, Clock
from gateway.tlog import checkpoint, witness
from gateway.tlog.note import NoteError, split
from gateway.tlog.witness import AddCheckpoint, WitnessError

if TYPE_CHECKING:  # what `Log` answers with; nothing here calls
    from gateway.v1 import audit_service_pb2 as v1

# What a log says that contradicts what was cosigned.
_CONTRARY = frozenset({"LOG_FORKED", "LOG_INCONSISTENT"})


class Log(Protocol):
    """Who answers for the log: `client.client.Client`."""

    profile: Profile
    checkpoints: Checkpoints
    clock: Clock

    async def ask_witness(self, old_size: int) -> "v1.GetWitnessingResponse":
        """Return what the log asks a witness of this size, its keys followed already."""

    async def give_cosignatures(self, size: int, lines: Sequence[str]) -> None:
        """Hand over lines upon the checkpoint of a size."""

    async def consistency(self, old: int, new: int) -> Sequence[bytes]:
        """Return the hashes that prove the old size a prefix of the new one."""


@dataclass(frozen=True, slots=True)
class Cosigned:
    """What was cosigned, and how many entries others vouched for ("confirmed"), 0 for none."""

    size: int
    confirmed_size: int


async def cosign(log: Log, own: Witness) -> Cosigned:
    """Cosign what the log offers now.

    Raises LogError where it must not be, the refusal of a call, OSError where the state cannot be
    kept.
    """
    keys = log.checkpoints.keys
    before = own.cosigned(keys)
    answer = await log.ask_witness(0 if before is None else before.size)
    keys = log.checkpoints.keys
    try:
        request = witness.parse(answer.add_checkpoint)
    except WitnessError as error:
        raise LogError(error.code, str(error)) from error
    for note in filter(None, (request.checkpoint, answer.confirmed)):
        await _one_log(log, note, log.consistency)
    try:
        lines = own.answer(request, keys, log.clock.now_us() // US_PER_S)
    except LogError as error:
        if error.code in _CONTRARY:
            proof = _alarm(log.profile, own, request)
            raise LogError(error.code, f"{error}: {proof}") from error
        raise
    size = keys.open(request.checkpoint).size
    await log.give_cosignatures(size, lines)
    return Cosigned(size, keys.open(answer.confirmed).size if answer.confirmed else 0)


async def _one_log(log: Log, note: str, fetch: Fetch) -> None:
    """Prove that a note is of the log that was kept; raises LogError."""
    try:
        log.checkpoints.keys.open(note)
        checkpoint.parse(split(note)[0])
    except NoteError as error:
        raise LogError(error.code, str(error)) from error
    kept = log.checkpoints.kept
    if kept is not None:
        await log.checkpoints.prove(kept, note, fetch)


def _alarm(profile: Profile, own: Witness, request: AddCheckpoint) -> str:
    return str(alarm.raise_over(profile, own.state().note, request.checkpoint, request.hashes))
