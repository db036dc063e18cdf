"""What audit tests stand on: a real database, a signer that can be killed, a recorder, a clock to turn."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.audit.signing import SignerLink
from gateway.clock import TurnedClock
from gateway.config.home import Home
from gateway.signer import Memory, Signer, create
from gateway.store.database import Database

ORIGIN = "gateway.invalid/audit"
NOW_US = 1_790_000_000_000_000
UPLOAD = Event(kind="upload", door="intake", organisation="140100", account="county.upload")


@contextlib.contextmanager
def signer_home() -> Iterator[Home]:
    """Give a HOME that holds nothing but a signer's key and state."""
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        home = Home(Path(folder))
        home.public.mkdir()
        home.secrets("signer").mkdir(parents=True)
        home.run("signer").mkdir(parents=True)
        create(home, ORIGIN)
        yield home


class RunningSigner:
    """A signer of a HOME on its socket in this process; `kill` cuts every connection at once."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.memory = Memory.load(self.home)
        self.verifier = self.memory.keys.verifiers[0]
        self.signer = Signer(self.memory)
        self._stop.clear()
        self._task = asyncio.create_task(self.signer.serve(self.home.signer_socket, self._stop))
        await until(self.home.signer_socket.exists)

    async def kill(self) -> None:
        if self._task is not None:
            self._stop.set()
            await self._task
            self._task = None
            self.home.signer_socket.unlink(missing_ok=True)


@dataclass
class Stage:
    """A recorder with everything it stands on."""

    database: Database
    signer: RunningSigner
    recorder: Recorder
    clock: TurnedClock
    conninfo: Callable[[str], str]
    home: Home
    others: list[Database] = field(default_factory=list)

    async def another(self, door: str = "identity") -> Recorder:
        """Return a second recorder on the same database and signer."""
        database = await Database.open(self.conninfo("identity"), application="test")
        self.others.append(database)
        link = SignerLink(self.home.signer_socket)
        return await Recorder.open(database, link, door=door, clock=self.clock)


@contextlib.asynccontextmanager
async def stage(conninfo: Callable[[str], str], *, lanes: int = 1) -> AsyncIterator[Stage]:
    """Give a recorder of the intake door on a fresh database."""
    clock = TurnedClock(NOW_US)
    with signer_home() as home:
        signer = RunningSigner(home)
        await signer.start()
        database = await Database.open(conninfo("intake"), application="test")
        link = SignerLink(home.signer_socket)
        recorder = await Recorder.open(database, link, door="intake", clock=clock, lanes=lanes)
        made = Stage(database, signer, recorder, clock, conninfo, home)
        try:
            yield made
        finally:
            await recorder.close()
            await signer.kill()
            for each in (database, *made.others):
                await each.close()


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that another task brings about."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  the condition is another process's or library's
            await asyncio.sleep(0.002)
