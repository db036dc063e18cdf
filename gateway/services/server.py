"""One door as a process: what it is made of, how it starts, and how it stops."""

import asyncio
import gc
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from grpc import aio

from gateway import log
from gateway.audit import starting
from gateway.audit.event import Event
from gateway.audit.recorder import Recorder
from gateway.audit.signing import SignerLink
from gateway.clock import SYSTEM, Clock
from gateway.config import loaded, policies, readiness, settings
from gateway.config.disk import Disk
from gateway.config.home import Door, Home, Listener
from gateway.errors import UnavailableError
from gateway.identity import age, rule_files
from gateway.identity.keyring import CurrentVerifier
from gateway.link.control import ControlClient
from gateway.policy import disk
from gateway.policy.trust import Trust
from gateway.services import contract, doors
from gateway.services.access import Rpc
from gateway.services.backed import Backed
from gateway.services.checks import Checks
from gateway.services.current import Current
from gateway.services.doors import Chore, Parts
from gateway.services.guard import Guard, Method
from gateway.services.http_files import HttpFiles
from gateway.services.limits import Limits
from gateway.services.pages import Pages
from gateway.services.permits import Permits
from gateway.services.recording import DoorRecorder
from gateway.store import roles
from gateway.store.database import Database, StoreError

# Connections to PostgreSQL: a commit group, a poll, and reads beside them.
POOL_SIZE = 6
# How long running calls may take to finish at a stop: within the supervisor's patience (20 s).
DRAIN_S = 10.0
# Between two attempts at what comes before anybody is served.
RETRY_S = 0.25
# A waiting dose is rejected a minute after its 72 hours at the latest.
CHORES_EVERY_S = 60.0
# More streams on a connection than the policy lets open, so that our own refusal is what is seen.
CONCURRENT_STREAMS = 128
# A client that vanished behind its tunnel is found so, and its streams are ended with a leaf each.
KEEPALIVE_S = 30
KEEPALIVE_TIMEOUT_S = 10
# The front is of the socket's group.
SOCKET_MODE = 0o660
_LOG = log.get("server")


# What a process serves besides its door, on a socket of its own.
BESIDE: Mapping[Door, tuple[Listener, ...]] = {"identity": ("enrolment",)}


# What nobody is let do while the register names another province: govern, and take data out.
GOVERNING: frozenset[Door] = frozenset({"disclosure", "administration"})


@dataclass(frozen=True, slots=True)
class Serving:
    """A socket that is served, and the guard of its calls."""

    server: aio.Server
    guard: Guard

    async def stop(self, drain_s: float) -> None:
        """Refuse what is new, finish what runs, end; what still runs after `drain_s` is cut."""
        self.guard.stop()
        await self.guard.idle(drain_s)
        await self.server.stop(0)
        await self.guard.settle()


@dataclass(slots=True)
class Running:
    """A door that serves, and what is served beside it; made by `open_door`."""

    serving: Sequence[Serving]
    recorder: Recorder
    opened: AsyncExitStack
    base: Event
    chores: Sequence[Chore] = ()
    lasting: Sequence[Chore] = ()

    def begin(self) -> None:
        """Do what lasts as long as the door serves; `stop` ends it."""
        for each in self.lasting:
            self.opened.push_async_callback(_end, asyncio.create_task(_last(each, self.base)))

    @property
    def guard(self) -> Guard:
        """The guard of the door itself."""
        return self.serving[0].guard

    async def stop(self, drain_s: float = DRAIN_S) -> None:
        """Refuse what is new, finish what runs, end; what still runs after `drain_s` is cut."""
        await asyncio.gather(*(one.stop(drain_s) for one in self.serving))
        await self.opened.aclose()


async def open_door(home: Home, door: Door, clock: Clock = SYSTEM) -> Running:
    """Return the door, serving on its socket; raises what a wrong file of HOME raises, StoreError.

    Before it serves, the digests of the policies and of the profile it judges by are on the log.
    """
    listeners: tuple[Listener, ...] = (door, *BESIDE.get(door, ()))
    for each in listeners:
        contract.rpcs(each)  # an rpc without access stops the start before anything is opened
    base = Event(door=door)
    async with AsyncExitStack() as opened:
        parts = await _parts(home, door, clock, opened)
        control = ControlClient(home.control_socket)
        opened.push_async_callback(control.close)
        furnished = {each: doors.furnish(each, parts) for each in listeners}
        ruling = age.detail(parts.rules.ruling(clock.now_us()))
        digests = {**loaded.digests(parts.settings, parts.policies), **ruling}
        in_force = parts.current.engine.bundle.sha256
        told = base.with_(kind="policies.load", bundle=in_force, detail=digests)
        await starting.tell(parts.recorder, told)
        standing = [found.standing for found in furnished.values()]
        for first in [each for one in standing for each in one.first]:
            await _settle(first, base)
        serving = [
            await _listen(parts, each, _guard(parts, each, found.methods, control))
            for each, found in furnished.items()
        ]
        if door == "administration":
            log_files = HttpFiles(serving[0].guard)
            opened.push_async_callback(log_files.close)
            await log_files.open(home.log_files_socket)
        chores = [chore for one in standing for chore in one.chores]
        # Each for itself: one that takes long holds up no other.
        for chore in chores:
            doing = asyncio.create_task(_do_chores([chore], base))
            opened.push_async_callback(_end, doing)
        lasting = [each for one in standing for each in one.lasting]
        return Running(serving, parts.recorder, opened.pop_all(), base, chores, lasting)


async def _parts(home: Home, door: Door, clock: Clock, opened: AsyncExitStack) -> Parts:
    """Open what the door's services share; `opened` closes it."""
    own = settings.load(home.settings)
    way = roles.WayIn(home, own, door)
    database = await Database.open(way, application=f"gateway-{door}", size=POOL_SIZE)
    opened.push_async_callback(database.close)
    loaded = rule_files.load(home.policies / "passwords.toml")
    async with database.transaction() as tx:
        loaded = await age.in_force(tx, loaded, clock.now_us())
        await disk.require(tx, home)
    trust = Trust.of(home, own)
    current = await Current.open(database, clock, trust, governs=door in GOVERNING)
    opened.push_async_callback(current.close)
    link = SignerLink(home.signer_socket)
    recorder = await DoorRecorder.open(database, link, door=door, clock=clock)
    opened.push_async_callback(recorder.close)
    return Parts(
        home=home,
        settings=own,
        policies=policies.load_policies(home.policies),
        rules=loaded,
        database=database,
        recorder=recorder,
        current=current,
        permits=Permits(lambda: current.engine, weak_origin_allowed=own.origin.allow_weak_origin),
        pages=Pages(clock),
        clock=clock,
    )


def _guard(
    parts: Parts, door: Listener, methods: Mapping[str, tuple[Rpc, Method]], control: ControlClient
) -> Guard:
    limits = parts.policies.limits
    backed = None
    if door == "disclosure":
        backed = Backed(parts.database, parts.policies.backups, parts.clock)
    checks = Checks(
        door,
        control,
        parts.current,
        CurrentVerifier(parts.home.token_keys, parts.settings.trust_domain),
        parts.rules,
        Limits(limits.calls, limits.streams, limits.refusals, parts.clock),
        parts.permits,
        parts.clock,
        parts.policies.certificates.renewal.grace_s,
        Disk.of(parts.home),
        backed,
    )
    domain = f"gateway.{parts.settings.trust_domain}"
    return Guard(methods, checks, parts.recorder, Event(door=door), domain)


def main(home: Home, door: Door) -> None:
    """Run a door until SIGTERM or SIGINT, confined already."""
    log.configure(door, sys.stderr)
    asyncio.run(_run(home, door))


async def _run(home: Home, door: Door) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    running = await open_door(home, door)
    running.begin()
    # What is loaded now stays: without this a full collection stops every call for some 80 ms.
    gc.collect()
    gc.freeze()
    readiness.announce()
    _LOG.info("door.serves", door=door)
    await stop.wait()
    await running.stop()
    _LOG.info("door.stopped", door=door)


async def _listen(parts: Parts, door: Listener, guard: Guard) -> Serving:
    hard_bytes = parts.policies.limits.messages.hard_bytes
    server = aio.server(
        options=(
            ("grpc.max_receive_message_length", hard_bytes),
            ("grpc.max_send_message_length", hard_bytes),
            ("grpc.max_concurrent_streams", CONCURRENT_STREAMS),
            ("grpc.keepalive_time_ms", KEEPALIVE_S * 1000),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_S * 1000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            ("grpc.so_reuseport", 0),
        )
    )
    server.add_generic_rpc_handlers((guard,))
    path = parts.home.door_socket(door)
    path.unlink(missing_ok=True)
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    path.chmod(SOCKET_MODE)
    return Serving(server, guard)


async def _settle(first: Chore, base: Event) -> None:
    """Do what comes before anybody is served, however long the log is away."""
    while True:
        try:
            await first(base)
        except UnavailableError:
            await asyncio.sleep(RETRY_S)
        else:
            return


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _last(lasting: Chore, base: Event) -> None:
    while True:
        try:
            await lasting(base)
        except Exception as error:  # noqa: BLE001  what watches over the door must not end by a fault
            _LOG.error("lasting.failed", error=type(error).__name__)
        await asyncio.sleep(RETRY_S)


async def _do_chores(chores: Sequence[Chore], base: Event) -> None:
    while True:
        await asyncio.sleep(CHORES_EVERY_S)
        for chore in chores:
            try:
                await chore(base)
            except (StoreError, UnavailableError) as error:
                _LOG.warning("chore.failed", error=type(error).__name__)
            except Exception as error:  # noqa: BLE001  one fault must not end all that comes after
                _LOG.error("chore.failed", error=type(error).__name__)
