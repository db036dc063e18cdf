"""Serves one gateway: database, signer, front and doors in this order, drained in the other.

Start: 1 database, schema to this code's version, policies, keys of exports, revocation list,
2 signer, 3 front and doors.
Drain: 1 front and doors together (the front takes nobody in, the doors finish their calls and the
front relays until they have), 2 the supervisor's last leaf, 3 signer, 4 database.
"""

import asyncio
import contextlib
import importlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping

from gateway.clock import SYSTEM
from gateway.config import folders, loaded
from gateway.config.confinement import check_runner, harden
from gateway.config.home import DOORS, Home, Process
from gateway.config.policies import Policies, load_policies
from gateway.config.settings import Settings
from gateway.identity.rotation import Kind
from gateway.pki import proof
from gateway.store import export_keys, part_key, role_passwords, roles, ticket_key, versions
from gateway.store.embedded import Cluster
from gateway.store.export_keys import ExportKeyError
from gateway.store.seal_keys import SealError
from gateway.supervise import backups, disk, state, untold
from gateway.supervise import policies as in_force
from gateway.supervise.aside import aside
from gateway.supervise.child import Child
from gateway.supervise.journal import Journal
from gateway.supervise.keeper import Keeper, Run, StartError
from gateway.supervise.postgres import PostgresRun
from gateway.supervise.revocation import keep_current
from gateway.supervise.rotation import keep_rotating
from gateway.supervise.wall import keep_watched
from gateway.vpn import window

SERVING: tuple[Process, ...] = ("front", *DOORS)
# How long the last leaf may take when the signer or the database is in trouble.
_FLUSH_S = 5.0
# What is told of whom: ("ready", {"process": "front"}).
Tell = Callable[[str, Mapping[str, object]], None]
Start = Callable[[], Awaitable[Run]]


class Supervisor:
    """The one process that starts, watches and ends the others."""

    def __init__(self, home: Home, settings: Settings, tell: Tell) -> None:
        """Serve this HOME and `tell` the person at the terminal what happens."""
        self._home = home
        self._settings = settings
        self._tell = tell
        self._journal = Journal(home, settings)
        self._keepers: dict[str, Keeper] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()
        self._started_us = SYSTEM.now_us()
        self._wall: Mapping[str, object] = {}

    async def serve(self) -> None:
        """Serve until SIGTERM, SIGINT or `stop`; raises StartError or AlreadyServedError."""
        check_runner(self._home)
        harden()
        policies = load_policies(self._home.policies)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        with state.sole(self._home):
            work = asyncio.create_task(self._work(policies))
            stop = asyncio.create_task(self._stop.wait())
            await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
            work.cancel()
            stop.cancel()
            await self._drain()
            with contextlib.suppress(asyncio.CancelledError):
                await work

    def stop(self) -> None:
        """Begin to drain."""
        self._stop.set()

    async def _work(self, policies: Policies) -> None:
        if not self._settings.dsn:
            cluster = Cluster(self._home)
            await self._up({"postgres": lambda: PostgresRun.start(cluster)})
        # Before anybody comes in: a crash may have left a password half changed.
        await asyncio.to_thread(role_passwords.settle_all, self._home, self._settings)
        await self._update_schema()
        await self._settle_policies()
        self._make_younger_keys()
        await self._keep_revocations()
        await self._up({"signer": self._child("signer")})
        # Not before: a recorder without a signer would put an outage on the log.
        self._tasks["journal"] = asyncio.create_task(self._journal.run())
        told = {**loaded.digests(self._settings, policies), **loaded.files(policies.folder)}
        self._journal.note("process.started", {"process": "supervisor", **told})
        self._tasks["untold"] = asyncio.create_task(untold.tell(self._home, self._journal))
        self._tasks["rotation"] = asyncio.create_task(keep_rotating(self._home, self._settings))
        self._tasks["policies"] = asyncio.create_task(in_force.keep(self._home, self._settings))
        kept = disk.keep(self._home, self._settings, self._journal.put)
        self._tasks["disk"] = asyncio.create_task(kept)
        self._watch_origin(policies)
        await self._up({name: self._child(name) for name in SERVING})
        # After all others: their start comes first.
        kept = backups.keep(self._home, self._settings, self._journal.put)
        self._tasks["backups"] = asyncio.create_task(kept)
        self._tell("serving", {"pid": os.getpid()})
        # Not gather: cancelling this must leave them to `_drain`.
        done, _ = await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def _update_schema(self) -> None:
        owner = roles.conninfo(self._home, self._settings, "owner")
        if await asyncio.to_thread(versions.current, owner) != versions.newest():
            self._tell("migrating", {"version": versions.newest()})
            # Loaded only here: alembic takes half a second.
            migrate = importlib.import_module("gateway.store.migrate").migrate
            await asyncio.to_thread(migrate, owner)
            self._journal.note("schema.updated", {"version": versions.newest()})

    async def _settle_policies(self) -> None:
        adopted = await in_force.settle(self._home, self._settings)
        if adopted:
            self._journal.note("policies.activated", {"digest": adopted})

    def _make_younger_keys(self) -> None:
        """Give a HOME of an older version the folder of exports, their keys, and that of parts."""
        folders.make_folders(self._home, self._home.exports)
        kinds: tuple[Kind, ...] = ("export-key", "export-token-key")
        try:
            made = [*kinds] if export_keys.make(self._home) else list[Kind]()
            if ticket_key.make(self._home):
                made.append("export-ticket-key")
            if proof.make(self._home):
                made.append("invitation-key")
            if part_key.make(self._home):
                made.append("side-part-key")
        except (ExportKeyError, SealError) as error:
            raise StartError(str(error)) from error
        for kind in made:
            self._journal.note("secret.made", {"secret": kind, "generation": 1})

    def _watch_origin(self, policies: Policies) -> None:
        home, settings = self._home, self._settings
        if window.needed(home, settings.origin):
            kept = aside(lambda: window.keep(home, settings.origin))
            self._tasks["tunnels"] = asyncio.create_task(kept)
        if settings.origin.wall.table:
            told = self._journal.put, self._wall_changed
            watched = keep_watched(home, settings, policies.tunnels, *told)
            self._tasks["wall"] = asyncio.create_task(watched)

    async def _keep_revocations(self) -> None:
        current = asyncio.Event()
        kept = keep_current(self._home, self._settings, current, self._journal.note)
        self._tasks["revocations"] = asyncio.create_task(kept)
        await self._until(current, "revocations")

    def _child(self, name: Process) -> Start:
        return lambda: Child.start(self._home, name)

    async def _up(self, starts: Mapping[str, Start]) -> None:
        """Keep these from now on and wait until all of them serve; raises StartError."""
        for name, start in starts.items():
            keeper = self._keepers[name] = Keeper(name, start, self._changed)
            self._tasks[name] = asyncio.create_task(keeper.keep())
        for name in starts:
            await self._until(self._keepers[name].serving, name)

    async def _until(self, event: asyncio.Event, task: str) -> None:
        """Wait for an event that a task sets; raises what the task raises before."""
        waiting = asyncio.create_task(event.wait())
        kept = self._tasks[task]
        await asyncio.wait([waiting, kept], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if kept.done():
            kept.result()

    async def _drain(self) -> None:
        self._tell("draining", {})
        await self._down(*SERVING)
        self._journal.note("process.stopped", {"process": "supervisor"})
        signer = self._keepers.get("signer")
        if signer and signer.serving.is_set() and not await self._journal.flush(_FLUSH_S):
            self._tell("unwritten", {})
        await self._end(
            *("backups", "disk", "policies", "rotation", "untold", "journal"),
            *("revocations", "tunnels", "wall"),
        )
        await self._down("signer")
        await self._down("postgres")
        self._tell("ended", {})

    async def _end(self, *names: str) -> None:
        tasks = [self._tasks[name] for name in names if name in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _down(self, *names: str) -> None:
        keepers = [self._keepers[name] for name in names if name in self._keepers]
        await asyncio.gather(*(keeper.finish() for keeper in keepers))
        await asyncio.gather(
            *(self._tasks[keeper.name] for keeper in keepers), return_exceptions=True
        )

    def _changed(self, keeper: Keeper, status: int | None) -> None:
        """Note a keeper's change of state: on the log, in the status file, at the terminal."""
        if keeper.state == "restarting":
            detail: dict[str, str | int] = {"process": keeper.name, "restarts": keeper.restarts}
            ended = status or 0
            detail["signal" if ended < 0 else "exit"] = abs(ended)
            self._journal.note("process.restarted", detail)
        elif keeper.state in ("ready", "stopped"):
            kind = "process.started" if keeper.state == "ready" else "process.stopped"
            self._journal.note(kind, {"process": keeper.name})
        self._tell(keeper.state, {"process": keeper.name, "pid": keeper.pid, "status": status})
        self._write()

    def _wall_changed(self, wall: Mapping[str, object]) -> None:
        self._wall = wall
        self._write()

    def _write(self) -> None:
        state.write(
            self._home,
            {
                "supervisor": os.getpid(),
                "started_us": self._started_us,
                "children": {
                    one.name: {"state": one.state, "pid": one.pid, "restarts": one.restarts}
                    for one in self._keepers.values()
                },
                **({"wall": self._wall} if self._wall else {}),
            },
        )
