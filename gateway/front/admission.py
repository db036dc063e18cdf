"""Admits a connection in numbered steps; the first that fails decides.

    1 limits                         6 organisation and system active
    2 origin: whose tunnel           7 the tunnel's organisation is the certificate's
    3 the handshake, in time         8 the door answers
    4 both verifiers, the profile    9 its lineage: first use, clone, or what else is its defect
    5 the register knows it         10 relay

Until step 4 is passed nothing that the peer says of itself is believed. A certificate with a defect
alone is relayed, and the door's guard serves it only what tells of the defect or mends it. At the
enrolment listener there is no certificate: 4 to 7 and 9 are left out.
"""

import asyncio
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from OpenSSL import SSL

from gateway.audit.recorder import Recorder
from gateway.config.home import Home, Listener
from gateway.config.settings import Settings
from gateway.errors import Reason, refuse
from gateway.front.connections import Connections, Relayed
from gateway.front.context import H2, HTTP, CurrentTerms, Terms
from gateway.front.handshake import leaf_of, require_protocol, shake
from gateway.front.leaves import Visit
from gateway.front.lineages import Lineages
from gateway.front.origins import Whereabouts
from gateway.front.places import Places
from gateway.front.register import Register
from gateway.front.root_page import tell
from gateway.link.connection import Connection, abstract_address, new_name
from gateway.vpn import ingress
from gateway.vpn.origin import Sighting, TunnelProvider
from gateway.vpn.peers import Peers
from gateway.vpn.proxyproto import Introductions

# A door that is being restarted is back within a second or two; its clients need not notice.
DOOR_WAIT_S = 3.0
DOOR_RETRY_S = 0.02
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Admission:
    """What the steps ask: settings, terms, limits, tunnels, register, log; and where they lead.

    `introductions` is there where a proxy stands in front.
    """

    home: Home
    settings: Settings
    terms: CurrentTerms
    places: Places
    tunnels: TunnelProvider
    peers: Peers
    register: Register
    recorder: Recorder
    lineages: Lineages
    connections: Connections
    introductions: Introductions | None = None

    async def admit(self, sock: socket.socket, visit: Visit) -> None:
        """Take a connection from its first byte to the relay; raises the refusal of a step.

        When it raises, no place is held and the caller closes the socket.
        """
        # A header may tell who is behind a proxy; the place that is given back is the one taken.
        place = visit.place
        self.places.enter(place)  # 1
        try:
            try:
                tls = await self._identify(sock, visit)  # 2-4
            finally:
                self.places.shaken(place)
            if visit.door != "enrolment":
                connection, door = await self._authorise(visit, self._socket(visit, tls))  # 5-9
            elif tls.get_alpn_proto_negotiated() == H2:
                connection = _without_certificate(visit)
                door = await _reach(self.home.door_socket(visit.door), connection.name)  # 8
            else:
                await tell(sock, tls, visit, self.terms.current.root, self.recorder)
                sock.close()
                self.places.leave(place)
                return
        except BaseException:
            self.places.leave(place)
            raise
        issuer = visit.verified.issuer_sha256 if visit.verified else b""
        self.connections.enter(  # 10
            connection,
            issuer,
            Whereabouts(visit.address, visit.host, _known(visit.sighting)),
            Relayed(tls, sock, door),
            lambda: self.places.leave(place),
        )

    async def _identify(self, sock: socket.socket, visit: Visit) -> SSL.Connection:
        """2-4: from here on `visit` says whose tunnel and whose certificate it is."""
        by = asyncio.get_running_loop().time() + self.settings.front.handshake_timeout_s
        visit.sighting = await self._locate(sock, visit, by)  # 2
        visit.origin = await self.peers.origin(visit.sighting)
        visit.begun = True
        terms, enrols = self.terms.current, visit.door == "enrolment"
        try:
            async with asyncio.timeout_at(by):
                tls = await shake(sock, _context(terms, visit.door), visit.presented)  # 3
        except TimeoutError:
            raise refuse(Reason.TLS_TIMEOUT) from None
        if not enrols:
            require_protocol(tls)
            visit.verified = terms.verifier.judge((leaf_of(tls),))  # 4
        return tls

    async def _locate(self, sock: socket.socket, visit: Visit, by: float) -> Sighting:
        """2: where it came in, who is behind a proxy, and what the VPN knows of it."""
        interface = ingress.interface(sock)
        if self.introductions is not None:
            interface = interface or visit.host
            try:
                async with asyncio.timeout_at(by):
                    header = await self.introductions.read(sock, visit.address)
            except TimeoutError:
                raise refuse(Reason.TLS_TIMEOUT) from None
            visit.address, visit.port = header.source, header.source_port
            visit.host, visit.host_port = header.destination, header.destination_port
        return await self.tunnels.whois(visit.address, visit.host, interface)

    def _socket(self, visit: Visit, tls: SSL.Connection) -> Path:
        """Return where a connection leads: its door, or the log's files, which that door serves."""
        if tls.get_alpn_proto_negotiated() == HTTP:
            return self.home.log_files_socket
        return self.home.door_socket(visit.door)

    async def _authorise(self, visit: Visit, path: Path) -> tuple[Connection, socket.socket]:
        """5-9: the certificate is registered, so is its bearer, and the tunnel is its own."""
        verified, origin = _known(visit.verified), _known(visit.origin)
        subject = verified.subject
        found = await self.register.find(subject, verified.serial, verified.sha256)  # 5, 6
        if not await self.register.may_use_tunnel(  # 7
            subject.organisation, origin.organisation
        ):
            raise refuse(Reason.ORIGIN_MISMATCH)
        name = new_name()
        door = await _reach(path, name)  # 8
        try:
            defect = await self.lineages.admit(visit, verified, found)  # 9
        except BaseException:
            door.close()
            raise
        return Connection(
            name=name,
            door=visit.door,
            peer=visit.peer,
            listener=visit.listener,
            organisation=subject.organisation,
            subject=str(subject),
            serial=verified.serial,
            certificate_sha256=verified.sha256.hex(),
            spki_sha256=verified.spki_sha256.hex(),
            not_after_us=verified.not_after_us,
            origin=origin,
            defect=defect or "",
        ), door


def _context(terms: Terms, door: Listener) -> SSL.Context:
    """Return the context of a listener; HTTP/1.1 is spoken at two of them only."""
    others = {"administration": terms.administration, "enrolment": terms.enrolment}
    return others.get(door, terms.context)


def _without_certificate(visit: Visit) -> Connection:
    """Return a connection to the enrolment listener: all that is known is whose tunnel it is."""
    origin = _known(visit.origin)
    return Connection(
        name=new_name(),
        door=visit.door,
        peer=visit.peer,
        listener=visit.listener,
        organisation=origin.organisation,
        subject="",
        serial="",
        certificate_sha256="",
        spki_sha256="",
        not_after_us=0,
        origin=origin,
    )


async def _reach(path: Path, name: str) -> socket.socket:
    """Return a socket to a door, bound to the abstract name; waits a little for a door's restart.

    Raises SHUTTING_DOWN when the door does not answer.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        sock.bind(abstract_address(name))
        if not _connected(sock, path):
            async with asyncio.timeout(DOOR_WAIT_S):
                while not _connected(sock, path):  # noqa: ASYNC110  a path tells nobody
                    await asyncio.sleep(DOOR_RETRY_S)
    except TimeoutError:
        sock.close()
        raise refuse(Reason.SHUTTING_DOWN, metadata={"cause": "door-away"}) from None
    except BaseException:
        sock.close()
        raise
    return sock


def _connected(sock: socket.socket, path: Path) -> bool:
    """Try once; a local socket connects at once, or its backlog is full, or nobody is there."""
    try:
        sock.connect(str(path))
    except (BlockingIOError, ConnectionRefusedError, FileNotFoundError):
        return False
    return True


def _known(value: Value | None) -> Value:
    """Return what an earlier step established; without it the order of the steps is broken."""
    if value is None:
        raise refuse(Reason.INTERNAL)
    return value
