"""The recipient's side of an export: fetch it, sign for it, open it.

1. The sealed payload comes into the profile and goes on where it was cut off (`sealed`).
2. When all of it is there and is what the ticket says, the receipt is signed.
3. Before the key is asked for, which is given so often only, the plaintext has its place and room.
4. The header comes last, and stays in memory; the plaintext lands whole or not at all (`landing`).
   Killed at any moment, the same command goes on from the state that the ticket is in by then.

The gateway is not believed: the plan is read out of its bytes, the encryption certificate must be
our own, manifest and trailer must be signed and speak of this ticket and plan (`manifest`).
"""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.client import approving, attesting, papers, sealed
from gateway.client.client import Client
from gateway.client.delivery import delivery
from gateway.client.landing import Landing
from gateway.client.manifest import Expected, ManifestError, Opened
from gateway.client.profile import Profile
from gateway.client.refusals import outcome_unknown
from gateway.client.sealed import ExportError, Sealed
from gateway.client.session import SESSION_OVER
from gateway.client.tagged import TaggedError, decrypt
from gateway.errors import Reason, Refusal, refuse
from gateway.tlog.leaf import Json
from gateway.v1 import export_service_pb2 as v1

# Without any progress for so long the download gives up; the same command goes on later.
PATIENCE_S = 300.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
# Of such a ticket nothing will ever open: what came of it is noise for good.
_ENDED = frozenset({Reason.TICKET_REVOKED, Reason.TICKET_EXPIRED})
_SIGNED_FOR = frozenset({v1.EXPORT_STATE_RECEIVED, v1.EXPORT_STATE_RELEASED})


@dataclass(frozen=True, slots=True)
class Taken:
    """What was opened: the ticket's plan, the manifest and the trailer, all verified."""

    target: Path
    plan: approving.Shown
    manifest: dict[str, Json]
    trailer: dict[str, Json]


class Download:
    """One ticket's way into one file; `moved` is told how many bytes are there, and of how many."""

    def __init__(
        self,
        client: Client,
        ticket_id: str,
        target: Path,
        *,
        moved: Callable[[int, int], None] = lambda _done, _total: None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Prepare; raises ExportError for what is no ticket's number."""
        self._client, self._ticket_id, self._target = client, ticket_id, target
        self._moved, self._patience_s = moved, patience_s
        self._sealed = Sealed(client.profile, ticket_id)
        self._pause_s, self._renewed = _FIRST_PAUSE_S, False
        self._progress_at = client.clock.monotonic()

    async def run(self) -> Taken:
        """Do what is left to do; raises Refusal, ExportError, LandingError, BusyError, OSError."""
        with Landing(self._target):
            # It can lie there: nothing is fetched for a folder that is not one.
            pass
        with self._sealed:
            while True:
                try:
                    self._client.look()
                    taken = await self._step()
                except Refusal as refusal:
                    if refusal.reason in _ENDED:
                        self._sealed.remove()
                    await self._go_on(refusal)
                else:
                    if taken is not None:
                        self._sealed.remove()
                        return taken

    async def _step(self) -> Taken | None:
        """Do the next thing that the ticket's state asks for; return what was opened, at last."""
        ticket = await attesting.get(self._client, self._ticket_id)
        plan = approving.read(ticket)
        key = _decryption_key(self._client.profile, plan)
        if ticket.state not in _SIGNED_FOR:
            # Of a ticket in any other state the gateway says why not, and notes that we asked.
            await self._fetch(ticket, plan)
            await self._receive(ticket)
            return None
        if self._sealed.settle() != ticket.payload_sha256:
            raise ExportError("PAYLOAD_LOST")
        # The plaintext is shorter than what it was sealed in.
        with Landing(self._target, self._sealed.length) as file:
            request = v1.ReleaseExportRequest(request_id=_new_id(), ticket_id=self._ticket_id)
            answer = await self._client.call(self._client.exports.ReleaseExport, request)
            return self._open(plan, answer.header, key, file)

    async def _fetch(self, ticket: v1.ExportTicket, plan: approving.Shown) -> None:
        """Take what is missing of the payload, in one stream; raises the refusal that ended it."""
        if self._sealed.length > ticket.payload_bytes:
            self._sealed.clear()
        offset = self._sealed.length
        async with delivery(self._client, self._ticket_id, offset) as coming:
            while part := await coming.part():
                match part.WhichOneof("part"):
                    case "head":
                        self._begin(part.head, ticket, plan)
                    case "chunk":
                        self._sealed.append(part.chunk)
                        self._moved(self._sealed.length, ticket.payload_bytes)
                        self._progressed()
                    case _:
                        return
        # Only the tail says that it ended well.
        raise refuse(Reason.FRONT_AWAY)

    def _begin(self, head: v1.DownloadHead, ticket: v1.ExportTicket, plan: approving.Shown) -> None:
        """Compare what is announced with the ticket, and keep the keys for the opening."""
        announced = (head.payload_bytes, head.payload_sha256, head.plan_sha256)
        if announced != (ticket.payload_bytes, ticket.payload_sha256, plan.sha256):
            raise ExportError("PAYLOAD_DIFFERS")
        found = sealed.note(self._client.profile, self._ticket_id)
        found.keys = {one.key_id: one.spki.hex() for one in head.keys}
        sealed.remember(self._client.profile, self._ticket_id, found)

    async def _receive(self, ticket: v1.ExportTicket) -> None:
        """Sign for the payload, once it is on the disk and is the ticket's."""
        digest = self._sealed.settle()
        if digest != ticket.payload_sha256:
            self._sealed.clear()
            raise ExportError("PAYLOAD_DIFFERS")
        profile = self._client.profile
        signed = papers.signed(profile.key.read_bytes(), attesting.receipt(self._ticket_id, digest))
        request = v1.ReceiveExportRequest(
            request_id=_new_id(),
            ticket_id=self._ticket_id,
            payload_sha256=digest,
            signature=signed,
        )
        await self._client.call(self._client.exports.ReceiveExport, request)
        self._progressed()

    def _open(
        self,
        plan: approving.Shown,
        header: bytes,
        key: ec.EllipticCurvePrivateKey,
        file: Landing,
    ) -> Taken:
        """Decrypt into the target, judged on the way; raises ExportError, LandingError."""
        profile = self._client.profile
        found = sealed.note(profile, self._ticket_id)
        keys = {key_id: bytes.fromhex(spki) for key_id, spki in found.keys.items()}
        encryption = str(plan.fields["encryption_certificate_sha256"])
        opened = Opened(Expected(self._ticket_id, plan.sha256, encryption, keys))
        self._sealed.file.seek(0)
        try:
            for piece in opened.rows(decrypt(header, self._sealed.file, key)):
                file.write(piece)
        except (TaggedError, ManifestError) as error:
            raise ExportError("FILE_DIFFERS", error.cause) from error
        found.manifest_sha256 = str(opened.trailer["manifest_sha256"])
        found.file = str(self._target.absolute())
        sealed.remember(profile, self._ticket_id, found)
        file.settle()
        return Taken(self._target, plan, opened.manifest, opened.trailer)

    async def _go_on(self, refusal: Refusal) -> None:
        """Wait where the call is worth repeating; else raise the refusal."""
        if refusal.reason in SESSION_OVER and not self._renewed:
            self._renewed = True
            await self._client.session.renew(await self._client.session.token())
            return
        waited_s = self._client.clock.monotonic() - self._progress_at
        if not outcome_unknown(refusal) or waited_s > self._patience_s:
            raise refusal
        await asyncio.sleep((refusal.retry_after_s or 0.0) + self._pause_s)
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)

    def _progressed(self) -> None:
        self._pause_s, self._renewed = _FIRST_PAUSE_S, False
        self._progress_at = self._client.clock.monotonic()


def _decryption_key(profile: Profile, plan: approving.Shown) -> ec.EllipticCurvePrivateKey:
    """Return the key of the certificate that the plan encrypts to, if it is ours."""
    certificate, key = profile.folder / "encryption.pem", profile.folder / "encryption-key.pem"
    if not (certificate.is_file() and key.is_file()):
        raise ExportError("ENCRYPTION_CERTIFICATE")
    own = papers.read(certificate.read_bytes())
    found = load_pem_private_key(key.read_bytes(), None)
    named = plan.fields["encryption_certificate_sha256"]
    if own.sha256 != named or not isinstance(found, ec.EllipticCurvePrivateKey):
        raise ExportError("ENCRYPTION_CERTIFICATE")
    return found


def _new_id() -> str:
    return str(uuid.uuid4())
