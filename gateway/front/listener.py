"""The front process: listens at every door's port and takes each connection through `admission`.

What is refused leaves exactly one leaf, or is counted in the `suppressed` leaf of its source and
second. Each connection is admitted in a task of its own: a slow handshake blocks nobody.
"""

import asyncio
import gc
import signal
import socket

from gateway import log
from gateway.audit import starting
from gateway.audit.event import Event, EventError
from gateway.audit.recorder import Recorder
from gateway.audit.signing import SignerLink
from gateway.clock import SYSTEM, Clock
from gateway.config import loaded, readiness, settings
from gateway.config.home import LISTENERS, Home, Listener
from gateway.config.policies import Policies, load_policies
from gateway.config.settings import Settings
from gateway.errors import Reason, Refusal, refuse
from gateway.front.admission import Admission
from gateway.front.connections import POLL_S, Connections, Patience
from gateway.front.context import ContextError, CurrentTerms
from gateway.front.handshake import dismiss, observe
from gateway.front.lateness import Lateness
from gateway.front.leaves import Visit
from gateway.front.lineages import Lineages
from gateway.front.origins import Origins
from gateway.front.places import Places, raise_descriptors
from gateway.front.register import Register
from gateway.link.connection import Connection
from gateway.link.control import ControlServer
from gateway.store import roles
from gateway.store.database import Database
from gateway.vpn import ingress, window
from gateway.vpn.peers import Peers
from gateway.vpn.providers import provider
from gateway.vpn.proxyproto import Introductions

# Waiting to be accepted; beyond, the kernel makes clients try again.
BACKLOG = 512
ACCEPTS_PER_TURN = 32
# After an accept that failed for want of descriptors or memory.
ACCEPT_PAUSE_S = 0.1
# A silent connection's end is asked so often whether it is there. Within handshake_s (180 s): its
# answer is what proves an IPsec tunnel through which nothing else comes.
KEEPALIVE_S = 60
# How long connections may go on after SIGTERM; the doors close theirs sooner.
DRAIN_S = 15.0
# Reasons that only the recorder gives: it counts the connection itself, for its recovery leaf.
UNRECORDABLE = frozenset({Reason.AUDIT_DEGRADED, Reason.SIGNER_AWAY})
_LOG = log.get("front")


class Front:
    """Everything one front process holds; `open` starts it, `close` drains it."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        policies: Policies,
        database: Database,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        """Prepare; raises ContextError and SettingsError when it could not serve."""
        self._home = home
        self._settings = settings
        self._recorder = recorder
        self._way = ingress.require(settings.origin)
        self._terms = CurrentTerms(home, settings, clock, observe)
        self._control = ControlServer(self._find)
        patience = Patience.of(settings, policies)
        rules = policies.tunnels
        origin = window.through(home, settings.origin)
        self._tunnels = provider(origin, self._way, rules, clock)
        self._peers = Peers(database, rules, clock)
        self.connections = Connections(
            database,
            recorder,
            clock,
            patience,
            Origins(self._tunnels, self._peers, database, rules, clock),
            lambda: self._terms.current.issuers,
            self._control.closed,
        )
        self._lateness = Lateness(recorder, clock, policies.certificates.revocation_list)
        self._admission = self._admits(policies, database, clock, patience.grace_s)
        self._listening: list[socket.socket] = []
        self._visits: set[asyncio.Task[None]] = set()
        self._refusals: set[asyncio.Task[None]] = set()
        self._watches: list[asyncio.Task[None]] = []

    def _admits(
        self, policies: Policies, database: Database, clock: Clock, grace_s: float
    ) -> Admission:
        origin = self._settings.origin
        return Admission(
            self._home,
            self._settings,
            self._terms,
            Places(policies.limits.connections, clock),
            self._tunnels,
            self._peers,
            Register(database),
            self._recorder,
            Lineages(database, self._recorder, clock, grace_s),
            self.connections,
            Introductions(origin) if origin.proxy.sources else None,
        )

    async def open(self) -> None:
        """Listen at every address and port; raises OSError, SettingsError."""
        await self._control.start(self._home.control_socket)
        connections, origins = self.connections, self.connections.origins
        self._watches = [
            asyncio.create_task(connections.watch()),
            asyncio.create_task(connections.watch_tunnels(origins.by_vpn)),
            asyncio.create_task(connections.watch_tunnels(origins.by_register)),
            asyncio.create_task(self._renew()),
            asyncio.create_task(self._tell_late()),
            asyncio.create_task(ingress.stays(self._way)),
        ]
        if self._way.strength == "weak":
            _LOG.warning(
                "weak origin",
                provider=self._settings.origin.provider,
                device=self._way.device,
                meaning="an address is believed; every leaf says so",
            )
        for address in addresses(self._settings):
            for door in LISTENERS:
                self._listen(address, door)

    async def close(self, drain_s: float = DRAIN_S) -> None:
        """Take nobody in any more, let what stands finish, then end it."""
        loop = asyncio.get_running_loop()
        while self._listening:
            listening = self._listening.pop()
            loop.remove_reader(listening)
            listening.close()
        await self.connections.drained(drain_s)
        await asyncio.sleep(0)  # a task that never began would end without a word
        for task in [*self._visits, *self._watches]:
            task.cancel()
        await asyncio.gather(*self._visits, *self._watches, return_exceptions=True)
        await asyncio.gather(*self._refusals)
        await self._control.stop()

    def _find(self, name: str) -> Connection | None:
        return self.connections.find(name)

    async def watched(self, stop: asyncio.Event) -> None:
        """Return when `stop` is set.

        Raises what ended a watch: unwatched nobody stays connected.
        """
        stopping = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait(
            [stopping, *self._watches], return_when=asyncio.FIRST_COMPLETED
        )
        stopping.cancel()
        for task in done:
            task.result()

    def refresh(self) -> None:
        """Take a new revocation list or server certificate into use, if there is one that fits."""
        try:
            if self._terms.refresh():
                _LOG.info("new terms", crl_number=self._terms.current.crl_number)
        except ContextError as error:
            _LOG.error("terms not renewed", why=str(error))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            # In a thread: a list of 100,000 takes half a second to load, and nobody need wait.
            await asyncio.to_thread(self.refresh)

    async def _tell_late(self) -> None:
        while True:
            await self._lateness.look(self._terms.current.lists)
            await asyncio.sleep(POLL_S)

    def _listen(self, address: str, door: Listener) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        ingress.bind(listening, self._way)
        listening.bind((address, self._settings.ports.of(door)))
        listening.listen(BACKLOG)
        self._listening.append(listening)
        asyncio.get_running_loop().add_reader(listening, self._accept, listening, door)

    def _accept(self, listening: socket.socket, door: Listener) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, address = listening.accept()
            except BlockingIOError:
                return
            except ConnectionError:  # gone while it waited
                continue
            except OSError as error:
                _LOG.error("accept failed", errno=error.errno)
                loop.remove_reader(listening)
                loop.call_later(ACCEPT_PAUSE_S, self._resume, listening, door)
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
            host = sock.getsockname()
            visit = Visit(door, address[0], address[1], host[0], host[1])
            task = loop.create_task(self._receive(sock, visit))
            self._visits.add(task)
            task.add_done_callback(self._visits.discard)

    def _resume(self, listening: socket.socket, door: Listener) -> None:
        if listening.fileno() >= 0:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening, door)

    async def _receive(self, sock: socket.socket, visit: Visit) -> None:
        """Admit one connection, or refuse it: the outermost handler of a connection."""
        try:
            await self._admission.admit(sock, visit)
            return
        except Refusal as refusal:
            why = refusal
        except asyncio.CancelledError:  # at a stop, on its way in
            why = refuse(Reason.SHUTTING_DOWN, metadata={"cause": "stop"})
        except Exception as error:  # noqa: BLE001  the outermost handler: a fault lets nobody in
            _LOG.exception("admission failed", peer=visit.peer, error=type(error).__name__)
            why = refuse(Reason.INTERNAL)
        # A task of its own: a stop waits for it, and does not cut it short.
        refusing = asyncio.create_task(self._refuse(sock, visit, why))
        self._refusals.add(refusing)
        refusing.add_done_callback(self._refusals.discard)

    async def _refuse(self, sock: socket.socket, visit: Visit, refusal: Refusal) -> None:
        """Record a refusal, then close; where nothing can be recorded the recorder counts it."""
        try:
            # What an effect was refused with has its leaf; what the recorder refused is counted.
            if refusal.leaf_index is None and refusal.reason not in UNRECORDABLE:
                await self._recorder.append_limited(visit.source, visit.refused(refusal))
        except Refusal as unrecorded:
            _LOG.error("refusal without leaf", peer=visit.peer, reason=unrecorded.reason)
        except EventError as error:  # our fault; what could be told is on the log
            _LOG.error("leaf unfit", peer=visit.peer, reason=refusal.reason, why=str(error))
        finally:
            try:
                if visit.begun:
                    await dismiss(sock)
            finally:
                sock.close()


def addresses(settings: Settings) -> list[str]:
    """Return where the front listens: the settings' addresses and those that name a tunnel."""
    named = [tunnel.listen for tunnel in settings.origin.static if tunnel.listen]
    return list(dict.fromkeys([*settings.front.listen, *named]))


def main(home: Home) -> None:
    """Serve as the front of this HOME until SIGTERM, confined already."""
    asyncio.run(_serve(home, SYSTEM))


async def _serve(home: Home, clock: Clock) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    configured = settings.load(home.settings)
    policies = load_policies(home.policies)
    raise_descriptors(policies.limits.connections.total)
    way = roles.WayIn(home, configured, "front")
    database = await Database.open(way, application="gateway front")
    signer = SignerLink(home.signer_socket)
    recorder = await Recorder.open(database, signer, door="front", clock=clock)
    told = loaded.digests(configured, policies)
    await starting.tell(recorder, Event(kind="policies.load", door="front", detail=told))
    front = Front(home, configured, policies, database, recorder, clock)
    await front.open()
    # What is loaded now stays: else a full collection stops every connection for some 50 ms.
    gc.collect()
    gc.freeze()
    readiness.announce()
    _LOG.info("serving", addresses=len(addresses(configured)))
    await front.watched(stop)
    await front.close()
    await recorder.close()
    await database.close()
