"""Reads the log's files over HTTP/1.1: through the real front by TLS, or straight at the administration door's socket."""

import asyncio
import contextlib
import ssl
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.config.settings import DEFAULT_TRUST_DOMAIN
from gateway.link.connection import abstract_address, new_name
from gateway.pki import ceremony
from tests.entrance import _connection
from tests.people import Person
from tests.world import World


@dataclass(frozen=True)
class Answer:
    """What came back; `reason` is the first word of a refusal's line."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def reason(self) -> str:
        return self.content.decode().split(" ")[0]


@dataclass
class Line:
    """A connection on which requests go out and answers come back, as often as it lasts."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: bytes) -> Answer:
        self.writer.write(request)
        return await self.answer()

    async def answer(self) -> Answer:
        async with asyncio.timeout(60):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode().removesuffix("\r\n\r\n").split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            content = await self.reader.readexactly(int(headers["Content-Length"]))
        return Answer(int(first.split(" ")[1]), headers, content)

    async def ended(self) -> bool:
        """Whether the other side sends no more; waits for it."""
        async with asyncio.timeout(60):
            with contextlib.suppress(ConnectionError):
                return not await self.reader.read(1)
        return True


def get(path: str, *tokens: str, fields: Sequence[str] = ()) -> bytes:
    """A request for a file."""
    told = [f"Authorization: Bearer {one}" for one in tokens]
    return "\r\n".join([f"GET /{path} HTTP/1.1", "Host: x", *told, *fields, "", ""]).encode()


@asynccontextmanager
async def _closing(
    opened: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> AsyncIterator[Line]:
    try:
        yield Line(*opened)
    finally:
        opened[1].close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await opened[1].wait_closed()


@asynccontextmanager
async def direct(world: World, person: Person, *, known: bool = True) -> AsyncIterator[Line]:
    """A connection as the front would relay it; `known`: it tells of it when it is asked."""
    import socket

    name = new_name()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(abstract_address(name))
    sock.connect(str(world.home.log_files_socket))
    opened = await asyncio.open_unix_connection(sock=sock)
    if known:
        place = type("Place", (), {"get_extra_info": lambda _, what: ("127.0.0.1", 50_000)})()
        world.entrance.connections[name] = _connection(name, person, "administration", place, {})
    async with _closing(opened) as line:
        yield line
    world.entrance.connections.pop(name, None)


def context(world: World, person: Person | None, alpn: Sequence[str]) -> ssl.SSLContext:
    """A client's context, with the person's certificate, that trusts the gateway's root."""
    made = ssl.create_default_context(cafile=str(world.home.root_certificate))
    if alpn:
        made.set_alpn_protocols(list(alpn))
    if person is not None:
        key = person.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "both.pem"
            path.write_bytes(key + ceremony.pem(person.certificate))
            made.load_cert_chain(path)
    return made


@asynccontextmanager
async def through_the_front(
    world: World,
    person: Person | None,
    *,
    alpn: Sequence[str] = ("http/1.1",),
    door: str = "administration",
    address: str = "",
    limit: int = 2**16,
) -> AsyncIterator[Line]:
    """A connection over TLS to the real front."""
    # A fast machine comes sooner than a source may open new ones (`new_per_peer_per_s`).
    world.clock.turn(seconds=0.2)
    host = address or world.address_of(
        person.organisation if person else world.auditor.organisation
    )
    opened = await asyncio.open_connection(
        host,
        getattr(world.settings.ports, door),
        ssl=context(world, person, alpn),
        server_hostname=DEFAULT_TRUST_DOMAIN,
        limit=limit,
    )
    async with _closing(opened) as line:
        yield line
