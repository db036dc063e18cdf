"""What a recipient says of a file: it came, it was opened, it is destroyed; with signatures."""

import uuid
from datetime import date

from gateway.client import approving, papers, sealed
from gateway.client.client import Client
from gateway.client.sealed import ExportError
from gateway.v1 import export_service_pb2 as v1
from gateway.v1.types_pb2 import Date


async def get(client: Client, ticket_id: str) -> v1.ExportTicket:
    """Return a ticket as it stands; raises Refusal."""
    request = v1.GetExportRequest(ticket_id=ticket_id)
    return (await client.call(client.exports.GetExport, request)).ticket


async def acknowledge(client: Client, ticket_id: str) -> v1.ExportTicket:
    """Say that the file was opened; raises ExportError where this profile did not, Refusal."""
    found = sealed.note(client.profile, ticket_id)
    if not found.manifest_sha256:
        raise ExportError("NOT_OPENED")
    request = v1.AcknowledgeExportRequest(
        request_id=str(uuid.uuid4()), ticket_id=ticket_id, manifest_sha256=found.manifest_sha256
    )
    return (await client.call(client.exports.AcknowledgeExport, request)).ticket


async def destroyed(client: Client, ticket_id: str, day: date) -> v1.ExportTicket:
    """Give our signed word that the file and every copy were destroyed; raises Refusal."""
    plan = approving.read(await get(client, ticket_id))
    signed = attestation(ticket_id, plan.sha256, day)
    request = v1.AttestDestructionRequest(
        request_id=str(uuid.uuid4()),
        ticket_id=ticket_id,
        destroyed_date=Date(year=day.year, month=day.month, day=day.day),
        signature=papers.signed(client.profile.key.read_bytes(), signed),
    )
    return (await client.call(client.exports.AttestDestruction, request)).ticket


def receipt(ticket_id: str, payload_sha256: str) -> bytes:
    """Return the bytes that a recipient signs for a payload (decision 0017)."""
    return f"sxgw-receipt-v1\n{ticket_id}\n{payload_sha256}\n".encode("ascii")


def attestation(ticket_id: str, plan_sha256: str, day: date) -> bytes:
    """Return the bytes that a recipient signs for the destruction (decision 0017)."""
    return f"sxgw-destroyed-v1\n{ticket_id}\n{plan_sha256}\n{day}\n".encode("ascii")
