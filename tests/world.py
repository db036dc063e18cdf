"""A province to test against: one database, a signer, three doors and their people, in one event loop.

Everything is real but the way in: `World.channel` reaches a door through a plain relay that says of each connection
what the front would have found out (certificate, organisation, tunnel), so that a test need not handshake. Tests of
TLS itself start the real front on `World.home`. Time runs as it does outside, and `World.clock.turn` moves its hands.

A test opens one with `World.open(ground)`, or shares one with its module by `held(cluster)`; then `login`, `call`,
`upload`, and `leaves` to see what the log says of it.
"""

import asyncio
import contextlib
import json
import secrets
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psycopg
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway import signer
from gateway.clock import SYSTEM, US_PER_S
from gateway.config import folders, policies
from gateway.config.home import DOORS, Door, Home
from gateway.config.settings import Settings
from gateway.identity import keys
from gateway.identity.passwords import Passwords
from gateway.identity.rules import DAY_US
from gateway.link.connection import Connection, abstract_address, new_name
from gateway.link.control import ControlServer
from gateway.names import DEFAULT_TRUST_DOMAIN, Subject, SubjectKind
from gateway.pki import ceremony, issue, register
from gateway.pki.issue import Authority
from gateway.pki.verify import verified
from gateway.services.server import Running, open_door
from gateway.store import roles, seal
from gateway.store.database import Database
from gateway.store.embedded import Cluster
from gateway.tlog import note
from gateway.v1 import identity_service_pb2
from gateway.vpn.origin import Origin

PASSWORD = "Grey-Kettle-Opens-48"
PROVINCE, CITY, OTHER_CITY = "140000", "140100", "140200"
COUNTY, SECOND_COUNTY, OTHER_COUNTY = "140105", "140106", "140212"
# Each: its code, what it is (registry.organisations.Kind), the one above it.
ORGANISATIONS: tuple[tuple[str, int, str | None], ...] = (
    (PROVINCE, 1, None),
    (CITY, 2, PROVINCE),
    (OTHER_CITY, 2, PROVINCE),
    (COUNTY, 3, CITY),
    (SECOND_COUNTY, 3, CITY),
    (OTHER_COUNTY, 3, OTHER_CITY),
)
# Each county has one vaccination unit, each city a disease control centre.
UNITS = {
    CITY: "1401000001",
    OTHER_CITY: "1402000001",
    COUNTY: "1401050001",
    SECOND_COUNTY: "1401060001",
    OTHER_COUNTY: "1402120001",
}
CALL_TIMEOUT_S = 20.0
_SERVICE_OF_DOOR: dict[str, Door] = {
    "gateway.v1.IdentityService": "identity",
    "gateway.v1.UploadService": "intake",
    "gateway.v1.AdminService": "administration",
    "gateway.v1.AuditService": "administration",
}


class Hands:
    """The machine's clocks, moved by a hand."""

    def __init__(self) -> None:
        self._moved_us = 0

    def now_us(self) -> int:
        """Return the wall clock with what it was moved by."""
        return SYSTEM.now_us() + self._moved_us

    def monotonic(self) -> float:
        """Return the monotonic clock with what it was moved by."""
        return SYSTEM.monotonic() + self._moved_us / US_PER_S

    def turn(self, *, seconds: float) -> None:
        """Move both clocks."""
        self._moved_us += round(seconds * US_PER_S)


@dataclass(frozen=True, slots=True)
class Person:
    """Who comes in: a certificate with its key, and an account of PASSWORD."""

    subject: Subject
    account: str
    roles: tuple[str, ...]
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate

    @property
    def organisation(self) -> str:
        """The organisation of the certificate."""
        return self.subject.organisation

    @property
    def unit(self) -> str:
        """The organisation's own unit."""
        return UNITS[self.organisation]

    @property
    def serial(self) -> str:
        """The certificate's serial as the register has it."""
        return verified(self.certificate, self.subject).serial


class RefusedError(Exception):
    """What a call was answered with: its code, reason and details, and the checkpoint beside them."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        """Read the status out of the trailing metadata."""
        metadata: dict[str, Any] = dict(error.trailing_metadata() or ())
        self.code: str = error.code().name
        self.message = error.details() or ""
        self.checkpoint: bytes = metadata.get("gateway-checkpoint-bin", b"")
        self.raw: bytes = metadata.get("grpc-status-details-bin", b"")
        self.size = sum(len(key) + len(value) for key, value in metadata.items())
        self.status = status_pb2.Status.FromString(self.raw)
        self.reason = ""
        info = self.detail(error_details_pb2.ErrorInfo)
        if info is not None:
            self.reason = info.reason
        super().__init__(f"{self.code} {self.reason}")

    def detail(self, kind: Any) -> Any:
        """Return the status's detail of this type, or None."""
        for packed in self.status.details:
            if packed.Is(kind.DESCRIPTOR):
                found = kind()
                packed.Unpack(found)
                return found
        return None


@dataclass(frozen=True, slots=True)
class Ground:
    """What a world stands on: a fresh migrated database of a running cluster."""

    cluster_home: Home
    dsn: str
    superuser: str = ""


class World:
    """The province; made by `open`."""

    def __init__(self, home: Home, settings: Settings, superuser: str) -> None:
        self.home = home
        self._superuser = superuser
        self.settings = settings
        self.clock = Hands()
        self.people: dict[tuple[str, str], Person] = {}
        self.doors: dict[Door, Running] = {}
        self._connections: dict[str, Connection] = {}
        self._control = ControlServer(self._connections.get)
        self._signing: asyncio.Task[None] | None = None
        self._stop_signer = asyncio.Event()
        self._entrances: list[asyncio.Server] = []
        self._pumps: dict[str, asyncio.Task[None]] = {}
        self._channels: dict[tuple[str, Door], Any] = {}
        self._owner: psycopg.Connection | None = None
        self.authority: Authority | None = None
        # What a test keeps for later ones: tokens by subject.
        self.tokens: dict[str, str] = {}
        self.receipt_id = ""

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, ground: Ground, doors: tuple[Door, ...] = DOORS) -> AsyncIterator["World"]:
        """Found the province, start signer and doors; all of it ends with the block."""
        with _founded(ground) as (home, settings):
            world = cls(home, settings, ground.superuser)
            await world._populate()
            await world.start_signer()
            await world._control.start(home.control_socket)
            try:
                for door in doors:
                    world.doors[door] = await open_door(home, door, world.clock)
                yield world
            finally:
                await world._close()

    # --- people -----------------------------------------------------------------------------------

    @property
    def province_admin(self) -> Person:
        """The provincial administrator."""
        return self.people[PROVINCE, "admin"]

    @property
    def city_admin(self) -> Person:
        """The first city's administrator."""
        return self.people[CITY, "admin"]

    @property
    def auditor(self) -> Person:
        """The provincial auditor."""
        return self.people[PROVINCE, "auditor"]

    @property
    def city_auditor(self) -> Person:
        """The first city's auditor."""
        return self.people[CITY, "auditor"]

    @property
    def city(self) -> Person:
        """The first city's uploading system."""
        return self.people[CITY, "uploader"]

    @property
    def county(self) -> Person:
        """A county of the first city: its uploading system."""
        return self.people[COUNTY, "uploader"]

    @property
    def other_county(self) -> Person:
        """A county of the other city: its uploading system."""
        return self.people[OTHER_COUNTY, "uploader"]

    # --- calls ------------------------------------------------------------------------------------

    async def channel(self, person: Person, door: Door, **found: Any) -> Any:
        """Return a channel of a person to a door; `found` replaces what the front found out (Connection's fields)."""
        key = (str(person.subject) + repr(sorted(found.items())), door)
        if key not in self._channels:
            server = await asyncio.start_server(
                lambda r, w: self._let_in(person, door, found, r, w), "127.0.0.1", 0
            )
            self._entrances.append(server)
            port = server.sockets[0].getsockname()[1]
            self._channels[key] = grpc.aio.insecure_channel(
                f"127.0.0.1:{port}",
                # One connection each, whatever other channels of this process have; no silent retry of a call.
                options=(
                    ("grpc.use_local_subchannel_pool", 1),
                    ("grpc.enable_retries", 0),
                    ("grpc.max_send_message_length", -1),
                ),
            )
        return self._channels[key]

    async def call(
        self,
        person: Person,
        method: str,
        request: Message | bytes,
        *,
        token: str = "",
        timeout: float | None = CALL_TIMEOUT_S,  # noqa: ASYNC109  the deadline that the call carries
        door: Door | None = None,
        metadata: tuple[tuple[str, str | bytes], ...] = (),
        **found: Any,
    ) -> bytes:
        """Make a unary call and return the reply's bytes; raises RefusedError."""
        channel = await self.channel(person, door or door_of(method), **found)
        raw = request if isinstance(request, bytes) else request.SerializeToString()
        if token:
            metadata = (*metadata, ("authorization", f"Bearer {token}"))
        try:
            reply = await channel.unary_unary(method)(raw, timeout=timeout, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise RefusedError(error) from None
        return bytes(reply)

    async def login(self, person: Person, password: str = PASSWORD) -> str:
        """Log in and return the access token; raises RefusedError."""
        request = identity_service_pb2.LoginRequest(account_name=person.account, password=password)
        reply = await self.call(person, "/gateway.v1.IdentityService/Login", request)
        return identity_service_pb2.LoginResponse.FromString(reply).access_token

    async def upload(self, person: Person, token: str, *batches: bytes) -> list[bytes]:
        """Send batches over one stream and return the replies; raises RefusedError after those that came."""
        stream = await self.open_upload(person, token)
        replies: list[bytes] = []
        try:
            for batch in batches:
                await stream.write(batch)
            await stream.done_writing()
            async for reply in stream:
                replies.append(bytes(reply))  # noqa: PERF401  a refusal keeps those before it
        except grpc.aio.AioRpcError as error:
            refused = RefusedError(error)
            refused.replies = replies  # type: ignore[attr-defined] # for who wants to know
            raise refused from None
        except asyncio.InvalidStateError:
            raise RefusedError(await _error(stream)) from None
        return replies

    async def open_upload(
        self,
        person: Person,
        token: str,
        timeout: float | None = CALL_TIMEOUT_S,  # noqa: ASYNC109  as above
    ) -> Any:
        """Return an open UploadBatches call."""
        channel = await self.channel(person, "intake")
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        opened: Any = channel.stream_stream("/gateway.v1.UploadService/UploadBatches")
        return opened(metadata=metadata, timeout=timeout)

    def cut(self, person: Person) -> None:
        """End every connection of a person, as the front does after a revocation."""
        for name, connection in list(self._connections.items()):
            if connection.subject == str(person.subject):
                self._pumps[name].cancel()

    # --- what is known ----------------------------------------------------------------------------

    def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run a statement as the owner and return its rows; only what a test needs to know or to break."""
        if self._owner is None:
            info = roles.conninfo(self.home, self.settings, "owner")
            self._owner = psycopg.connect(info, autocommit=True)
        cursor = self._owner.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []

    def leaves(self, since: int = 0) -> list[dict[str, Any]]:
        """Return the leaves from an index on, parsed; each with its "index"."""
        rows = self.sql(
            "SELECT idx, leaf FROM gateway.audit_entry WHERE idx >= %s ORDER BY idx", since
        )
        return [{"index": index, **json.loads(bytes(leaf))} for index, leaf in rows]

    def size(self) -> int:
        """Return how many leaves the log has."""
        size: int = self.sql("SELECT size FROM gateway.audit_head")[0][0]
        return size

    # --- hands ------------------------------------------------------------------------------------

    async def start_signer(self) -> None:
        """Start the signer, or start it again."""
        folder = self.home.secrets("signer")
        key = note.parse_skey((folder / signer.KEY_FILE).read_text())
        serving = signer.Signer(signer.Memory.load(folder, key))
        self._stop_signer.clear()
        self.home.signer_socket.unlink(missing_ok=True)
        self._signing = asyncio.create_task(
            serving.serve(self.home.signer_socket, self._stop_signer)
        )
        while not self.home.signer_socket.exists():  # noqa: ASYNC110  a file tells nobody
            await asyncio.sleep(0)

    async def kill_signer(self) -> None:
        """End the signer and every connection to it."""
        self._stop_signer.set()
        if self._signing is not None:
            await self._signing
        self.home.signer_socket.unlink(missing_ok=True)

    def take_store_away(self) -> None:
        """End every connection to the database and let nobody in again."""
        self.close_owner()
        with psycopg.connect(self._superuser, autocommit=True) as connection:
            name = str(conninfo_to_dict(self.settings.dsn)["dbname"])
            close = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false")
            connection.execute(close.format(sql.Identifier(name)))
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )

    def give_store_back(self) -> None:
        """Let everybody in again."""
        with psycopg.connect(self._superuser, autocommit=True) as connection:
            name = str(conninfo_to_dict(self.settings.dsn)["dbname"])
            reopen = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true")
            connection.execute(reopen.format(sql.Identifier(name)))

    def close_owner(self) -> None:
        """End the owner's own connection; `sql` opens another."""
        if self._owner is not None:
            self._owner.close()
            self._owner = None

    async def stop_front(self) -> None:
        """End the control socket: the doors can ask nobody any more."""
        await self._control.stop()
        self.home.control_socket.unlink(missing_ok=True)

    async def start_front(self) -> None:
        """Serve the control socket again."""
        await self._control.start(self.home.control_socket)

    # --- making it --------------------------------------------------------------------------------

    async def _populate(self) -> None:
        self.authority = ceremony.client_authority(self.home)
        database = await Database.open(
            roles.conninfo(self.home, self.settings, "owner"), application="world", size=1
        )
        hashed = await Passwords().hash(PASSWORD)
        now_us = SYSTEM.now_us()
        async with database.transaction() as tx:
            for code, kind, parent in ORGANISATIONS:
                await tx.execute(
                    "INSERT INTO gateway.organisation (code, name, kind, parent, state, created_us)"
                    " VALUES (%s, %s, %s, %s, 1, %s)",
                    (code, f"organisation {code}", kind, parent, now_us),
                )
            for organisation, unit in UNITS.items():
                await tx.execute(
                    "INSERT INTO gateway.unit (unit_code, organisation, division, level, name, active_from)"
                    " VALUES (%s, %s, %s, 4, %s, '2020-01-01')",
                    (unit, organisation, organisation, f"unit {unit}"),
                )
            for organisation, kind_of, account, role in _people():
                person = self._person(organisation, kind_of, account, role)
                subject = person.subject
                await tx.execute(
                    "INSERT INTO gateway.system (organisation, kind, name, state, created_us) VALUES (%s, %s, %s, 1, %s)",
                    (organisation, subject.kind, subject.name, now_us),
                )
                await register.insert(tx, person.certificate, subject)
                await tx.execute(
                    "INSERT INTO gateway.account (organisation, name, roles, subject_kind, subject_name, password_hash,"
                    " password_set_us, password_expires_us, must_change, history, created_us)"
                    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, false, %s, %s)",
                    (
                        *(organisation, account, [role], subject.kind, subject.name, hashed),
                        *(now_us - 2 * DAY_US, now_us + 88 * DAY_US, [hashed], now_us),
                    ),
                )
        await database.close()

    def _person(self, organisation: str, kind: SubjectKind, account: str, role: str) -> Person:
        assert self.authority is not None
        subject = Subject(DEFAULT_TRUST_DOMAIN, organisation, kind, account)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = issue.client_certificate(
            self.authority, subject, key.public_key(), SYSTEM.now_us()
        )
        person = Person(subject, account, (role,), key, certificate)
        self.people[organisation, account] = person
        return person

    async def _let_in(
        self,
        person: Person,
        door: Door,
        found: dict[str, Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Do what the front does once it is satisfied: name the connection, remember it, relay."""
        name = new_name()
        peer, listener = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        value = verified(person.certificate, person.subject)
        fields: dict[str, Any] = {
            "name": name,
            "door": door,
            "peer": f"{peer[0]}:{peer[1]}",
            "listener": f"{listener[0]}:{listener[1]}",
            "organisation": person.organisation,
            "subject": str(person.subject),
            "serial": value.serial,
            "certificate_sha256": value.sha256.hex(),
            "spki_sha256": value.spki_sha256.hex(),
            "not_after_us": value.not_after_us,
            "origin": Origin(
                person.organisation, f"listen:{listener[0]}", "static", "weak", listener[0]
            ),
        }
        self._connections[name] = Connection(**{**fields, **found})
        ours = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        ours.bind(abstract_address(name))
        task = asyncio.current_task()
        assert task is not None
        self._pumps[name] = task
        try:
            await asyncio.get_running_loop().sock_connect(ours, str(self.home.door_socket(door)))
            # From here on the socket is the transport's to close.
            await _relay(reader, writer, *await asyncio.open_unix_connection(sock=ours))
        except OSError:
            ours.close()  # there is no such door
        except asyncio.CancelledError:
            pass  # cut, or the world ends
        finally:
            writer.close()
            del self._connections[name], self._pumps[name]
            self._control.closed(name)

    async def _close(self) -> None:
        for channel in self._channels.values():
            await channel.close()
        for entrance in self._entrances:
            entrance.close()
        for pump in list(self._pumps.values()):
            pump.cancel()
        await asyncio.gather(*self._pumps.values(), return_exceptions=True)
        for door in self.doors.values():
            await door.stop(1.0)
        await self._control.stop()
        await self.kill_signer()
        self.close_owner()


def door_of(method: str) -> Door:
    """Return the door at which a method's service stands."""
    return _SERVICE_OF_DOOR.get(method.split("/")[1], "identity")


def _people() -> Iterator[tuple[str, SubjectKind, str, str]]:
    for organisation in UNITS:
        yield organisation, "sys", "uploader", "uploader"
    for organisation in (PROVINCE, CITY):
        yield organisation, "officer", "admin", "admin"
        yield organisation, "officer", "auditor", "auditor"


@contextlib.contextmanager
def _founded(ground: Ground) -> Iterator[tuple[Home, Settings]]:
    """Give a HOME with keys, settings, policies and password files, whose database is the ground's."""
    # A short path: a unix socket's has 108 bytes.
    root = Path(tempfile.mkdtemp(prefix="gw-"))
    root.chmod(0o711)
    home = Home(root / "home")
    try:
        folders.make_folders(home)
        settings = Settings(dsn=ground.dsn)
        home.settings.write_text(
            f"dsn = {json.dumps(ground.dsn)}\n[origin]\nallow_weak_origin = true\n",
            encoding="utf-8",
        )
        shutil.copytree(policies.shipped("policies"), home.policies, dirs_exist_ok=True)
        for role in roles.ROLES:
            shutil.copy(ground.cluster_home.password_file(role), home.password_file(role))
        ceremony.found(
            home, DEFAULT_TRUST_DOMAIN, ["127.0.0.1", DEFAULT_TRUST_DOMAIN], SYSTEM.now_us()
        )
        token = keys.make()
        folders.write_private(
            home.secrets("identity") / keys.PRIVATE_FILE, token.private_jwk.encode()
        )
        folders.write_public(home.token_keys, token.public_set.encode())
        signer.create(home, settings.log_origin)
        seal.make_keys(home)
        yield home, settings
    finally:
        shutil.rmtree(root)


async def _relay(
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


async def _error(stream: Any) -> grpc.aio.AioRpcError:
    """Return the error of a stream that ended while we were writing."""
    try:
        while await stream.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("the stream ended without an error")


def ground_of(cluster_home: Home, settings: Settings) -> Ground:
    """Return the ground of a test's own database (fixtures `database_home`, `database_settings`)."""
    return Ground(cluster_home, settings.dsn)


@contextlib.contextmanager
def fresh_ground(cluster: Cluster, template: str = "gateway_template") -> Iterator[Ground]:
    """Give a database of one's own in the fixture `cluster`, for tests that share a world."""
    name = f"world_{secrets.token_hex(8)}"
    with psycopg.connect(cluster.superuser(), autocommit=True) as connection:
        roles.create_database(connection, name, template=template)
        try:
            server = roles.server(cluster.home, Settings())
            dsn = make_conninfo(server, dbname=name)
            yield Ground(cluster.home, dsn, cluster.superuser())
        finally:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            connection.execute(drop.format(sql.Identifier(name)))


@dataclass(frozen=True, slots=True)
class Held:
    """A world that stands between tests: `run` runs one coroutine in its event loop."""

    world: World
    run: Callable[[Coroutine[Any, Any, Any]], Any]


@contextlib.contextmanager
def held(cluster: Cluster, doors: tuple[Door, ...] = DOORS) -> Iterator[Held]:
    """Hold a world open for the synchronous tests of a module."""
    with fresh_ground(cluster) as ground, asyncio.Runner() as runner:
        opened = World.open(ground, doors)
        world = runner.run(opened.__aenter__())
        try:
            yield Held(world, runner.run)
        finally:
            runner.run(opened.__aexit__(None, None, None))
