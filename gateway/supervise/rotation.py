"""Changes what the gateway changes by itself, while it is served: what has a taker (`_takers`).

Each step is opened in the journal together with its leaf, taken on the files, and closed: what
broke off anywhere is taken again from its beginning, and a token in use is good at every moment.
Two failures of a step raise an alarm; it is tried on. The supervisor does it because it alone may
write HOME/public and the identity process's folder; `gateway rotation run` does the same once.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace

from gateway import log
from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.audit.signing import SignerLink
from gateway.clock import SYSTEM, Clock
from gateway.config import settings
from gateway.config.home import Home
from gateway.config.rotation import RotationRules, load_rotation_rules
from gateway.config.settings import Settings
from gateway.config.strict import SettingsError
from gateway.errors import UnavailableError
from gateway.identity import inventory, lives, secret_rows
from gateway.identity.keys import KeyFileError
from gateway.identity.rotation import Kind, Secret, Step, judge
from gateway.identity.secret_rows import OpenStep
from gateway.store import roles
from gateway.store.database import Database, StoreError, Transaction
from gateway.store.export_keys import ExportKeyError
from gateway.store.seal_keys import SealError
from gateway.supervise.database_taker import DatabaseTaker
from gateway.supervise.export_taker import ExportTaker
from gateway.supervise.sealing_taker import SealingTaker
from gateway.supervise.signer_taker import SignerTaker
from gateway.supervise.taker import StepError, Taken, Taker, detail
from gateway.supervise.telling import Teller
from gateway.supervise.token_taker import TokenTaker

# No door's: only who runs the gateway reads its password, and only it sees these tables.
_ROLE = "owner"
# Steps are due by the hour.
POLL_S = 60.0
# Warnings are a matter of days; reading every account and certificate costs some milliseconds.
TELL_S = 3600.0
_RETRY_S = 5.0
# A database or signer that is away, a file or policy that is not as it must be: all may pass.
_PASSING = (
    *(StoreError, UnavailableError, SettingsError, KeyFileError, SealError, ExportKeyError),
    *(OSError, ValueError),
)
_LOG = log.get("rotation")


@dataclass(frozen=True, slots=True)
class Done:
    """A step that was taken."""

    secret: Secret
    step: str


async def keep_rotating(home: Home, own: Settings, clock: Clock = SYSTEM) -> None:
    """Look every minute, for ever; cancel it to end it. What fails is logged and tried again."""
    while True:
        try:
            async with engine(home, own, "supervisor", clock) as looking:
                while True:
                    await looking.look()
                    await looking.tell()
                    await asyncio.sleep(POLL_S)
        except _PASSING as error:
            _LOG.error("secrets not looked after", why=str(error))
        await asyncio.sleep(_RETRY_S)


@contextlib.asynccontextmanager
async def engine(
    home: Home, own: Settings, door: str, clock: Clock = SYSTEM
) -> AsyncIterator["Engine"]:
    """Give the engine of a HOME whose database and signer answer; raises StoreError."""
    way = roles.WayIn(home, own, _ROLE)
    database = await Database.open(way, application="gateway-rotation", size=2)
    signer = SignerLink(home.signer_socket)
    try:
        recorder = await Recorder.open(database, signer, door=door, clock=clock)
        try:
            yield Engine(home, database, recorder, clock)
        finally:
            await recorder.close()
    finally:
        await signer.close()
        await database.close()


class Engine:
    """Does what is due, one HOME's."""

    def __init__(self, home: Home, database: Database, recorder: Recorder, clock: Clock) -> None:
        """Work with the owner's database; raises SettingsError when the rules are wrong."""
        self._home = home
        self._database = database
        self._recorder = recorder
        self._clock = clock
        self._rules: RotationRules = load_rotation_rules(home.policies / "rotation.toml")
        self._takers: Mapping[Kind, Taker] = {one.kind: one for one in _takers(home)}
        self._external = bool(settings.load(home.settings).dsn)
        self._teller = Teller(home, database, recorder, clock)
        self._told_s = float("-inf")

    async def look(self) -> list[Done]:
        """Finish what broke off, make the table agree with the files, do what is due.

        Returns the steps that were taken. Raises StoreError, UnavailableError; KeyFileError,
        OSError or ValueError for a file that cannot be read.
        """
        async with self._settled() as taken:
            due = await self._due()
            if due is not None:
                await self._begin(*due)
                taken.extend(await self._finish_open())
        return taken

    async def change(self, kind: Kind, name: str = "") -> list[Done]:
        """Let others follow the secrets of a kind (or the one of a name) now, whatever their age.

        Returns the steps that were taken: what broke off before and is taken now counts. Raises as
        `look` does, and StepError where none can follow yet.
        """
        async with self._settled() as taken:
            done = {one.secret.name for one in taken if one.secret.kind == kind}
            async with self._database.transaction() as tx:
                begun = [
                    (one, await secret_rows.next_generation(tx, kind, one.secret.name))
                    for one in await secret_rows.in_force(tx)
                    if one.secret.kind == kind and one.replaced_us is None
                ]
            for one, following in begun:
                step = lives.AT_A_WORD[kind]
                secret = self._takers[kind].begins(one, step, following)
                if secret and one.secret.name not in done and name in ("", one.secret.name):
                    await self._begin(secret, step)
                    taken.extend(await self._finish_open())
        return taken

    @contextlib.asynccontextmanager
    async def _settled(self) -> AsyncIterator[list[Done]]:
        """Be the only engine for a while; give what broke off and was finished at its beginning."""
        with contextlib.ExitStack() as held:
            # Another look in this very loop must be able to come to its end meanwhile.
            await asyncio.to_thread(held.enter_context, _alone(self._home))
            taken = await self._finish_open()
            await self._agree()
            yield taken

    async def tell(self) -> int:
        """Tell, at most once an hour, of whose secret nears its end; return of how many.

        Raises as `look` does.
        """
        now_s = self._clock.monotonic()
        if now_s - self._told_s < TELL_S:
            return 0
        told = await self._teller.tell()
        self._told_s = now_s
        return told

    async def _due(self) -> tuple[Secret, Step] | None:
        """Return the next step that is due, and of which secret.

        None of a kind that still has one open: what fails there holds up no other.
        """
        now_us = self._clock.now_us()
        async with self._database.transaction() as tx:
            held_up = {one.secret.kind for one in await secret_rows.open_steps(tx)}
            free = self._takers.keys() - held_up
            every = await secret_rows.in_force(tx)
            for one in (kept for kept in every if kept.secret.kind in free):
                kind, name = one.secret.kind, one.secret.name
                others = [
                    other
                    for other in every
                    if other is not one and (other.secret.kind, other.secret.name) == (kind, name)
                ]
                living = lives.of_kept(one, others, self._rules, external=self._external)
                found = judge(*living, now_us)
                if found.due_us is None or now_us < found.due_us:
                    continue
                following = await secret_rows.next_generation(tx, kind, name)
                secret = self._takers[kind].begins(one, found.step, following)
                if secret is not None:
                    return secret, found.step
        return None

    async def _begin(self, secret: Secret, step: Step) -> None:
        """Open a step in the journal, together with its leaf."""
        event = self._event("secret.rotate", detail=detail(secret, step))

        async def effect(tx: Transaction) -> Event:
            await secret_rows.begin(tx, secret, step, self._clock.now_us())
            return event

        await self._recorder.append(event, effect)

    async def _finish_open(self) -> list[Done]:
        """Take every open step; one that fails is counted and stays open."""
        async with self._database.transaction() as tx:
            steps = await secret_rows.open_steps(tx)
        done = []
        for one in steps:
            try:
                taken = await self._takers[one.secret.kind].take(one)
            except (OSError, KeyFileError, StepError) as error:
                await self._failed(one, error)
                continue
            await self._close(one, taken)
            _LOG.info("secret rotated", kind=one.secret.kind, step=one.step)
            done.append(Done(replace(one.secret, key_id=taken.key_id), one.step))
        return done

    async def _close(self, step: OpenStep, taken: Taken) -> None:
        """Close a step in the journal, together with its leaf where it has one to its name."""
        now_us, event = self._clock.now_us(), taken.event

        async def effect(tx: Transaction) -> None:
            await self._takers[step.secret.kind].close(tx, step, taken.key_id, now_us)
            await secret_rows.done(tx, step, now_us)

        if event is None:
            async with self._database.transaction() as tx:
                await effect(tx)
            return
        told = event.with_(door=self._recorder.door)

        async def recorded(tx: Transaction) -> Event:
            await effect(tx)
            return told

        await self._recorder.append(told, recorded)

    async def _failed(self, open_step: OpenStep, error: Exception) -> None:
        _LOG.error("secret not rotated", kind=open_step.secret.kind, why=str(error))
        async with self._database.transaction() as tx:
            failures = await secret_rows.failed(tx, open_step)
        if failures == self._rules.engine.alarm_failures:
            about = {**detail(open_step.secret, open_step.step), "alert": "rotation-failed"}
            alarm = self._event("secret.failed", detail=about)
            await self._recorder.append(alarm.with_(decision="error"))

    async def _agree(self) -> None:
        """Enter what lies in the files and not in the table, end what lies there no more."""
        lying = inventory.found(self._home)
        async with self._database.transaction() as tx:
            differing = inventory.compare(lying, await secret_rows.in_force(tx))
        if not (differing.unknown or differing.missing):
            return

        async def effect(tx: Transaction) -> None:
            for one in differing.missing:
                await secret_rows.turn(tx, one.secret, "ended", self._clock.now_us())
            await secret_rows.enter_all(tx, differing.unknown)

        if differing.surprising or differing.missing:
            counts = {"unknown": len(differing.surprising), "missing": len(differing.missing)}
            told = self._event("secret.differs").with_(counts=counts)

            async def recorded(tx: Transaction) -> Event:
                await effect(tx)
                return told

            await self._recorder.append(told, recorded)
            return
        async with self._database.transaction() as tx:
            await effect(tx)

    def _event(self, kind: str, detail: Mapping[str, str | int] | None = None) -> Event:
        return Event(kind=kind, door=self._recorder.door, detail=detail)


def _takers(home: Home) -> list[Taker]:
    """Return who takes the steps of which kind: all that the gateway changes by itself."""
    hosts = (TokenTaker, SignerTaker, SealingTaker, ExportTaker, DatabaseTaker)
    return [one(home) for one in hosts]


@contextlib.contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Keep every other engine of this HOME out, here and in other processes."""
    folder = os.open(home.secrets("identity"), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
