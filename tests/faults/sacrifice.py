"""A process that is to die: a recorder, or a signer, which kills itself with SIGKILL at a point of the way to the log.

    python -m tests.faults.sacrifice recorder CONNINFO SOCKET POINT COUNT SALT
    python -m tests.faults.sacrifice signer HOME POINT COUNT

The recorder prints a line for each entry that it was given: its index, and the digest of its leaf. What is printed was
acknowledged, whatever happens next.
"""

import asyncio
import hashlib
import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.audit.event import Event
from gateway.audit.group import Append
from gateway.audit.recorder import Recorder
from gateway.audit.signing import SignerLink
from gateway.clock import SYSTEM
from gateway.config.home import Home
from gateway.errors import UnavailableError
from gateway.signer.memory import Memory
from gateway.signer.serving import Signer
from gateway.store.database import Database, Transaction

CALLERS = 8
# More entries than one life makes.
PER_LIFE = 100_000
# Of the recorder; at "alive" it goes on until somebody else kills it.
POINTS = ("before_commit", "after_commit", "before_signature", "after_signature", "before_reply")
SIGNER_POINTS = ("before_state", "after_state")
ROW = "INSERT INTO gateway.batch_sequence (unit_code, sequence) VALUES (%s, %s)"


def die_at(target: Any, name: str, count: int, *, after: bool, when: Callable[..., bool]) -> None:
    """Kill this process at the `count`th call of a method, before or after it did its work."""
    real, calls = getattr(target, name), itertools.count(1)

    def fatal(*given: Any) -> bool:
        return when(*given) and next(calls) >= count

    async def waited(*given: Any) -> Any:
        fell = fatal(*given)
        if fell and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        found = await real(*given)
        if fell:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    def done(*given: Any) -> Any:
        fell = fatal(*given)
        if fell and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        found = real(*given)
        if fell:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(target, name, waited if asyncio.iscoroutinefunction(real) else done)


def prepare(point: str, count: int) -> None:
    def always(*_: Any) -> bool:
        return True

    def appends(_self: Any, query: str, *_: Any) -> bool:
        return "audit_append" in query

    if point == "before_commit":
        die_at(Transaction, "fetch_one", count, after=True, when=appends)
    if point == "after_commit":
        die_at(Recorder, "_integrate", count, after=False, when=always)
    if point in ("before_signature", "after_signature"):
        die_at(SignerLink, "sign", count, after=point == "after_signature", when=always)
    if point == "before_reply":
        die_at(Append, "settle", count, after=False, when=always)
    if point in SIGNER_POINTS:
        die_at(Memory, "save", count, after=point == "after_state", when=always)


async def record(conninfo: str, socket: Path, salt: str) -> None:
    database = await Database.open(conninfo, application="sacrifice")
    link = SignerLink(socket)
    recorder = await Recorder.open(database, link, door="intake", clock=SYSTEM)
    numbers = itertools.count()

    async def caller() -> None:
        while True:
            key = f"{int(salt) * PER_LIFE + next(numbers):010d}"

            async def effect(tx: Transaction, key: str = key) -> Event:
                await tx.execute(ROW, (key, 1))
                return Event(kind="upload", door="intake")

            try:
                entry = await recorder.append(Event(kind="upload", door="intake"), effect)
            except UnavailableError:
                await asyncio.sleep(0.05)
                continue
            digest = hashlib.sha256(entry.leaf).hexdigest()
            os.write(1, f"{entry.index} {digest} {key}\n".encode())

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


async def sign(home: Home) -> None:
    await Signer(Memory.load(home), home).serve(home.signer_socket, asyncio.Event())


def main(role: str, *words: str) -> None:
    if role == "recorder":
        conninfo, socket, point, count, salt = words
        prepare(point, int(count))
        asyncio.run(record(conninfo, Path(socket), salt))
    else:
        folder, point, count = words
        memory_home = Home(Path(folder))
        # Loading stores the state once: only what follows is counted.
        prepare(point, int(count) + 1)
        asyncio.run(sign(memory_home))


if __name__ == "__main__":
    main(*sys.argv[1:])
