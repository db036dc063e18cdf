"""Changes what the gateway changes by itself, while it is served: the keys that sign tokens.

Each step is opened in the journal together with its leaf, taken on the files, and closed: what
broke off anywhere is taken again from its beginning, and a token in use is good at every moment.
Two failures of a step raise an alarm; it is tried on. The supervisor does it because it alone may
write HOME/public and the identity process's folder; `gateway rotation run` does the same once.
"""

import asyncio
import contextlib
import fcntl
import os
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace

from gateway import log
from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.audit.signing import SignerLink
from gateway.clock import SYSTEM, Clock
from gateway.config.home import Home
from gateway.config.rotation import RotationRules, load_rotation_rules
from gateway.config.settings import Settings
from gateway.config.strict import SettingsError
from gateway.errors import UnavailableError
from gateway.identity import inventory, lives, secret_rows, token_rotation
from gateway.identity.keys import KeyFileError
from gateway.identity.lives import HOST, Kept
from gateway.identity.rotation import Kind, Secret, Step, judge
from gateway.identity.secret_rows import OpenStep
from gateway.store import roles
from gateway.store.database import Database, StoreError, Transaction
from gateway.supervise.telling import Teller

# No door's: only who runs the gateway reads its password, and only it sees these tables.
_ROLE = "owner"
# Steps are due by the hour.
POLL_S = 60.0
# Warnings are a matter of days; reading every account and certificate costs some milliseconds.
TELL_S = 3600.0
_RETRY_S = 5.0
_KIND: Kind = "token-key"
# A database or signer that is away, a file or policy that is not as it must be: all may pass.
_PASSING = (StoreError, UnavailableError, SettingsError, KeyFileError, OSError, ValueError)
_LOG = log.get("rotation")


@dataclass(frozen=True, slots=True)
class Done:
    """A step that was taken."""

    secret: Secret
    step: str


async def keep_rotating(home: Home, settings: Settings, clock: Clock = SYSTEM) -> None:
    """Look every minute, for ever; cancel it to end it. What fails is logged and tried again."""
    while True:
        try:
            async with engine(home, settings, "supervisor", clock) as looking:
                while True:
                    await looking.look()
                    await looking.tell()
                    await asyncio.sleep(POLL_S)
        except _PASSING as error:
            _LOG.error("secrets not looked after", why=str(error))
        await asyncio.sleep(_RETRY_S)


@contextlib.asynccontextmanager
async def engine(
    home: Home, settings: Settings, door: str, clock: Clock = SYSTEM
) -> AsyncIterator["Engine"]:
    """Give the engine of a HOME whose database and signer answer; raises StoreError."""
    conninfo = roles.conninfo(home, settings, _ROLE)
    database = await Database.open(conninfo, application="gateway-rotation", size=2)
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
        self._teller = Teller(home, database, recorder, clock)
        self._told_s = float("-inf")

    async def look(self) -> list[Done]:
        """Finish what broke off, make the table agree with the files, do what is due.

        Returns the steps that were taken. Raises StoreError, UnavailableError; KeyFileError,
        OSError or ValueError for a file that cannot be read.
        """
        with contextlib.ExitStack() as held:
            # Another look in this very loop must be able to come to its end meanwhile.
            await asyncio.to_thread(held.enter_context, _alone(self._home))
            taken = await self._finish_open()
            await self._agree()
            due = await self._due()
            if due is not None:
                await self._begin(*due)
                taken += await self._finish_open()
        return taken

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
        """Return the next step that is due, and of which key; None while one is still open."""
        now_us = self._clock.now_us()
        async with self._database.transaction() as tx:
            if await secret_rows.open_steps(tx):
                return None
            kept = [one for one in await secret_rows.in_force(tx) if one.secret.kind == _KIND]
            following = await secret_rows.next_generation(tx, _KIND, inventory.TOKENS)
        for one in kept:
            others = [other for other in kept if other is not one]
            found = judge(*lives.of_kept(one, others, self._rules), now_us)
            waits = one.used_us is None
            if found.due_us is None or now_us < found.due_us or (found.step == "switch") != waits:
                continue
            if found.step == "publish":
                return Secret(_KIND, inventory.TOKENS, HOST, following), "publish"
            return one.secret, found.step
        return None

    async def _begin(self, secret: Secret, step: Step) -> None:
        """Open a step in the journal, together with its leaf."""
        event = self._event("secret.rotate", detail=_detail(secret, step))

        async def effect(tx: Transaction) -> Event:
            await secret_rows.begin(tx, secret, step, self._clock.now_us())
            return event

        await self._recorder.append(event, effect)

    async def _finish_open(self) -> list[Done]:
        """Take every open step; one that fails is counted and stays open."""
        async with self._database.transaction() as tx:
            steps = await secret_rows.open_steps(tx)
        taken = []
        for one in steps:
            try:
                kid = self._take(one)
            except (OSError, KeyFileError) as error:
                await self._failed(one, error)
                continue
            async with self._database.transaction() as tx:
                await self._close(tx, one, kid)
            _LOG.info("secret rotated", kind=one.secret.kind, step=one.step)
            taken.append(Done(replace(one.secret, key_id=kid), one.step))
        return taken

    def _take(self, open_step: OpenStep) -> str:
        """Take a step on the files and return the kid that it was of."""
        if open_step.step == "publish":
            return token_rotation.publish(self._home)
        if open_step.step == "switch":
            return token_rotation.switch(self._home)
        return token_rotation.retire(self._home, open_step.secret.key_id)

    async def _close(self, tx: Transaction, open_step: OpenStep, kid: str) -> None:
        now_us, secret = self._clock.now_us(), open_step.secret
        if open_step.step == "publish":
            await secret_rows.enter(tx, Kept(replace(secret, key_id=kid), now_us))
        elif open_step.step == "retire":
            await secret_rows.turn(tx, secret, "ended", now_us)
        elif kid == secret.key_id:
            for one in await secret_rows.in_force(tx):
                if one.secret.kind == _KIND and one.used_us is not None:
                    await secret_rows.turn(tx, one.secret, "replaced", now_us)
            await secret_rows.turn(tx, secret, "used", now_us)
        # Else the files were exchanged meanwhile: what they say is entered, and told.
        await secret_rows.done(tx, open_step, now_us)

    async def _failed(self, open_step: OpenStep, error: Exception) -> None:
        _LOG.error("secret not rotated", kind=open_step.secret.kind, why=str(error))
        async with self._database.transaction() as tx:
            failures = await secret_rows.failed(tx, open_step)
        if failures == self._rules.engine.alarm_failures:
            detail = {**_detail(open_step.secret, open_step.step), "alert": "rotation-failed"}
            alarm = self._event("secret.failed", detail=detail)
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


def _detail(secret: Secret, step: str) -> dict[str, str | int]:
    """Return what a leaf tells of a step: of the key only its public name, as hex."""
    detail: dict[str, str | int] = {
        "secret": secret.kind,
        "step": step,
        "generation": secret.generation,
    }
    if secret.key_id:
        detail["digest"] = urlsafe_b64decode(secret.key_id + "=").hex()
    return detail


@contextlib.contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Keep every other engine of this HOME out, here and in other processes."""
    folder = os.open(home.secrets("identity"), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
