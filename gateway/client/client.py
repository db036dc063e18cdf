"""One profile at work: its channels, session and checkpoints, and the calls that need a token."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from google.protobuf.message import Message
from grpc import aio

from gateway.client import witnessing
from gateway.client.channel import Channels
from gateway.client.checkpoints import KEY_UNKNOWN, Checkpoints, LogError
from gateway.client.own_secret import OwnSecret
from gateway.client.profile import Profile
from gateway.client.restored import Followed, Restores
from gateway.client.rotate import Rotation
from gateway.client.secret import Secret
from gateway.client.session import SESSION_OVER, Session
from gateway.client.witness import Witness
from gateway.client.witnessing import Cosigned
from gateway.clock import SYSTEM, Clock
from gateway.errors import Reason, Refusal
from gateway.v1 import audit_service_pb2 as v1
from gateway.v1 import identity_service_pb2
from gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from gateway.v1.audit_service_pb2_grpc import AuditServiceStub
from gateway.v1.export_service_pb2_grpc import ExportServiceStub
from gateway.v1.identity_service_pb2_grpc import IdentityServiceStub
from gateway.v1.upload_service_pb2_grpc import UploadServiceStub

if TYPE_CHECKING:  # these exist in the stubs only
    from gateway.v1.admin_service_pb2_grpc import AdminServiceAsyncStub
    from gateway.v1.audit_service_pb2_grpc import AuditServiceAsyncStub
    from gateway.v1.export_service_pb2_grpc import ExportServiceAsyncStub
    from gateway.v1.upload_service_pb2_grpc import UploadServiceAsyncStub

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

# How often a long upload proves that the log goes on as it was; each proof is a call with its leaf.
SETTLE_EVERY_S = 60.0
# So often an idle client looks whether its certificate is to be renewed, or another process of the
# profile waits for it to close the old one's connections.
_LOOK_EVERY_S = 60.0


class Client:
    """A profile's side of the gateway; to be used as `async with`, within one event loop."""

    def __init__(
        self,
        profile: Profile,
        *,
        clock: Clock = SYSTEM,
        password: Callable[[], Secret] | None = None,
        own_connection: bool = False,
    ) -> None:
        """Open nothing yet; raises LogError when what the profile keeps of the log is not sound."""
        self.profile, self.clock = profile, clock
        self.checkpoints = Checkpoints(profile)
        self.restores = Restores(profile, self.checkpoints)
        # The restores of the log that were followed since, for the user to be told of.
        self.followed: list[Followed] = []
        # Whether it was asked since we are at work if the log was restored.
        self.looked_back = False
        self.witness = Witness.of(profile)
        # Why the log did not take our witness's lines the last time, for the user to be told of.
        self.uncosigned: Refusal | None = None
        self.channels = Channels(profile, own_connection=own_connection, seen=self._seen)
        self.session = Session(self.channels, clock=clock, password=password)
        self.rotation = Rotation(self.channels, self.session, clock=clock)
        self.own_secret = OwnSecret(self.channels, self.session, clock=clock)
        self.channels.mend = self.rotation.mend
        # A reply's checkpoint of a key that is unknown here, or that contradicts what is; or "".
        self._strange = ""
        self._looking: asyncio.TimerHandle | None = None
        self._settling = asyncio.Lock()
        self._settle_at = clock.monotonic() + SETTLE_EVERY_S

    async def __aenter__(self) -> Self:
        self._look_later()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._looking is not None:
            self._looking.cancel()
        await self.settled()
        try:
            if kind is None:
                await self._learn_at_the_end()
        finally:
            self.checkpoints.save()
            await self.channels.close()

    @property
    def uploads(self) -> "UploadServiceAsyncStub":
        """The upload service."""
        return UploadServiceStub(self.channels.to("intake"))

    @property
    def admin(self) -> "AdminServiceAsyncStub":
        """The administration service."""
        return AdminServiceStub(self.channels.to("administration"))

    @property
    def audit(self) -> "AuditServiceAsyncStub":
        """The audit service."""
        return AuditServiceStub(self.channels.to("administration"))

    @property
    def exports(self) -> "ExportServiceAsyncStub":
        """The service of tickets and what they let out."""
        return ExportServiceStub(self.channels.to("disclosure"))

    async def call(
        self, rpc: aio.UnaryUnaryMultiCallable[Request, Response], request: Request
    ) -> Response:
        """Return the answer to a call with our token; raises LogError as `learn_keys` does.

        A session that ended is renewed once; a password that is asked for again is given once.
        """
        response = await self._answer(rpc, request)
        await self.learn_keys()
        return response

    async def _answer(
        self, rpc: aio.UnaryUnaryMultiCallable[Request, Response], request: Request
    ) -> Response:
        self.look()
        token = await self.session.token()
        try:
            return await self.channels.call(rpc, request, token.secret)
        except Refusal as refusal:
            if refusal.reason is Reason.CONFIRMATION_NEEDED:
                await self.session.confirm()
            elif refusal.reason in SESSION_OVER:
                token = await self.session.renew(token)
            else:
                raise
        return await self.channels.call(rpc, request, token.secret)

    def look(self) -> None:
        """Begin in the background what is due for our certificate and our secret."""
        self.rotation.look()
        self.own_secret.look()

    async def settled(self) -> None:
        """Wait until neither is being worked at."""
        await self.own_secret.settled()
        await self.rotation.settled()

    async def settle(self) -> None:
        """Prove that the log goes on as it was kept; raises LogError, or the refusal of a call."""
        async with self._settling:
            self._settle_at = self.clock.monotonic() + SETTLE_EVERY_S
            if not self.checkpoints.unproven and not self._strange:
                return
            # The audit service stands at another door: what both show must be one log.
            self.checkpoints.see((await self._ask()).checkpoint)
            await self.checkpoints.settle(self.consistency)
            await self._vouch()

    async def learn_keys(self, error: LogError | None = None) -> None:
        """Ask which key followed ours, where a reply was signed by one that is unknown here.

        `error` is what it was found by, else whatever came in before. Raises it again, or the
        LogError of a note or checkpoint that proves nothing.
        """
        if error is not None and error.code != KEY_UNKNOWN:
            raise error
        if error is not None or self._strange:
            await self._ask()

    async def look_back(self) -> None:
        """Ask whether the log was restored, before anything is sent; raises as `settle`."""
        if self.checkpoints.kept is not None:
            async with self._settling:
                await self._ask()
        self.looked_back = True

    async def settle_when_due(self) -> None:
        """Settle once a minute; an administration door that is away now is asked again later."""
        self.look()
        if self.clock.monotonic() < self._settle_at or self._settling.locked():
            return
        try:
            await self.settle()
        except Refusal:
            return

    async def cosign(self, own: Witness) -> Cosigned:
        """Have a witness of ours vouch for the log; raises LogError, or the refusal of a call."""
        try:
            return await witnessing.cosign(self, own)
        except OSError as error:
            raise LogError("WITNESS_STATE", f"nothing is cosigned: {error}") from error

    async def ask_witness(self, old_size: int) -> v1.GetWitnessingResponse:
        """Return what the log asks a witness that cosigned so many entries, its keys followed."""
        request = v1.GetWitnessingRequest(old_size=old_size)
        answer = await self.call(self.audit.GetWitnessing, request)
        self.checkpoints.follow(answer.log_keys)
        if self.restores.fresh(answer.restores):
            await self.look_back()
        return answer

    async def give_cosignatures(self, size: int, lines: Sequence[str]) -> None:
        """Hand over a witness's lines upon the checkpoint of a size; raises the refusal."""
        request = v1.AddCosignaturesRequest(
            request_id=str(uuid.uuid4()), size=size, cosignatures=lines
        )
        await self.call(self.audit.AddCosignatures, request)

    async def consistency(self, old: int, new: int) -> Sequence[bytes]:
        """Return the proof that one size is a prefix of another; both are of signed checkpoints.

        Raises LogError with LOG_SHRANK where the log is shorter than what it signed.
        """
        try:
            hashes = await self._hashes(old, new)
            await self.learn_keys()
        except Refusal as refusal:
            if refusal.reason is not Reason.FIELD_INVALID:
                raise
            text = f"the log signed {new} entries and has fewer now"
            raise LogError("LOG_SHRANK", text) from refusal
        return hashes

    async def _hashes(self, old: int, new: int) -> Sequence[bytes]:
        request = v1.GetConsistencyProofRequest(old_size=old, new_size=new)
        return (await self._answer(self.audit.GetConsistencyProof, request)).hashes

    async def diagnose(self) -> identity_service_pb2.DiagnoseResponse:
        """Return what the gateway thinks of our certificate; it answers also where that is bad."""
        stub = IdentityServiceStub(self.channels.to("identity"))
        return await self.channels.call_once(stub.Diagnose, identity_service_pb2.DiagnoseRequest())

    def _look_later(self) -> None:
        def look() -> None:
            self.look()
            self._look_later()

        self._looking = asyncio.get_running_loop().call_later(_LOOK_EVERY_S, look)

    async def _vouch(self) -> None:
        """Cosign where there is a witness; that a call is refused stops no upload, a log does."""
        self.uncosigned = None
        if self.witness is not None:
            try:
                await self.cosign(self.witness)
            except Refusal as refusal:
                self.uncosigned = refusal

    async def _ask(self) -> v1.GetCheckpointResponse:
        """Follow the keys and restores that are told of; then what was strange must be good."""
        answer = await self._answer(self.audit.GetCheckpoint, v1.GetCheckpointRequest())
        self.checkpoints.follow(answer.log_keys)
        found = await self.restores.follow(answer.checkpoint, answer.restores, self._hashes)
        if found is not None:
            self.followed.append(found)
            self.witness = Witness.of(self.profile)
        strange, self._strange = self._strange, ""
        if strange:
            self.checkpoints.see(strange)
        return answer

    async def _learn_at_the_end(self) -> None:
        """Leave nothing strange behind: where nobody can be asked, it is told as what it is."""
        if self._strange and self.session.alive():
            with suppress(Refusal):
                await self.learn_keys()
        if self._strange:
            self.checkpoints.see(self._strange)

    def _seen(self, note: str) -> None:
        try:
            # What contradicts is not judged before it is known whether the log was restored.
            if self.checkpoints.contradicts(note):
                self._strange = note
            else:
                self.checkpoints.see(note)
        except LogError as error:
            if error.code != KEY_UNKNOWN:
                raise
            self._strange = note
