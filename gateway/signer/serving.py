"""The signer on its socket: those that wait share a signature. One JSON object a line.

Protocol:

    {"from": k, "size": n, "root": hex, "hashes": base64 of leaf hashes k..n-1}
    {"newest": true}            what was signed last
    -> {"checkpoint": note}     of size n or, where more was signed since, of that
     | {"have": s}              the signer stands at s: ask again from there, with the newest head
     | {"refused": why}         "inconsistent", "malformed", "state"
"""

import asyncio
import json
import signal
from pathlib import Path

from gateway import log
from gateway.config import readiness
from gateway.config.confinement import confine
from gateway.config.home import Home
from gateway.signer.keys import KeysError
from gateway.signer.memory import Answer, Memory, StateError
from gateway.tlog.growth import Claim, read_claim

# 65,536 leaf hashes in base64, and room for the rest.
LINE_MAX_BYTES = 4 * 1024 * 1024
_LOG = log.get("signer")


class Signer:
    """Answers requests on a socket; those that wait together share one write and one signature."""

    def __init__(self, memory: Memory | None, home: Home | None = None) -> None:
        """Serve from `memory`; without one every request is refused.

        Until there is one again in `home`: somebody resolved the incident (`memory.resume`).
        """
        self._memory = memory
        self._home = home
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
        if self._memory is None and self._home is not None:
            self._memory = _loaded(self._home, told=True)
        if self._memory is None:
            return {"refused": "state"}
        try:
            request = read_claim(line)
        except ValueError:
            return {"refused": "malformed"}
        if request is None:
            return self._newest(self._memory)
        if self._stopping:
            raise ConnectionAbortedError
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        self._wake.set()
        return await future

    def _newest(self, memory: Memory) -> Answer:
        """Answer with the newest checkpoint, signed by the keys that are in the file now."""
        try:
            memory.renew()
        except OSError as error:
            _LOG.error("state not stored", errno=error.errno)
            return {"refused": "state"}
        return {"checkpoint": memory.checkpoint}

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


def main(home: Home) -> None:
    """Run the signer of this HOME until SIGTERM."""
    confine(home, "signer")
    asyncio.run(_run(Signer(_loaded(home), home), home.signer_socket))


def _loaded(home: Home, *, told: bool = False) -> Memory | None:
    """Return the state in HOME; None, and `told` once, where there is none that is whole."""
    try:
        memory = Memory.load(home)
    except (StateError, KeysError, OSError) as error:
        if not told:
            why = "state lost: nothing is signed until two officers resolve it"
            _LOG.error(why, see="gateway signer", why=str(error))
        return None
    _LOG.info("state read", size=memory.growth.size)
    return memory


async def _run(signer: Signer, path: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await signer.serve(path, stop)
