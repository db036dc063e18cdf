"""One child process: started with a pipe on which it says that it is ready, and ended."""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from pathlib import Path

from gateway.config import home as places
from gateway.config.confinement import PARENT_VARIABLE
from gateway.config.readiness import READY_VARIABLE
from gateway.config.users import separate, user_of
from gateway.supervise.launch import launch

# Imports on a busy small machine take a second or two; a process that needs more is stuck.
READY_TIMEOUT_S = 60.0
# Doors finish their calls within the longest deadline they take.
FINISH_TIMEOUT_S = 20.0
# Who has a user of its own has no home. That of who starts it is closed to it, and to libpq, which
# speaks TLS to another's server, a certificate there that it may not look for is an error.
_HOMELESS = {"HOME": "/nonexistent"}


class Child:
    """One run of one process of the gateway; made by `start`."""

    def __init__(self, name: places.Process, process: Process, ready: asyncio.StreamReader) -> None:
        """Hold a started process and the reading end of its pipe."""
        self.name = name
        self.pid = process.pid
        self._process = process
        self._ready = ready

    @classmethod
    async def start(cls, home: places.Home, name: places.Process) -> "Child":
        """Start a process of this HOME; its output goes to its log file."""
        user = user_of(name)
        # Root gives each child its user; anybody else's children are his own.
        apart = separate()
        reading, writing = os.pipe()
        try:
            with log_path(home, name).open("ab") as log, launch(user) as way:
                process = await asyncio.create_subprocess_exec(
                    *(way.interpreter, "-P", "-m", "gateway", "run", name, str(home.root)),
                    stdin=DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env=os.environ
                    | way.environment
                    | _told(writing)
                    | (_HOMELESS if apart else {}),
                    pass_fds=(writing, *way.descriptors),
                    # ^C is for the supervisor, which drains. No session of its own: to Linux
                    # (autogroup, sched(7)) priorities are worth something within one only.
                    process_group=0,
                    user=user.uid if apart else None,
                    group=user.gid if apart else None,
                    extra_groups=user.groups if apart else None,
                )
        finally:
            os.close(writing)
        return cls(name, process, await _reader(reading))

    async def ready(self) -> bool:
        """Wait until it serves; return whether it does: it may have died, or be stuck."""
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                return await self._ready.read(1) == b"1"
        except TimeoutError:
            return False

    async def ended(self) -> int:
        """Wait for its end and return its exit status, negative for a signal."""
        return await self._process.wait()

    async def finish(self) -> int:
        """Ask it to finish, wait, kill it when it does not; return its exit status."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(FINISH_TIMEOUT_S):
                return await self._process.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            return await self._process.wait()

    def _signal(self, number: int) -> None:
        # Not asyncio's send_signal: that may reap the child behind its own watcher's back.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def log_path(home: places.Home, name: str) -> Path:
    """Return the log file of a process."""
    return home.logs / f"{name}.log"


def _told(ready: int) -> dict[str, str]:
    return {
        PARENT_VARIABLE: str(os.getpid()),
        READY_VARIABLE: str(ready),
        "PYTHONNOUSERSITE": "1",
    }


async def _reader(descriptor: int) -> asyncio.StreamReader:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=16)
    file = os.fdopen(descriptor, "rb", buffering=0)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    return reader
