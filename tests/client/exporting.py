"""A small gateway that has one sealed file for us: a true age file to our encryption certificate, with manifest and trailer.

It moves the ticket as the contract says; what goes wrong is told to it by the test.
"""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.client.files import write_private
from gateway.client.profile import Profile
from gateway.clock import SYSTEM
from gateway.errors import Reason, refuse
from gateway.exports import manifest
from gateway.exports.manifest import Content
from gateway.exports.ticket import Built, Ticket
from gateway.services import export_wire
from gateway.store import export_keys as keys
from gateway.v1 import export_service_pb2 as pb
from tests.cli.small_exports import TICKET, SmallExports
from tests.exports.shipping import Reader, a_reader, export_home, sealed
from tests.exports.tickets import PLAN, along

_EXPORTS = "/gateway.v1.ExportService/"
DATA = b"child_token,lot.vaccine_code\r\n" + b"abc,0101\r\n" * 30_000
CHUNK = 65_536
with export_home() as _home:
    KEYS = keys.load(_home)
    PUBLISHED = keys.published(_home.export_keys)


@dataclass
class Exporting(SmallExports):
    """One ticket, sealed for `reader`.

    `cuts`: after how many chunks each of the next downloads breaks off, and why; `manifests` changes what the manifest is made of.
    """

    reader: Reader = field(default_factory=lambda: a_reader(now_us=SYSTEM.now_us()))
    cuts: list[tuple[int, Reason]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    releases: int = 0
    header: bytes = b""
    payload: bytes = b""

    def __post_init__(self) -> None:
        self.build()

    def build(self, ticket_id: str = TICKET, **changes: Any) -> None:
        """Make the file; `ticket_id` and `changes`: what its manifest says instead."""
        plan = replace(PLAN, encryption_certificate_sha256=self.reader.sha256)
        front = manifest.manifest(
            ticket_id,
            replace(plan, **changes),
            key_id=KEYS.key_id,
            bundle="ab" * 32,
            clock=SYSTEM,
            sign=KEYS.sign,
        )
        content = Content(30_000, 1, 0, len(DATA), hashlib.sha256(DATA).hexdigest())
        back = manifest.trailer(ticket_id, front, content, sign=KEYS.sign)
        self.header, self.payload = sealed(front + DATA + back, self.reader)
        digest = hashlib.sha256(self.payload).hexdigest()
        front_digest = hashlib.sha256(front).hexdigest()
        built = Built(30_000, 1, len(self.payload), digest, front_digest)
        value: Ticket = replace(along(5), plan=plan, plan_sha256=plan.sha256, built=built)
        self.tickets[TICKET] = export_wire.message(value)

    def profile(self, folder: Path) -> Profile:
        profile = super().profile(folder)
        certificate = self.reader.certificate.public_bytes(Encoding.PEM)
        key = self.reader.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private(folder / "encryption.pem", certificate)
        write_private(folder / "encryption-key.pem", key)
        return profile

    def methods(self) -> Any:
        mine = {
            "DownloadExport": self.deliver,
            "ReceiveExport": self.receive,
            "ReleaseExport": self.release,
            "AcknowledgeExport": self.acknowledge,
            "AttestDestruction": self.attest,
        }
        found = {
            f"{_EXPORTS}{name}": (method, getattr(pb, f"{name}Request"))
            for name, method in mine.items()
        }
        return {**super().methods(), **found}

    @property
    def ticket(self) -> pb.ExportTicket:
        return self.tickets[TICKET]

    def deliver(self, request, token):
        self._check(token)
        if self.ticket.state not in {pb.EXPORT_STATE_SEALED, pb.EXPORT_STATE_FETCHING}:
            raise refuse(Reason.TICKET_STATE)
        self.ticket.state = pb.EXPORT_STATE_FETCHING
        self.offsets.append(request.offset_bytes)
        cut, why = self.cuts.pop(0) if self.cuts else (-1, Reason.SHUTTING_DOWN)
        yield pb.DownloadExportResponse(
            head=pb.DownloadHead(
                payload_bytes=len(self.payload),
                payload_sha256=self.ticket.payload_sha256,
                plan_sha256=self.ticket.plan_sha256,
                encryption_certificate_sha256=self.reader.sha256,
                keys=[pb.ExportKey(key_id=one, spki=spki) for one, spki in PUBLISHED.items()],
            )
        )
        rest = self.payload[request.offset_bytes :]
        for number, at in enumerate(range(0, len(rest), CHUNK)):
            if number == cut:
                raise refuse(why)
            yield pb.DownloadExportResponse(chunk=rest[at : at + CHUNK])
        yield pb.DownloadExportResponse(tail=pb.DownloadTail(sent_bytes=len(rest)))

    def receive(self, request, token):
        self._check(token)
        self.asked.append(request)
        self.ticket.state = pb.EXPORT_STATE_RECEIVED
        self._lose("receive")
        return pb.ReceiveExportResponse(ticket=self.ticket)

    def release(self, _, token):
        self._check(token)
        self.releases += 1
        self.ticket.state = pb.EXPORT_STATE_RELEASED
        self._lose("release")
        return pb.ReleaseExportResponse(ticket=self.ticket, header=self.header)

    def acknowledge(self, request, token):
        self._check(token)
        self.asked.append(request)
        if "acknowledge" in self.lost:
            self.lost.remove("acknowledge")
            raise refuse(Reason.SHUTTING_DOWN)
        self.ticket.state = pb.EXPORT_STATE_ACKNOWLEDGED
        return pb.AcknowledgeExportResponse(ticket=self.ticket)

    def attest(self, request, token):
        self._check(token)
        self.asked.append(request)
        self.ticket.state = pb.EXPORT_STATE_DESTROYED
        return pb.AttestDestructionResponse(ticket=self.ticket)

    def _lose(self, what):
        """Lose an answer whose effect is there."""
        if what in self.lost:
            self.lost.remove(what)
            raise refuse(Reason.SHUTTING_DOWN)
