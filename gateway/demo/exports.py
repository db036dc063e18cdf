"""An export in the demo: what one person alone cannot, what two can, and how it is stopped."""

import asyncio
import io
import uuid
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.client import approving, attesting, papers
from gateway.client.client import Client
from gateway.client.delivery import Delivery, delivery
from gateway.client.download import Download
from gateway.client.tagged import TaggedError, decrypt
from gateway.clock import SYSTEM, civil_day, to_datetime
from gateway.demo.insiders import as_owner, reason_of
from gateway.demo.province import APART_S, COUNTIES, Member, Province
from gateway.demo.tried import Tried
from gateway.errors import Reason
from gateway.v1 import export_service_pb2 as v1
from gateway.v1.types_pb2 import Date

# Of the first city.
DIVISIONS = COUNTIES[:2]
BUILT_WITHIN_S = 60.0
_POLL_S, _SPARE_S = 0.1, 0.3
_WAITING = frozenset({v1.EXPORT_STATE_APPROVED, v1.EXPORT_STATE_BUILDING})
_KEEP_ROW = "CREATE TABLE gateway.yesterday AS SELECT * FROM gateway.ticket WHERE ticket_id = %s"
_PUT_BACK = (
    "UPDATE gateway.ticket AS t SET state = y.state, version = y.version, moved_us = y.moved_us"
    " FROM gateway.yesterday AS y WHERE t.ticket_id = y.ticket_id"
)
_DROP_ROW = "DROP TABLE gateway.yesterday"


async def tell(there: Province, people: dict[str, Member], tried: Tried, folder: Path) -> None:
    """Add the rows; the file that is opened lies in the folder. Raises what must not happen."""
    tickets = [await submitted(people, name) for name in ("lian", "chen")]
    for ticket in tickets:
        await approve(people["zhao"], ticket)
    first, second = tickets
    wang = people["wang"]
    await tried.call("demo.row.export-once", "TICKET_NOT_APPROVED", _taken(wang, first))
    twice = reason_of(approve(people["zhao.two"], first))
    await tried.call("demo.row.export-twice", "APPROVAL_SAME_PERSON", twice)
    await asyncio.sleep(APART_S + _SPARE_S)
    await _signed_by_two(tried, people["qian"], first)
    await approve(people["qian"], second)
    for ticket in tickets:
        await built(wang, ticket)
    for name, how in (("certificate", "other"), ("tunnel", "elsewhere")):
        attempt = _taken(people[f"wang.{how}"], first)
        await tried.call(f"demo.row.export-{name}", "RECIPIENT_MISMATCH", attempt)
    await _opened(tried, wang, first, folder / f"{first}.csv")
    await as_owner(there, (_KEEP_ROW, (second,)))
    await _stopped(tried, people, second)
    await as_owner(there, (_PUT_BACK, ()), (_DROP_ROW, ()))
    await tried.call("demo.row.export-restored", "TICKET_TAMPERED", _taken(wang, second))


async def submitted(people: dict[str, Member], by: str) -> str:
    """Ask for all doses of two counties, for wang; return the ticket's number."""
    wanted = _plan(people["wang"].profile.folder, people["wang"])
    async with _client(people[by]) as client:
        ticket = (await client.call(client.exports.DraftExport, wanted)).ticket
        request = v1.SubmitExportRequest(
            request_id=_id(), ticket_id=ticket.ticket_id, plan_sha256=ticket.plan_sha256
        )
        await client.call(client.exports.SubmitExport, request)
    return ticket.ticket_id


def _plan(folder: Path, recipient: Member) -> v1.DraftExportRequest:
    now_us = SYSTEM.now_us()
    destroy = civil_day(now_us) + timedelta(days=30)
    wanted = v1.DraftExportRequest(
        request_id=_id(),
        dataset=v1.EXPORT_DATASET_VACCINATIONS,
        division_codes=DIVISIONS,
        columns=["child_token", "lot.vaccine_code", "dose_number", "vaccinated_date"],
        purpose="survey",
        legal_basis="vaccine-law-art-49",
        recipient_organisation_code=recipient.code,
        recipient_account_name=recipient.profile.remote.account,
        connection_certificate_sha256=_sha256(recipient.profile.certificate),
        encryption_certificate_sha256=_sha256(folder / "encryption.pem"),
        tunnel_name=f"listen/{recipient.profile.remote.host}",
        row_cap_count=50_000,
        child_cap_count=20_000,
        destroy_by_date=Date(year=destroy.year, month=destroy.month, day=destroy.day),
        format=v1.EXPORT_FORMAT_CSV,
    )
    wanted.not_before_time.FromDatetime(to_datetime(now_us))
    wanted.not_after_time.FromDatetime(to_datetime(now_us) + timedelta(days=1))
    return wanted


async def approve(approver: Member, ticket_id: str) -> v1.ExportTicket:
    """Read the plan out of its bytes and sign it, as `gateway export approve` does."""
    async with _client(approver) as client:
        shown = approving.read(await attesting.get(client, ticket_id))
        request = v1.ApproveExportRequest(
            request_id=_id(),
            ticket_id=ticket_id,
            plan_sha256=shown.sha256,
            signature=approving.sign(approver.profile, shown),
        )
        return (await client.call(client.exports.ApproveExport, request)).ticket


async def _signed_by_two(tried: Tried, approver: Member, ticket_id: str) -> None:
    before = await tried.watch.newest()
    ticket = await approve(approver, ticket_id)
    found = await tried.watch.after(before, kind="export.approve")
    happened = f"{len(ticket.approvals)} signatures, {v1.ExportState.Name(ticket.state)}"
    expected = f"2 signatures, {v1.ExportState.Name(v1.EXPORT_STATE_APPROVED)}"
    tried.add("demo.row.export-signed", expected, happened, found[0] if found else None)


async def built(recipient: Member, ticket_id: str) -> None:
    """Wait until the gateway has built what was approved."""
    async with _client(recipient) as client, asyncio.timeout(BUILT_WITHIN_S):
        while (await attesting.get(client, ticket_id)).state in _WAITING:  # noqa: ASYNC110  another process builds
            await asyncio.sleep(_POLL_S)


async def _opened(tried: Tried, recipient: Member, ticket_id: str, target: Path) -> None:
    """Download, sign for, open and acknowledge; every row must be there."""
    before = await tried.watch.newest()
    async with _client(recipient) as client:
        ticket = await attesting.get(client, ticket_id)
        await Download(client, ticket_id, target).run()
        await attesting.acknowledge(client, ticket_id)
    rows = (await asyncio.to_thread(target.read_bytes)).count(b"\r\n") - 1
    begun, ended, given = [
        next(iter(await tried.watch.after(before, kind=f"export.{kind}")), None)
        for kind in ("begin", "end", "release")
    ]
    counts = None if ended is None else ended.fields["counts"]
    came = counts["bytes"] if isinstance(counts, dict) else 0
    tried.add("demo.row.export-taken", _sealed(ticket.payload_bytes), _sealed(came), begun)
    tried.add("demo.row.export-opened", _rows(ticket.built_row_count), _rows(rows), given)


async def _stopped(tried: Tried, people: dict[str, Member], ticket_id: str) -> None:
    """Revoke a ticket while its file is taken; go on where it stopped; try to read what came."""
    before = await tried.watch.newest()
    wang, parts = people["wang"], list[v1.DownloadExportResponse]()
    async with _client(wang) as client:
        whole = (await attesting.get(client, ticket_id)).payload_bytes
        async with delivery(client, ticket_id) as coming:
            # The head, and the first bytes; then, while it stands, the revocation.
            parts += filter(None, [await coming.part(), await coming.part()])
            await revoke(people["song"], ticket_id)
        payload = b"".join(part.chunk for part in parts)
        async with delivery(client, ticket_id, len(payload)) as coming:
            resumed = await reason_of(_drain(coming, parts))
        told, header = await key(client, ticket_id)
    reasons = " and ".join(sorted({resumed, told}))
    came = f"{len(payload)} of {whole} sealed bytes"
    happened = f"{reasons}: {came}, {_readable(wang, header, payload)} readable"
    found = await tried.watch.after(before, kind="export.revoke")
    expected = f"{Reason.TICKET_REVOKED}: {came}, 0 readable"
    tried.add("demo.row.export-revoked", expected, happened, found[0] if found else None)


async def revoke(officer: Member, ticket_id: str) -> None:
    """Stop a ticket, as one person may."""
    async with _client(officer) as client:
        request = v1.RevokeExportRequest(request_id=_id(), ticket_id=ticket_id, reason="demo")
        await client.call(client.exports.RevokeExport, request)


async def key(client: Client, ticket_id: str) -> tuple[str, bytes]:
    """Ask for the header; return why it was refused, and what came all the same."""
    answers: list[v1.ReleaseExportResponse] = []

    async def ask() -> None:
        request = v1.ReleaseExportRequest(request_id=_id(), ticket_id=ticket_id)
        answers.append(await client.call(client.exports.ReleaseExport, request))

    return await reason_of(ask()), b"".join(answer.header for answer in answers)


def _readable(recipient: Member, header: bytes, payload: bytes) -> int:
    """Return how much of what came the recipient's own key opens."""
    own = load_pem_private_key((recipient.profile.folder / "encryption-key.pem").read_bytes(), None)
    count = 0
    try:
        for piece in decrypt(header, io.BytesIO(payload), own):  # type: ignore[arg-type]  # P-256, made by the client itself
            count += len(piece)
    except TaggedError:
        pass
    return count


async def _taken(who: Member, ticket_id: str) -> str:
    """Ask for the sealed file; return why it was refused, or ACCEPTED."""
    async with _client(who) as client, delivery(client, ticket_id) as coming:
        return await reason_of(_drain(coming, []))


async def _drain(coming: Delivery, parts: list[v1.DownloadExportResponse]) -> None:
    """Take what is left of a download; raises the refusal that ended it."""
    while part := await coming.part():
        parts.append(part)


def _client(who: Member) -> Client:
    return Client(who.profile, password=lambda: who.password)


def _sha256(certificate: Path) -> str:
    return papers.read(certificate.read_bytes()).sha256


def _sealed(count: int) -> str:
    return f"{count} sealed bytes" if count else "no byte"


def _rows(count: int) -> str:
    return f"{count} rows, whole" if count else "no row"


def _id() -> str:
    return str(uuid.uuid4())
