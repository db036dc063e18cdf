"""The signer: alone it holds the log's key, and it signs only what continues what it signed.

It is the first witness. Its own state (frontier and last checkpoint) lies where no door can write,
is on disk before a checkpoint leaves, and is never rolled back: a log that was rewritten or
shortened, also by restoring an old database, gets no signature. Protocol: one JSON object a line.

    {"from": k, "size": n, "root": hex, "hashes": base64 of leaf hashes k..n-1}
    {"newest": true}            what was signed last
    -> {"checkpoint": note}     of size n or, where more was signed since, of that
     | {"have": s}              the signer stands at s: ask again from there, with the newest head
     | {"refused": why}         "inconsistent", "malformed", "state"

State lost while the log has entries is an incident: the signer stays up and refuses. Only `create`,
which `gateway init` calls, makes a state.
"""

import asyncio
import contextlib
import errno
import json
import os
import secrets
import signal
from collections.abc import Mapping
from pathlib import Path

from gateway import log
from gateway.config import folders, readiness
from gateway.config.confinement import confine
from gateway.config.home import Home
from gateway.tlog import checkpoint, note
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.frontier import Frontier
from gateway.tlog.growth import Claim, Growth, Verdict, read_claim
from gateway.tlog.merkle import EMPTY_ROOT

# 65,536 leaf hashes in base64, and room for the rest.
LINE_MAX_BYTES = 4 * 1024 * 1024
KEY_FILE = "log.skey"
STATE_FILE = "state"
# The state file holds two states of fixed length, written in turn: one fdatasync a signature, a
# quarter of what replacing a file takes, and a torn write spoils only what never left.
SLOT_BYTES = 8192
SLOTS = 2
Answer = Mapping[str, object]
_LOG = log.get("signer")


class StateError(Exception):
    """The signer's state is missing or not what this key signed; nothing is signed."""


class Memory:
    """What the signer signed: the log as it grew, and the newest checkpoint."""

    def __init__(self, path: Path, key: note.Signer, frontier: Frontier) -> None:
        """Remember `frontier`, whose checkpoint is signed anew; use `load` or `create`."""
        self._path = path
        self._key = key
        self.growth = Growth(frontier)
        self.checkpoint = self._sign()
        self._slot = 0

    @classmethod
    def load(cls, folder: Path, key: note.Signer) -> "Memory":
        """Read the state: the newer of the two that are whole and signed by this key.

        Raises StateError when there is none, OSError when it cannot be stored again.
        """
        path = folder / STATE_FILE
        whole = [_opened(state, key) for state in _states(path)]
        found = [(frontier.size, slot) for slot, frontier in enumerate(whole) if frontier]
        if not found:
            raise StateError(f"{path} is missing, damaged, or not what this key signed")
        _, slot = max(found)
        frontier = whole[slot]
        assert frontier is not None  # noqa: S101  as found
        memory = cls(path, key, frontier)
        memory._slot = slot
        # What was read may never have reached the disk: nothing leaves before it has.
        memory.save()
        return memory

    def save(self) -> None:
        """Put the state on disk, durably; the one before stays beside it."""
        slot = (self._slot + 1) % SLOTS
        content = _slot_content(self.checkpoint, self.growth.frontier)
        descriptor = os.open(self._path, os.O_WRONLY)
        try:
            if os.pwrite(descriptor, content, slot * SLOT_BYTES) != SLOT_BYTES:
                raise OSError(errno.ENOSPC, "the state was written in part")
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        self._slot = slot

    def answer(self, requests: list[Claim]) -> list[Answer]:
        """Judge requests that wait together; at most one new checkpoint is stored, then handed out.

        Raises OSError when the state cannot be stored: nothing was signed then.
        """
        before, newest = self.growth.frontier, self.checkpoint
        verdicts = [self.growth.judge(each) for each in requests]
        if self.growth.size > before.size:
            self.checkpoint = self._sign()
            try:
                self.save()
            except OSError:
                self.checkpoint = newest
                self.growth.undo(before)
                raise
        answers: dict[Verdict, Answer] = {
            "grown": {"checkpoint": self.checkpoint},
            "known": {"checkpoint": self.checkpoint},
            "elsewhere": {"have": self.growth.size},
            "inconsistent": {"refused": "inconsistent"},
        }
        return [answers[verdict] for verdict in verdicts]

    def _sign(self) -> str:
        frontier = self.growth.frontier
        made = Checkpoint(self._key.verifier.name, frontier.size, frontier.root())
        return made.signed(self._key)


class Signer:
    """Answers requests on a socket; those that wait together share one write and one signature."""

    def __init__(self, memory: Memory | None) -> None:
        """Serve from `memory`; without one every request is refused."""
        self._memory = memory
        self._waiting: list[tuple[Claim, asyncio.Future[Answer]]] = []
        self._stopping = False
        self._wake = asyncio.Event()
        self._talks: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def serve(self, path: Path, stop: asyncio.Event) -> None:
        """Listen on the socket until `stop`."""
        server = await asyncio.start_unix_server(self._talk, path, limit=LINE_MAX_BYTES)
        worker = asyncio.create_task(self._work())
        readiness.announce()
        try:
            await stop.wait()
        finally:
            server.close()
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
            await self._hang_up()

    async def _hang_up(self) -> None:
        """Close every connection; what waits for a signature is answered by nothing: unknown."""
        self._stopping = True
        for future in (each for _, each in self._waiting if not each.done()):
            future.set_exception(ConnectionAbortedError())
        for writer in self._talks:
            writer.close()
        talks = [task for task in self._talks.values() if task is not None]
        if talks:
            await asyncio.wait(talks)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._talks[writer] = asyncio.current_task()
        try:
            while line := await reader.readline():
                answer = await self._answer(line)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError):
            _LOG.warning("connection lost or line too long")
        finally:
            writer.close()
            del self._talks[writer]

    async def _answer(self, line: bytes) -> Answer:
        if self._memory is None:
            return {"refused": "state"}
        try:
            request = read_claim(line)
        except ValueError:
            return {"refused": "malformed"}
        if request is None:
            return {"checkpoint": self._memory.checkpoint}
        if self._stopping:
            raise ConnectionAbortedError
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        self._wake.set()
        return await future

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            waiting, self._waiting = self._waiting, []
            answers = self._judge([request for request, _ in waiting])
            for (_, future), answer in zip(waiting, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    def _judge(self, requests: list[Claim]) -> list[Answer]:
        assert self._memory is not None  # noqa: S101  requests wait only where there is a memory
        try:
            answers = self._memory.answer(requests)
        except OSError as error:
            _LOG.error("state not stored", errno=error.errno)
            return [{"refused": "state"} for _ in requests]
        if any(each.get("refused") for each in answers):
            _LOG.error("inconsistent head refused", size=self._memory.growth.size)
        return answers


def create(home: Home, origin: str) -> None:
    """Make the log's key, its public line and the state of an empty log.

    `gateway init` calls this once.
    """
    key = note.Signer(origin, secrets.token_bytes(note.KEY_LENGTH))
    folder = home.secrets("signer")
    folders.write_private(folder / KEY_FILE, key.secret_line().encode(), "signer")
    first = _slot_content(Checkpoint(origin, 0, EMPTY_ROOT).signed(key), Frontier())
    folders.write_private(folder / STATE_FILE, first * SLOTS, "signer")
    folders.write_public(home.log_key, f"{key.verifier}\n".encode())


def stored_checkpoint(home: Home) -> str | None:
    """Return the newest checkpoint in the signer's state, for the host's own tools; None without.

    Nothing is verified: who reads it has the log's key.
    """
    found: list[tuple[int, str]] = []
    for signed, _ in _states(home.secrets("signer") / STATE_FILE):
        with contextlib.suppress(note.NoteError):
            found.append((checkpoint.parse(note.split(signed)[0]).size, signed))
    return max(found)[1] if found else None


def _states(path: Path) -> list[tuple[str, list[str]]]:
    """Return checkpoint and frontier of each slot; an unreadable one is empty."""
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    states: list[tuple[str, list[str]]] = []
    for place in range(0, SLOTS * SLOT_BYTES, SLOT_BYTES):
        try:
            document = json.loads(content[place : place + SLOT_BYTES])
            states.append((str(document["checkpoint"]), list(map(str, document["frontier"]))))
        except (ValueError, KeyError, TypeError):
            states.append(("", []))
    return states


def _opened(state: tuple[str, list[str]], key: note.Signer) -> Frontier | None:
    """Return the frontier of a state when it is whole and signed by this key."""
    signed, subtrees = state
    try:
        known = checkpoint.open_checkpoint(signed, [key.verifier], key.verifier.name)
        frontier = Frontier(known.size, [bytes.fromhex(each) for each in subtrees])
    except ValueError:  # NoteError, MerkleError and what is not hexadecimal
        return None
    return frontier if frontier.root() == known.root else None


def _slot_content(signed: str, frontier: Frontier) -> bytes:
    document = {"checkpoint": signed, "frontier": [each.hex() for each in frontier.hashes]}
    return json.dumps(document).encode().ljust(SLOT_BYTES)


def main(home: Home) -> None:
    """Run the signer of this HOME until SIGTERM."""
    confine(home, "signer")
    folder = home.secrets("signer")
    key = note.parse_skey((folder / KEY_FILE).read_text(encoding="utf-8").strip())
    try:
        memory = Memory.load(folder, key)
    except (StateError, OSError) as error:
        _LOG.error("state lost: nothing is signed until an officer resolves it", why=str(error))
        memory = None
    asyncio.run(_run(Signer(memory), home.signer_socket))


async def _run(signer: Signer, path: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await signer.serve(path, stop)
