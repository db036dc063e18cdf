"""What an approver reads and signs: the plan's own bytes, checked, and the signature over them.

The gateway is not believed here: what is shown comes out of the very bytes whose digest is signed,
and a plan that says more than we know to show is not shown, and so not signed.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.client import papers
from gateway.client.profile import Profile
from gateway.tlog import leaf
from gateway.v1.export_service_pb2 import ExportTicket

PLAN_VERSION = 1
# Every field of a plan, in the order in which people read them.
FIELDS = (
    "dataset",
    "divisions",
    "units",
    "born_from",
    "born_until",
    "happened_from",
    "happened_until",
    "vaccine_codes",
    "columns",
    "purpose",
    "legal_basis",
    "requester",
    "recipient",
    "connection_certificate_sha256",
    "encryption_certificate_sha256",
    "tunnel",
    "row_cap",
    "child_cap",
    "not_before_us",
    "not_after_us",
    "destroy_by",
    "format",
)


class PlanMismatchError(Exception):
    """The bytes are not the plan that the ticket names; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A plan whose bytes have the digest (lower hex) that will be signed."""

    ticket_id: str
    sha256: str
    fields: Mapping[str, leaf.Json]


def read(ticket: ExportTicket) -> Shown:
    """Return a ticket's plan, read out of its bytes.

    Raises PlanMismatchError where they have another digest than the ticket says, are not canonical,
    or hold other fields than FIELDS.
    """
    digest = hashlib.sha256(ticket.plan).hexdigest()
    if digest != ticket.plan_sha256:
        raise PlanMismatchError("the plan's bytes have another digest than the ticket says")
    try:
        document = leaf.parse(ticket.plan)
    except leaf.LeafError as error:
        raise PlanMismatchError(str(error)) from error
    if document.pop("version", None) != PLAN_VERSION or set(document) != set(FIELDS):
        raise PlanMismatchError("a plan of another form: this client may be too old")
    return Shown(ticket.ticket_id, digest, document)


def statement(shown: Shown) -> bytes:
    """Return the bytes that an approver signs (decision 0017)."""
    return f"sxgw-approve-v1\n{shown.ticket_id}\n{shown.sha256}\n".encode("ascii")


def sign(profile: Profile, shown: Shown) -> bytes:
    """Return the signature of the profile's key: ECDSA, SHA-256, DER; raises PapersError."""
    return papers.signed(profile.key.read_bytes(), statement(shown))
