"""What tests of the front stand on: its real process's parts in one loop, a real database, signer and log, an echoing door.

Addresses of 127/8 stand for tunnels: CITY's, OTHER's, and one that belongs to nobody.
"""

import asyncio
import contextlib
import json
import shutil
import socket
import ssl
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
from cryptography import x509

from gateway import signer
from gateway.audit.recorder import Recorder
from gateway.audit.signing import SignerLink
from gateway.clock import SYSTEM, US_PER_S
from gateway.config import folders, policies
from gateway.config.home import DOORS, Home, Listener
from gateway.config.policies import Policies
from gateway.config.settings import OriginSettings, PortSettings, Settings, StaticTunnel
from gateway.front.listener import Front
from gateway.link.control import ControlClient
from gateway.names import Subject
from gateway.pki import ceremony, crl, register, revoke
from gateway.pki.verify import serial_text
from gateway.store import roles
from gateway.store.database import Database
from tests.audit.stage import until
from tests.pki.forge import CITY, DOMAIN, Ca, Papers

OTHER = replace(CITY, organisation="140200")
CITY_AT, OTHER_AT, NOBODY_AT = "127.0.0.11", "127.0.0.12", "127.0.0.99"
HELLO = b"hello"


class Hands:
    """The machine's clocks, moved by a hand."""

    def __init__(self) -> None:
        self.moved_us = 0

    def now_us(self) -> int:
        return SYSTEM.now_us() + self.moved_us

    def monotonic(self) -> float:
        return SYSTEM.monotonic() + self.moved_us / US_PER_S

    def turn(self, *, seconds: float) -> None:
        self.moved_us += round(seconds * US_PER_S)


@dataclass
class Stage:
    """A front that serves, and hands to do things to it."""

    home: Home
    settings: Settings
    policies: Policies
    clock: Hands
    ca: Ca
    superuser: str
    conninfo: Callable[[str], str]
    front: Front = field(init=False)
    recorder: Recorder = field(init=False)
    database: Database = field(init=False)

    def register(
        self,
        papers: Papers,
        subject: Subject = CITY,
        *,
        used: bool = True,
        line: register.Line | None = None,
        purpose: register.Purpose = register.TLS,
    ) -> Papers:
        """Put a certificate into the register, whatever stands in it; `used` if it came in before."""
        leaf = x509.load_der_x509_certificate(papers.chain[0])

        async def insert() -> None:
            database = await Database.open(self.conninfo("owner"), application="test", size=1)
            async with database.transaction() as tx:
                await register.insert(tx, leaf, subject, line=line, purpose=purpose)
            await database.close()

        _run(insert)
        if used:
            self.sql(
                "UPDATE gateway.certificate SET first_used_us = not_before_us WHERE serial = %s",
                serial(papers),
            )
        return papers

    def good(self, subject: Subject = CITY, *, used: bool = True, now_us: int = 0) -> Papers:
        """Issue and register papers that let in."""
        return self.register(self.ca.good(subject, now_us=now_us), subject, used=used)

    def renewed(self, papers: Papers, subject: Subject = CITY) -> Papers:
        """Issue the certificate that follows another in its lineage, and register it unused."""
        [(line, generation)] = self.sql(
            "SELECT lineage, generation FROM gateway.certificate WHERE serial = %s", serial(papers)
        )
        place = register.Line(bytes(line), generation + 1)
        return self.register(self.ca.good(subject), subject, used=False, line=place)

    def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run a statement as the superuser."""
        with psycopg.connect(self.superuser, autocommit=True) as connection:
            done = connection.execute(statement, parameters)
            return done.fetchall() if done.description else []

    def leaves(self, *, late: bool = False) -> list[dict[str, Any]]:
        """Return every leaf on the log but those of late lists, or those alone.

        Nobody signs lists here: whoever turns the clock makes them late.
        """
        rows = self.sql("SELECT leaf FROM gateway.audit_entry ORDER BY idx")
        found = [json.loads(bytes(row[0])) for row in rows]
        return [one for one in found if (one["kind"] == "crl.late") is late]

    async def leaf(self, count: int = 1) -> dict[str, Any]:
        """Return the last leaf once there are exactly `count`."""
        await until(lambda: len(self.leaves()) >= count)
        found = self.leaves()
        assert len(found) == count, found
        return found[-1]

    def revoke(self, papers: Papers) -> None:
        """Revoke in the register only, as another process would."""
        self.sql(
            "UPDATE gateway.certificate SET state = 2, revoked_us = 1, reason = 'superseded' WHERE serial = %s",
            serial(papers),
        )

    def write_crl(
        self, *papers: Papers, number: int = 1, now_us: int = 0, ca: Ca | None = None
    ) -> None:
        """Put a revocation list in place that names these."""
        entries = [crl.Revoked(serial(one), self.ca.now_us, "superseded") for one in papers]
        made = crl.build((ca or self.ca).client, entries, number, now_us or self.ca.now_us)
        crl.write(self.home.crl, made)

    def context(self, papers: Papers | None) -> ssl.SSLContext:
        """Return a client's context as a city's library would make it, except that it shows whatever it is given."""
        context = ssl.create_default_context(cafile=str(self.home.root_certificate))
        context.check_hostname = False
        context.set_alpn_protocols(["h2"])
        context.set_ciphers("ALL:@SECLEVEL=0")
        if papers is not None:
            with self.papers_file(papers) as file:
                context.load_cert_chain(file)
        return context

    @contextlib.contextmanager
    def papers_file(self, papers: Papers) -> Iterator[str]:
        """Give the name of a file with key and chain."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(papers.pem())
            file.flush()
            yield file.name

    async def connect(
        self,
        papers: Papers | ssl.SSLContext | None,
        address: str = CITY_AT,
        door: Listener = "intake",
        *,
        source: str | None = None,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Shake hands as a client, from this address of ours."""
        context = papers if isinstance(papers, ssl.SSLContext) else self.context(papers)
        local = (source, 0) if source else None
        port = self.settings.ports.of(door)
        return await asyncio.open_connection(address, port, ssl=context, local_addr=local)

    async def served(
        self,
        papers: Papers | ssl.SSLContext | None,
        address: str = CITY_AT,
        door: Listener = "intake",
        *,
        source: str | None = None,
    ) -> bool:
        """Whether a client is let in as far as the door, which echoes."""
        papers = papers if isinstance(papers, ssl.SSLContext) else self.context(papers)
        try:
            async with asyncio.timeout(10):
                reader, writer = await self.connect(papers, address, door, source=source)
                try:
                    writer.write(HELLO)
                    return await reader.readexactly(len(HELLO)) == HELLO
                finally:
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError):
            return False

    async def defect(
        self, papers: Papers, address: str = CITY_AT, door: Listener = "intake"
    ) -> str:
        """Let a client in and return what the doors are told is wrong with its certificate."""
        before = set(self.front.connections._live)
        reader, writer = await self.connect(papers, address, door)
        writer.write(HELLO)
        assert await reader.readexactly(len(HELLO)) == HELLO
        [name] = set(self.front.connections._live) - before
        found = self.front.connections.find(name)
        assert found is not None
        writer.close()
        return found.defect

    def control(self) -> ControlClient:
        """Return a door's end of the control socket."""
        return ControlClient(self.home.control_socket)


def serial(papers: Papers) -> str:
    """Return a certificate's serial as the register has it."""
    return serial_text(x509.load_der_x509_certificate(papers.chain[0]).serial_number)


@contextlib.asynccontextmanager
async def stage(
    cluster: Any,
    settings: Settings,
    *,
    limits: dict[str, Any] | None = None,
    origin: OriginSettings | None = None,
    **front: float,
) -> AsyncIterator[Stage]:
    """Open a front on a test's own database (fixtures `cluster` and `database_settings`)."""
    with _home(cluster.home) as home:
        made = _prepare(home, cluster, settings, limits or {}, origin, front)
        stop_signer = asyncio.Event()
        signing = signer.Signer(signer.Memory.load(home))
        signer_task = asyncio.create_task(signing.serve(home.signer_socket, stop_signer))
        await until(home.signer_socket.exists)
        door = await asyncio.start_unix_server(_echo, path=str(home.door_socket("intake")))
        made.database = await Database.open(made.conninfo("front"), application="test")
        link = SignerLink(home.signer_socket)
        made.recorder = await Recorder.open(made.database, link, door="front", clock=made.clock)
        made.front = Front(
            home, made.settings, made.policies, made.database, made.recorder, made.clock
        )
        await made.front.open()
        try:
            yield made
        finally:
            await made.front.close(drain_s=0.1)
            await made.recorder.close()
            await made.database.close()
            door.close()
            stop_signer.set()
            await signer_task


def _prepare(
    home: Home,
    cluster: Any,
    settings: Settings,
    limits: dict[str, Any],
    origin: OriginSettings | None,
    front: dict[str, float],
) -> Stage:
    shipped = policies.load_policies(policies.shipped("policies"))
    connections = replace(shipped.limits.connections, **limits)
    tunnels = (StaticTunnel(CITY.organisation, CITY_AT), StaticTunnel(OTHER.organisation, OTHER_AT))
    settings = replace(
        settings,
        front=replace(settings.front, listen=(CITY_AT, NOBODY_AT), **front),
        ports=PortSettings(*_free_ports(5)),
        origin=origin or OriginSettings("static", True, tunnels),
    )
    now_us = SYSTEM.now_us()
    client = ceremony.found(home, DOMAIN, [CITY_AT, DOMAIN], now_us)
    root = ceremony._load(home.root_certificate, home.offline / "root.key")
    server = ceremony._load(
        home.offline / "server-authority.pem", home.offline / "server-authority.key"
    )
    signer.create(home, settings.log_origin)
    name = psycopg.conninfo.conninfo_to_dict(settings.dsn)["dbname"]
    made = Stage(
        home,
        settings,
        replace(shipped, limits=replace(shipped.limits, connections=connections)),
        Hands(),
        Ca(root, client, server, now_us),
        cluster.superuser(name),
        lambda role: roles.conninfo(cluster.home, settings, role),
    )
    for code in (CITY.organisation, OTHER.organisation):
        made.sql(
            "INSERT INTO gateway.organisation (code, name, kind, state, created_us) VALUES (%s, 'x', 2, 1, 1)",
            code,
        )
        made.sql(
            "INSERT INTO gateway.system (organisation, kind, name, state, created_us) VALUES (%s, 'sys', 'his', 1, 1)",
            code,
        )
    return made


@contextlib.contextmanager
def _home(cluster_home: Home) -> Iterator[Home]:
    # A short path: a unix socket's has 108 bytes.
    root = Path(tempfile.mkdtemp(prefix="gw-"))
    try:
        home = Home(root / "home")
        folders.make_folders(home)
        shutil.copytree(policies.shipped("policies"), home.policies, dirs_exist_ok=True)
        for role in roles.ROLES:
            shutil.copy(cluster_home.password_file(role), home.password_file(role))
        yield home
    finally:
        shutil.rmtree(root)


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody uses at any of our addresses just now."""
    socks = [socket.create_server(("0.0.0.0", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


def _run(make: Callable[[], Any]) -> None:
    """Run a coroutine to its end in a thread of its own: the caller may stand in a running loop."""
    thread = threading.Thread(target=lambda: asyncio.run(make()))
    thread.start()
    thread.join()


__all__ = [
    "CITY",
    "CITY_AT",
    "DOORS",
    "HELLO",
    "NOBODY_AT",
    "OTHER",
    "OTHER_AT",
    "Stage",
    "revoke",
    "serial",
    "stage",
]
