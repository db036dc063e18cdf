"""A province to test against: one database, a signer, four doors and their people, in one event loop.

Everything is real but the way in: `World.channel` reaches a door through a plain relay that says of each connection
what the front would have found out (certificate, organisation, tunnel), so that a test need not handshake. With
`World.open_front` the real front takes its place, and `World.secure_channel` goes through it. Time runs as it does
outside, and `World.clock.turn` moves its hands.

A test opens one with `World.open(ground)`, or shares one with its module by `held(cluster)`; then `login`, `call`,
`upload`, and `leaves` to see what the log says of it.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import grpc
import psycopg
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from gateway import signer
from gateway.audit.recorder import Recorder
from gateway.audit.signing import SignerLink
from gateway.clock import SYSTEM, US_PER_S
from gateway.config import policies
from gateway.config.home import DOORS, Door, Home, Listener
from gateway.config.settings import Settings
from gateway.front.listener import Front
from gateway.names import DEFAULT_TRUST_DOMAIN
from gateway.pki import ceremony
from gateway.pki.issue import Authority
from gateway.pki.publish import Keeper
from gateway.services import server
from gateway.services.guard import Guard
from gateway.services.server import Running, open_door
from gateway.store import roles
from gateway.store.database import Database
from gateway.store.embedded import Cluster
from gateway.v1 import identity_service_pb2
from tests.entrance import Entrance, relay
from tests.grounds import Ground, founded, fresh_ground, ground_of
from tests.people import (
    CITY,
    COUNTY,
    ORGANISATIONS,
    OTHER_CITY,
    OTHER_COUNTY,
    PASSWORD,
    PROVINCE,
    SECOND_COUNTY,
    UNITS,
    Person,
    populate,
)

__all__ = [
    "CITY",
    "COUNTY",
    "ORGANISATIONS",
    "OTHER_CITY",
    "OTHER_COUNTY",
    "PASSWORD",
    "PROVINCE",
    "SECOND_COUNTY",
    "UNITS",
    "Ground",
    "Hands",
    "Held",
    "Person",
    "RefusedError",
    "World",
    "door_of",
    "fresh_ground",
    "ground_of",
    "held",
    "relay",
]

CALL_TIMEOUT_S = 20.0
# One connection each, whatever other channels of this process have; no silent retry of a call.
OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.max_send_message_length", -1),
)
_SERVICE_OF_DOOR: dict[str, Listener] = {
    "gateway.v1.EnrolmentService": "enrolment",
    "gateway.v1.IdentityService": "identity",
    "gateway.v1.UploadService": "intake",
    "gateway.v1.ExportService": "disclosure",
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


class World:
    """The province; made by `open`."""

    def __init__(self, home: Home, settings: Settings, superuser: str) -> None:
        """Prepare; `open` is how to make one."""
        self.home = home
        self.settings = settings
        self.clock = Hands()
        self.authority: Authority = ceremony.client_authority(home)
        self.people: dict[tuple[str, str], Person] = {}
        self.doors: dict[Door, Running] = {}
        self.entrance = Entrance(home)
        self.front: Front | None = None
        # What a test keeps for later ones: tokens by subject, a batch to ask for.
        self.tokens: dict[str, str] = {}
        self.tokens_us: dict[str, int] = {}
        self.receipt_id = ""
        # Who takes part in exports: tests.exports.cast.Cast, where a test opened one.
        self.cast: Any = None
        self._superuser = superuser
        self._owner: psycopg.Connection | None = None
        self._channels: dict[tuple[str, str, Listener], Any] = {}
        self._signing: asyncio.Task[None] | None = None
        self._stop_signer = asyncio.Event()
        self._opened = contextlib.AsyncExitStack()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, ground: Ground, doors: tuple[Door, ...] = DOORS) -> AsyncIterator["World"]:
        """Found the province, start signer and doors; all of it ends with the block."""
        with founded(ground) as (home, settings):
            world = cls(home, settings, ground.superuser)
            owner = roles.conninfo(home, settings, "owner")
            world.people = await populate(owner, world.authority)
            await world.start_signer()
            await world.entrance.start()
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

    def guard(self, door: Listener) -> Guard:
        """Return the guard of a door; enrolment is served by the identity process, beside its door."""
        if door == "enrolment":
            return self.doors["identity"].serving[1].guard
        return self.doors[door].guard

    # --- calls ------------------------------------------------------------------------------------

    async def channel(self, person: Person, door: Listener, **found: Any) -> Any:
        """Return a channel of a person to a door.

        `found` replaces what the front found out (fields of link.Connection).
        """
        key = (person.serial, repr(sorted(found.items())), door)
        if key not in self._channels:
            port = await self.entrance.listen(person, door, found)
            self._channels[key] = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS)
        return self._channels[key]

    async def open_front(self) -> Front:
        """Put the real front in the entrance's place; connections of the entrance are void."""
        await self.entrance.close()
        conninfo = roles.conninfo(self.home, self.settings, "front")
        database = await Database.open(conninfo, application="front")
        self._opened.push_async_callback(database.close)
        link = SignerLink(self.home.signer_socket)
        recorder = await Recorder.open(database, link, door="front", clock=self.clock)
        self._opened.push_async_callback(recorder.close)
        rules = policies.load_policies(self.home.policies)
        self.front = Front(self.home, self.settings, rules, database, recorder, self.clock)
        await self.front.open()
        self._opened.push_async_callback(self.front.close, 0.1)
        return self.front

    def address_of(self, organisation: str) -> str:
        """Return the listening address that stands for an organisation's tunnel."""
        return next(
            one.listen for one in self.settings.origin.static if one.organisation == organisation
        )

    def secure_channel(self, person: Person, door: Door, address: str = "") -> Any:
        """Return a channel over TLS to the real front, at the person's own tunnel or elsewhere."""
        host = address or self.address_of(person.organisation)
        key = person.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        credentials = grpc.ssl_channel_credentials(
            self.home.root_certificate.read_bytes(), key, ceremony.pem(person.certificate)
        )
        name = ("grpc.ssl_target_name_override", DEFAULT_TRUST_DOMAIN)
        target = f"{host}:{self.settings.ports.of(door)}"
        return grpc.aio.secure_channel(target, credentials, options=(*OPTIONS, name))

    async def call(
        self,
        person: Person,
        method: str,
        request: Message | bytes,
        *,
        token: str = "",
        timeout: float | None = CALL_TIMEOUT_S,  # noqa: ASYNC109  the deadline that the call carries
        door: Listener | None = None,
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
        self.entrance.cut(str(person.subject))

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

    async def keep_lists(self) -> Keeper:
        """Have the revocation lists kept as the supervisor does, until the end of the world."""
        conninfo = roles.conninfo(self.home, self.settings, "front")
        database = await Database.open(conninfo, application="lists", size=1)
        self._opened.push_async_callback(database.close)
        keeper = Keeper(self.home, database, self.clock)
        keeping = asyncio.create_task(keeper.run())

        async def end() -> None:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

        self._opened.push_async_callback(end)
        return keeper

    async def start_signer(self) -> None:
        """Start the signer, or start it again."""
        serving = signer.Signer(signer.Memory.load(self.home))
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

    async def _close(self) -> None:
        for channel in self._channels.values():
            await channel.close()
        await self._opened.aclose()
        await self.entrance.close()
        for door in self.doors.values():
            await door.stop(1.0)
        await self.kill_signer()
        self.close_owner()


def door_of(method: str) -> Listener:
    """Return the door at which a method's service stands."""
    return _SERVICE_OF_DOOR.get(method.split("/")[1], "identity")


async def _error(stream: Any) -> grpc.aio.AioRpcError:
    """Return the error of a stream that ended while we were writing."""
    try:
        while await stream.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("the stream ended without an error")


@dataclass(frozen=True, slots=True)
class Held:
    """A world that stands between tests: `run` runs one coroutine in its event loop."""

    world: World
    run: Callable[[Coroutine[Any, Any, Any]], Any]


@contextlib.contextmanager
def held(cluster: Cluster, doors: tuple[Door, ...] = DOORS) -> Iterator[Held]:
    """Hold a world open for the synchronous tests of a module."""
    # Between two tests nobody answers a ping: the loop stands still.
    unhurried = mock.patch.object(server, "KEEPALIVE_S", 3600)
    # What a door does by itself every minute falls into some test of a module that takes longer.
    idle = mock.patch.object(server, "CHORES_EVERY_S", 3600)
    with unhurried, idle, fresh_ground(cluster) as ground, asyncio.Runner() as runner:
        opened = World.open(ground, doors)
        world = runner.run(opened.__aenter__())
        try:
            yield Held(world, runner.run)
        finally:
            runner.run(opened.__aexit__(None, None, None))
