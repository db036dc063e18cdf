"""What a recipient does after the approval, for tests: the file built, downloaded, signed for, released, opened."""

import hashlib
import io
from dataclasses import dataclass, field
from typing import Any

import grpc
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.audit.event import Event
from gateway.client.manifest import Expected, Opened
from gateway.client.tagged import decrypt
from gateway.clock import civil_day
from gateway.exports import payloads, receipt
from gateway.v1 import export_service_pb2 as pb
from gateway.v1.types_pb2 import Date
from gateway.v1.upload_service_pb2 import Item
from tests.exports.cast import SERVICE, Cast, about, new_id
from tests.exports.planted import plant
from tests.uploads.county import a_child, a_dose
from tests.world import Person, RefusedError, _error

DOOR = Event(door="disclosure")
# Planted files say that they hold more than a plan of `Cast` asks for.
WIDE = {"row_cap_count": 2_000, "child_cap_count": 1_000}


@dataclass
class Fetched:
    """What came of a download: head, tail where it ended well, and the bytes between."""

    head: pb.DownloadHead | None = None
    tail: pb.DownloadTail | None = None
    payload: bytes = b""
    refused: RefusedError | None = None
    parts: list[str] = field(default_factory=list)


async def uploaded(cast: Cast, children: int = 2) -> None:
    """So many children of the county with a dose each."""
    from tests.coverage.rpcs import a_batch  # it takes messages from here

    world = cast.world
    cards = [a_child(n, name=f"王小{'甲乙丙丁'[n % 4]}") for n in range(1, children + 1)]
    items = [Item(child=one) for one in cards] + [Item(vaccination=a_dose(one)) for one in cards]
    token = await world.login(world.county)
    batch = a_batch(world, world.county, *items)
    await world.upload(world.county, token, batch.SerializeToString())


def chore(cast: Cast, owner: str) -> Any:
    """The door's own builder or keeper."""
    found = [getattr(one, "__self__", None) for one in cast.world.doors["disclosure"].chores]
    return next(one for one in found if type(one).__name__ == owner)


async def sealed(cast: Cast, **changes: Any) -> pb.ExportTicket:
    """A ticket whose file is built and waits for wang."""
    ticket = plant(cast, 3, **changes)
    await chore(cast, "Builder").look(DOOR)
    assert cast.state(ticket) == "sealed"
    return ticket


async def open_download(
    cast: Cast, ticket: pb.ExportTicket, by: str | Person = "wang", offset: int = 0, **found: Any
) -> Any:
    """An open DownloadExport call."""
    person = cast[by] if isinstance(by, str) else by
    token = await cast.token(person)
    found = {"origin": cast.origin(person.organisation), **found}
    channel = await cast.world.channel(person, "disclosure", **found)
    request = pb.DownloadExportRequest(ticket_id=ticket.ticket_id, offset_bytes=offset)
    call = channel.unary_stream(f"{SERVICE}/DownloadExport")
    metadata = (("authorization", f"Bearer {token}"),)
    return call(request.SerializeToString(), metadata=metadata)


async def download(
    cast: Cast, ticket: pb.ExportTicket, by: str | Person = "wang", offset: int = 0, **found: Any
) -> Fetched:
    """All that a download gives, to its end or its refusal."""
    return await drained(await open_download(cast, ticket, by, offset, **found))


async def drained(stream: Any, parts: int | None = None) -> Fetched:
    """What is left of a download, or so many parts of it."""
    fetched = Fetched()
    try:
        while (raw := await stream.read()) is not grpc.aio.EOF:
            part = pb.DownloadExportResponse.FromString(raw)
            kind = part.WhichOneof("part") or ""
            fetched.parts.append(kind)
            if kind == "chunk":
                fetched.payload += part.chunk
            else:
                setattr(fetched, kind, getattr(part, kind))
            if len(fetched.parts) == parts:
                return fetched
        # At a refusal, too, the messages end first.
        if await stream.code() is not grpc.StatusCode.OK:
            raise await _error(stream)
    except grpc.aio.AioRpcError as error:
        fetched.refused = RefusedError(error)
    return fetched


def receipt_for(
    cast: Cast, ticket: pb.ExportTicket, payload: bytes, by: str | Person = "wang"
) -> pb.ReceiveExportRequest:
    """The recipient's signed receipt for these bytes."""
    person = cast[by] if isinstance(by, str) else by
    digest = hashlib.sha256(payload).hexdigest()
    signed = receipt.statement(ticket.ticket_id, digest)
    return pb.ReceiveExportRequest(
        request_id=new_id(),
        ticket_id=ticket.ticket_id,
        payload_sha256=digest,
        signature=person.key.sign(signed, ec.ECDSA(SHA256())),
    )


def destroyed(cast: Cast, ticket: pb.ExportTicket, by: str = "wang") -> pb.AttestDestructionRequest:
    """Somebody's signed word that all is destroyed today."""
    day = civil_day(cast.world.clock.now_us())
    signed = receipt.attestation(ticket.ticket_id, ticket.plan_sha256, day)
    return about(
        pb.AttestDestructionRequest,
        ticket,
        destroyed_date=Date(year=day.year, month=day.month, day=day.day),
        signature=cast[by].key.sign(signed, ec.ECDSA(SHA256())),
    )


def a_download(cast: Cast) -> pb.DownloadExportRequest:
    """What asks for a planted payload."""
    ticket = plant(cast, 5, **WIDE)
    payloads.path(cast.world.home.exports, ticket.ticket_id).write_bytes(b"noise")
    return pb.DownloadExportRequest(ticket_id=ticket.ticket_id)


def received_for(cast: Cast, ticket: pb.ExportTicket) -> Any:
    """The call that signs for a planted payload, whatever its state."""
    signed = receipt.statement(ticket.ticket_id, ticket.payload_sha256)
    request = about(
        pb.ReceiveExportRequest,
        ticket,
        payload_sha256=ticket.payload_sha256,
        signature=cast["wang"].key.sign(signed, ec.ECDSA(SHA256())),
    )
    return cast.ask(cast["wang"], "ReceiveExport", request)


def a_receipt(cast: Cast) -> pb.ReceiveExportRequest:
    """The receipt for a planted payload."""
    ticket = plant(cast, 6, **WIDE)
    list_children(cast, ticket)
    signed = receipt.statement(ticket.ticket_id, ticket.payload_sha256)
    return about(
        pb.ReceiveExportRequest,
        ticket,
        payload_sha256=ticket.payload_sha256,
        signature=cast["wang"].key.sign(signed, ec.ECDSA(SHA256())),
    )


def a_release(cast: Cast) -> pb.ReleaseExportRequest:
    """What asks for a planted header."""
    ticket = plant(cast, 7, **WIDE)
    keep = "INSERT INTO gateway.export_header (ticket_id, header) VALUES (%s, %s)"
    cast.world.sql(keep, ticket.ticket_id, b"header")
    list_children(cast, ticket)
    return about(pb.ReleaseExportRequest, ticket)


def list_children(cast: Cast, ticket: pb.ExportTicket) -> None:
    """Give a planted ticket as many children as it says to hold."""
    children = (
        "INSERT INTO gateway.export_child (ticket_id, child_tag)"
        " SELECT %s, sha256(n::text::bytea) FROM generate_series(1, %s) AS n"
    )
    cast.world.sql(children, ticket.ticket_id, ticket.built_child_count)


async def received(cast: Cast, **changes: Any) -> tuple[pb.ExportTicket, Fetched]:
    """A ticket whose payload wang has and signed for."""
    ticket = await sealed(cast, **changes)
    fetched = await download(cast, ticket)
    assert fetched.refused is None
    await cast.ask(cast["wang"], "ReceiveExport", receipt_for(cast, ticket, fetched.payload))
    return ticket, fetched


async def release(cast: Cast, ticket: pb.ExportTicket, by: str = "wang", **found: Any) -> Any:
    """The header, or RefusedError."""
    return await cast.ask(
        cast[by], "ReleaseExport", about(pb.ReleaseExportRequest, ticket), **found
    )


def opened(
    cast: Cast, ticket: pb.ExportTicket, fetched: Fetched, header: bytes
) -> tuple[bytes, Any]:
    """The rows of a file, and what was read of its manifest and trailer."""
    head = fetched.head
    assert head is not None
    expected = Expected(
        ticket.ticket_id,
        head.plan_sha256,
        head.encryption_certificate_sha256,
        {one.key_id: one.spki for one in head.keys},
    )
    made = Opened(expected)
    plain = decrypt(header, io.BytesIO(fetched.payload), cast.encryption["wang"].key)
    return b"".join(made.rows(plain)), made
