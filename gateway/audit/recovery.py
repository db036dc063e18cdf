"""How a degraded recorder comes back.

Fresh connection, head read anew, and a leaf that tells of it.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from gateway import log as process_log
from gateway.audit import ground
from gateway.audit.checkpoints import Checkpoints
from gateway.audit.event import Event
from gateway.audit.ground import Ground
from gateway.audit.group import Append
from gateway.audit.log import Log, LogError
from gateway.audit.signing import SignerAwayError, SignerError, SignerLink
from gateway.audit.state import Cause, State
from gateway.audit.tree import Tree
from gateway.clock import Clock
from gateway.errors import UnavailableError
from gateway.store.database import Database, StoreError
from gateway.tlog.merkle import MerkleError

# Callers are told to try again after a second; the log is tried more often than they come.
PAUSE_S = 0.2
FAILURES = (StoreError, LogError, SignerError, MerkleError)
_ELSEWHERE: Mapping[str, Cause] = {"REPLACED": "replaced", "FILES_GONE": "files"}
_LOG = process_log.get("recorder")


class Degradable(Protocol):
    """What recovery needs of a recorder."""

    database: Database
    log: Log
    state: State
    door: str
    clock: Clock
    signer: SignerLink
    tree: Tree
    checkpoints: Checkpoints
    outage: asyncio.Event
    ground: Ground | None

    @property
    def busy(self) -> bool:
        """Whether a group or a signature is still under way."""
        ...

    def degrade(self, error: Exception) -> None:
        """Refuse everything from now on."""
        ...

    async def run(self, group: list[Append]) -> None:
        """Commit a group."""
        ...

    def resume(self) -> None:
        """Take up what waits in line."""
        ...


def cause_of(error: Exception) -> Cause:
    """Return what the log is told of why it could not be written."""
    if isinstance(error, SignerError):
        return "signer"
    if isinstance(error, LogError):
        return _ELSEWHERE.get(error.code, "log")
    return "log" if isinstance(error, MerkleError) else "store"


async def recover(recorder: Degradable) -> None:
    """Bring the recorder back whenever it is degraded, for ever."""
    while True:
        await recorder.outage.wait()
        _LOG.error("degraded", door=recorder.door, cause=recorder.state.cause)
        while recorder.state.degraded:
            await asyncio.sleep(PAUSE_S)
            if recorder.busy:
                continue
            try:
                await _attempt(recorder)
            except UnavailableError:
                continue  # the recovery leaf's own group failed and degraded the recorder again
            except Exception as error:  # noqa: BLE001  the outermost handler: recovery must not die
                recorder.degrade(error)
        recorder.outage.clear()
        _LOG.warning("recovered", door=recorder.door, size=recorder.tree.size)


async def _attempt(recorder: Degradable) -> None:
    if not recorder.signer.available:
        raise SignerAwayError("the signer is away")
    recorder.tree = await recorder.log.tree()
    await recorder.checkpoints.learn(recorder.tree)
    # Wherever the log lies now: it is the one that was signed, whole. Where it lies elsewhere, the
    # leaf tells it: connections end when one database takes another's place.
    found, before = await ground.look(recorder.database), recorder.ground
    if before is not None and found.identity != before.identity:
        recorder.state.degrade("replaced", recorder.clock.now_us())
    recorder.ground = found
    append = Append(told(recorder), counted=False)
    await recorder.run([append])
    await append.future
    recorder.state.recovered()
    recorder.resume()


def told(recorder: Degradable) -> Event:
    """Return the recovery leaf; from now on callers wait for its fate instead of being refused."""
    return recorder.state.recovering(recorder.door, recorder.clock.now_us())
