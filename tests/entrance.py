"""A way in without TLS: it tells the doors of each connection what the front would have found out, and relays."""

import asyncio
import socket
from typing import Any

from gateway.config.home import Home, Listener
from gateway.link.connection import Connection, abstract_address, new_name
from gateway.link.control import ControlServer
from gateway.pki.verify import verified
from gateway.vpn.origin import Origin
from tests.people import Person


class Entrance:
    """Serves the front's control socket, and a listener per person and door."""

    def __init__(self, home: Home) -> None:
        """Prepare; `start` opens the control socket."""
        self._home = home
        self.connections: dict[str, Connection] = {}
        self._control = ControlServer(self.connections.get)
        self._listeners: list[asyncio.Server] = []
        self._pumps: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Answer the doors' questions."""
        await self._control.start(self._home.control_socket)

    async def stop(self) -> None:
        """Answer nobody any more; connections that stand go on."""
        await self._control.stop()
        self._home.control_socket.unlink(missing_ok=True)

    async def close(self) -> None:
        """End everything."""
        for listener in self._listeners:
            listener.close()
        for pump in list(self._pumps.values()):
            pump.cancel()
        await asyncio.gather(*self._pumps.values(), return_exceptions=True)
        await self.stop()

    async def listen(self, person: Person, door: Listener, found: dict[str, Any]) -> int:
        """Return a port on which connections are this person's; `found` replaces fields of Connection."""
        listener = await asyncio.start_server(
            lambda r, w: self._let_in(person, door, found, r, w), "127.0.0.1", 0
        )
        self._listeners.append(listener)
        port: int = listener.sockets[0].getsockname()[1]
        return port

    def cut(self, subject: str) -> None:
        """End every connection of a subject."""
        for name, connection in list(self.connections.items()):
            if connection.subject == subject:
                self._pumps[name].cancel()

    def closed(self, name: str) -> None:
        """Tell the doors that a name is void."""
        self._control.closed(name)

    async def _let_in(
        self,
        person: Person,
        door: Listener,
        found: dict[str, Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Do what the front does once it is satisfied: name the connection, remember it, relay."""
        name = new_name()
        self.connections[name] = _connection(name, person, door, writer, found)
        ours = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        ours.bind(abstract_address(name))
        task = asyncio.current_task()
        assert task is not None
        self._pumps[name] = task
        path = str(self._home.door_socket(door))
        try:
            await asyncio.get_running_loop().sock_connect(ours, path)
            # From here on the socket is the transport's to close.
            await relay(reader, writer, *await asyncio.open_unix_connection(sock=ours))
        except OSError:
            ours.close()  # there is no such door
        except asyncio.CancelledError:
            pass  # cut, or the world ends
        finally:
            writer.close()
            del self.connections[name], self._pumps[name]
            self._control.closed(name)


def _connection(
    name: str, person: Person, door: Listener, writer: asyncio.StreamWriter, found: dict[str, Any]
) -> Connection:
    peer, listener = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
    value = verified(person.certificate, person.subject)
    organisation = person.organisation
    if door == "enrolment":
        # Nobody shows a certificate there: what is known is the tunnel.
        nothing = ("subject", "serial", "certificate_sha256", "spki_sha256")
        found = {**dict.fromkeys(nothing, ""), "not_after_us": 0, **found}
    fields: dict[str, Any] = {
        "name": name,
        "door": door,
        "peer": f"{peer[0]}:{peer[1]}",
        "listener": f"{listener[0]}:{listener[1]}",
        "organisation": organisation,
        "subject": str(person.subject),
        "serial": value.serial,
        "certificate_sha256": value.sha256.hex(),
        "spki_sha256": value.spki_sha256.hex(),
        "not_after_us": value.not_after_us,
        "origin": Origin(organisation, f"listen:{listener[0]}", "static", "weak", listener[0]),
    }
    return Connection(**{**fields, **found})


async def relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    inner_reader: asyncio.StreamReader,
    inner_writer: asyncio.StreamWriter,
) -> None:
    """Move bytes both ways until one side ends, then end the other."""

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()

    pumps = [
        asyncio.create_task(pump(reader, inner_writer)),
        asyncio.create_task(pump(inner_reader, writer)),
    ]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        inner_writer.close()
