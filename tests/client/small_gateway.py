"""A gateway of one file for the client's tests: real sockets, real TLS, a real log; no rules, no policy, no store.

It keeps the contract where the client can see it: tokens of limited life, batches stored once by id and digest, receipts with
inclusion proofs and signed checkpoints, refusals as google.rpc.Status. What goes wrong is told to it by the test.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2

from gateway.client import papers, renewal
from gateway.client import profile as profiles
from gateway.client.profile import Profile, Remote
from gateway.client.renewal import Renewal
from gateway.clock import SYSTEM, US_PER_S, Clock
from gateway.config.settings import PortSettings
from gateway.errors import REASONS, Reason, Refusal, refuse
from gateway.tlog import leaf, merkle, note
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.keys import Succession
from gateway.tlog.proof import Proof
from gateway.tlog.witness import AddCheckpoint
from gateway.v1 import audit_service_pb2 as au
from gateway.v1 import identity_service_pb2 as ident
from gateway.v1 import upload_service_pb2 as up

ORGANISATION, ACCOUNT, PASSWORD = "140105", "uploader", "correct horse battery 1A"
SERVER_NAME = "gateway.test"
SPIFFE_ID = f"spiffe://gateway.test/org/{ORGANISATION}/sys/uploader"
DAY_US = 86_400 * US_PER_S
NUMBERS = {
    "CANCELLED": 1, "INVALID_ARGUMENT": 3, "DEADLINE_EXCEEDED": 4, "NOT_FOUND": 5, "ALREADY_EXISTS": 6, "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8, "FAILED_PRECONDITION": 9, "UNIMPLEMENTED": 12, "INTERNAL": 13, "UNAVAILABLE": 14, "UNAUTHENTICATED": 16,
}  # fmt: skip


class Log:
    """A log in memory."""

    def __init__(self, name: str = "gateway.test/audit", seed: bytes | None = None) -> None:
        self.signer = note.Signer(name, seed or secrets.token_bytes(32))
        # Those that sign, the newest first, and the notes by which they followed one another.
        self.signers = [self.signer]
        self.notes: list[str] = []
        # What it says of each time it was put back from a backup.
        self.restores: list[str] = []
        self.leaves: list[bytes] = []
        self.hashes: list[bytes] = []

    def append(self, entry: bytes) -> int:
        self.leaves.append(entry)
        self.hashes.append(merkle.leaf_hash(entry))
        return len(self.leaves) - 1

    def follow(self, *, overlap: bool = True) -> note.Signer:
        """Let another key follow; without `overlap` it signs alone from now on."""
        old, new = self.signers[0], note.Signer(self.signer.verifier.name, secrets.token_bytes(32))
        made = Succession(old.verifier, new.verifier, len(self.hashes))
        self.notes.append(made.signed(new, old))
        self.signers = [new, old] if overlap else [new]
        return new

    def node(self, level: int, n: int) -> bytes:
        return merkle.root_of(self.hashes[n << level : (n + 1) << level])

    def checkpoint(self, size: int | None = None) -> str:
        size = len(self.hashes) if size is None else size
        root = merkle.root_of(self.hashes[:size])
        return Checkpoint(self.signer.verifier.name, size, root).signed(*self.signers)

    def proof(self, index: int, size: int | None = None) -> str:
        size = len(self.hashes) if size is None else size
        path = merkle.inclusion_path(self.node, index, size)
        return Proof(index, tuple(path), self.checkpoint(size)).text()


@dataclass
class Papers:
    """The certificates of a test."""

    root: bytes
    server: tuple[bytes, bytes]
    client: tuple[bytes, bytes]
    authority: tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


def make_papers() -> Papers:
    root_key, root = certificate("root", None, None)
    server = certificate(SERVER_NAME, root, root_key)
    client = certificate("client", root, root_key, uri=SPIFFE_ID)
    return Papers(
        pem(root),
        (_key(server[0]), pem(server[1])),
        (_key(client[0]), pem(client[1])),
        (root_key, root),
    )


@dataclass
class SmallGateway:
    """The gateway. `faults` are called one by one, each before a batch is answered; they may raise a Refusal."""

    papers: Papers = field(default_factory=make_papers)
    log: Log = field(default_factory=Log)
    clock: Clock = SYSTEM
    token_life_s: float = 600.0
    faults: list[Callable[[up.UploadBatchesRequest], Refusal | None]] = field(default_factory=list)
    # After the commit of a batch and before its answer.
    lose_answers: int = 0
    change_receipt: Callable[[up.BatchReceipt], None] | None = None
    stored: dict[str, tuple[bytes, up.BatchReceipt]] = field(default_factory=dict)
    batches: list[up.UploadBatchesRequest] = field(default_factory=list)
    tokens: dict[str, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    # Called when a batch is stored.
    committed: Callable[[], None] | None = None
    audit_away: bool = False
    origin: str = "proven"
    # Whether GetCheckpoint asks for the password again.
    unconfirmed: bool = False
    certificate_warning_days: int = 0
    receipts_log: Log | None = None
    # What was proven lost by receipts; which are refused; why all are.
    presented: list[str] = field(default_factory=list)
    unprovable: set[str] = field(default_factory=set)
    presenting: Reason | None = None
    streams: int = 0
    # What witnesses are asked to cosign (0: the newest) and shown of others, and what they gave.
    offered_size: int = 0
    confirmed: str = ""
    cosignatures: list[tuple[int, str]] = field(default_factory=list)
    witness_unknown: bool = False
    port: int = 0
    _server: grpc.aio.Server | None = None

    def generic_handlers(self) -> tuple[grpc.GenericRpcHandler]:
        return (_Handler(self),)

    async def start(self) -> None:
        self._server = grpc.aio.server(options=(("grpc.max_receive_message_length", 16 << 20),))
        self._server.add_generic_rpc_handlers(self.generic_handlers())
        credentials = grpc.ssl_server_credentials(
            [self.papers.server], self.papers.root, require_client_auth=True
        )
        self.port = self._server.add_secure_port(f"127.0.0.1:{self.port}", credentials)
        await self._server.start()

    async def stop(self) -> None:
        assert self._server is not None
        await self._server.stop(None)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def admit(self, name: str, context: grpc.aio.ServicerContext) -> None:
        """Called before each call; may raise a Refusal."""

    def profile(self, folder: Path) -> Profile:
        profile = profiles.write(
            folder, self.remote(), key=self.papers.client[0], certificate=self.papers.client[1], root=self.papers.root
        )  # fmt: skip
        now_us = self.clock.now_us()
        kept = Renewal.of(papers.read(self.papers.client[1]))
        renewal.save(folder, kept.told((now_us + DAY_US, now_us + DAY_US), now_us))
        return profile

    def remote(self) -> Remote:
        return Remote(
            host="127.0.0.1",
            server_name=SERVER_NAME,
            trust_domain="gateway.test",
            organisation=ORGANISATION,
            account=ACCOUNT,
            log_key=str(self.log.signer.verifier),
            ports=PortSettings(
                identity=self.port, intake=self.port, disclosure=self.port, administration=self.port
            ),
        )

    def records(self) -> list[str]:
        """The ids of the records that were stored, one per record."""
        return [item.vaccination.record_id for batch in self.batches for item in batch.items]

    def methods(self) -> dict[str, tuple[Callable[..., Message], type[Message]]]:
        """The unary methods by wire name: what answers (request, token), and the request's type."""
        return {
            "/gateway.v1.IdentityService/Login": (self.login, ident.LoginRequest),
            "/gateway.v1.IdentityService/RefreshToken": (
                self.refresh,
                ident.RefreshTokenRequest,
            ),
            "/gateway.v1.IdentityService/Logout": (self.logout, ident.LogoutRequest),
            "/gateway.v1.IdentityService/ChangePassword": (
                self.change,
                ident.ChangePasswordRequest,
            ),
            "/gateway.v1.IdentityService/Confirm": (self.confirm, ident.ConfirmRequest),
            "/gateway.v1.IdentityService/WhoAmI": (self.who, ident.WhoAmIRequest),
            "/gateway.v1.IdentityService/Diagnose": (self.diagnose, ident.DiagnoseRequest),
            "/gateway.v1.AuditService/GetCheckpoint": (self.checkpoint, au.GetCheckpointRequest),
            "/gateway.v1.AuditService/GetConsistencyProof": (
                self.consistency,
                au.GetConsistencyProofRequest,
            ),
            "/gateway.v1.AuditService/GetWitnessing": (self.witnessing, au.GetWitnessingRequest),
            "/gateway.v1.AuditService/AddCosignatures": (
                self.cosigned,
                au.AddCosignaturesRequest,
            ),
            "/gateway.v1.UploadService/PresentLostReceipts": (
                self.present,
                up.PresentLostReceiptsRequest,
            ),
        }

    # --- the methods

    def login(self, request: ident.LoginRequest, _: str) -> Message:
        if (request.account_name, request.password) != (ACCOUNT, PASSWORD):
            raise refuse(Reason.LOGIN_FAILED)
        token, expires = self._issue()
        return ident.LoginResponse(access_token=token, expire_time=expires)

    def refresh(self, _request: ident.RefreshTokenRequest, token: str) -> Message:
        self._check(token)
        fresh, expires = self._issue()
        return ident.RefreshTokenResponse(access_token=fresh, expire_time=expires)

    def logout(self, _request: ident.LogoutRequest, token: str) -> Message:
        self._check(token)
        del self.tokens[token]
        return ident.LogoutResponse()

    def change(self, request: ident.ChangePasswordRequest, token: str) -> Message:
        self._check(token)
        if request.old_password != PASSWORD:
            raise refuse(Reason.LOGIN_FAILED)
        fresh, expires = self._issue()
        return ident.ChangePasswordResponse(access_token=fresh, expire_time=expires)

    def confirm(self, request: ident.ConfirmRequest, token: str) -> Message:
        self._check(token)
        if request.password != PASSWORD:
            raise refuse(Reason.LOGIN_FAILED)
        self.unconfirmed = False
        return ident.ConfirmResponse()

    def who(self, _request: ident.WhoAmIRequest, token: str) -> Message:
        self._check(token)
        return ident.WhoAmIResponse(
            organisation_code=ORGANISATION, account_name=ACCOUNT, origin_strength=self.origin
        )

    def diagnose(self, _request: ident.DiagnoseRequest, _token: str) -> Message:
        """This gateway has no opinion, and suggests no window."""
        return ident.DiagnoseResponse(spiffe_id=SPIFFE_ID)

    def consistency(self, request: au.GetConsistencyProofRequest, token: str) -> Message:
        self._check(token)
        if self.audit_away:
            raise refuse(Reason.AUDIT_DEGRADED, retry_after_s=0.01)
        if request.new_size > len(self.log.hashes):
            raise refuse(Reason.FIELD_INVALID)
        path = merkle.consistency_path(self.log.node, request.old_size, request.new_size)
        return au.GetConsistencyProofResponse(hashes=path, new_size=request.new_size)

    def witnessing(self, request: au.GetWitnessingRequest, token: str) -> Message:
        self._check(token)
        self.log.append(secrets.token_bytes(8))
        size, old = self.offered_size or len(self.log.hashes), request.old_size
        path = merkle.consistency_path(self.log.node, old, size) if old <= size else []
        return au.GetWitnessingResponse(
            add_checkpoint=AddCheckpoint(old, tuple(path), self.log.checkpoint(size)).text(),
            log_keys=self.log.notes,
            confirmed=self.confirmed,
            restores=self.log.restores,
        )

    def cosigned(self, request: au.AddCosignaturesRequest, token: str) -> Message:
        self._check(token)
        if self.witness_unknown:
            raise refuse(Reason.WITNESS_UNKNOWN)
        self.cosignatures += [(request.size, line) for line in request.cosignatures]
        return au.AddCosignaturesResponse()

    def checkpoint(self, _request: au.GetCheckpointRequest, token: str) -> Message:
        self._check(token)
        if self.unconfirmed:
            raise refuse(Reason.CONFIRMATION_NEEDED)
        if self.audit_away:
            raise refuse(Reason.AUDIT_DEGRADED, retry_after_s=0.01)
        self.log.append(secrets.token_bytes(8))
        return au.GetCheckpointResponse(
            checkpoint=self.log.checkpoint(), log_keys=self.log.notes, restores=self.log.restores
        )

    def present(self, request: up.PresentLostReceiptsRequest, token: str) -> Message:
        self._check(token)
        self.calls.append("present")
        if self.presenting is not None:
            raise refuse(self.presenting)
        names = [each.request_id for each in request.receipts]
        if set(names) & self.unprovable:
            raise refuse(Reason.RECEIPT_INVALID)
        self.presented += names
        return up.PresentLostReceiptsResponse(added=len(names))

    def upload(self, raw: bytes, token: str) -> up.UploadBatchesResponse:
        self._check(token)
        request = up.UploadBatchesRequest.FromString(raw)
        if self.faults:
            refusal = self.faults.pop(0)(request)
            if refusal is not None:
                raise refusal
        digest = hashlib.sha256(raw).digest()
        known = self.stored.get(request.request_id)
        if known is not None and known[0] != digest:
            raise refuse(Reason.REQUEST_ID_REUSED)
        if known is None:
            self.stored[request.request_id] = (digest, self._commit(request, raw))
            self.batches.append(request)
            if self.committed is not None:
                self.committed()
        receipt = up.BatchReceipt()
        receipt.CopyFrom(self.stored[request.request_id][1])
        log = self.receipts_log or self.log
        receipt.proof = log.proof(log.leaves.index(receipt.leaf))
        if self.change_receipt is not None:
            self.change_receipt(receipt)
        return up.UploadBatchesResponse(
            receipt=receipt, certificate_warning_days=self.certificate_warning_days
        )

    def _commit(self, request: up.UploadBatchesRequest, raw: bytes) -> up.BatchReceipt:
        salt = secrets.token_bytes(16)
        document: dict[str, leaf.Json] = {
            "kind": "upload",
            "decision": "allow",
            "organisation": ORGANISATION,
            "unit": request.unit_code,
            "sequence": request.sequence,
            "request_id": request.request_id,
            "commitment": hashlib.sha256(salt + raw).hexdigest(),
            "counts": {"accepted": len(request.items)},
        }
        entry = leaf.encode(document)
        for log in (self.log, self.receipts_log):
            if log is not None:
                log.append(entry)
        results = [
            up.ItemResult(
                index=index, record_id=item.vaccination.record_id, state=up.ITEM_STATE_ACCEPTED
            )
            for index, item in enumerate(request.items)
        ]
        return up.BatchReceipt(
            request_id=request.request_id,
            sequence=request.sequence,
            items=results,
            leaf=entry,
            salt=salt,
        )

    def _issue(self) -> tuple[str, Timestamp]:
        token = secrets.token_urlsafe(16)
        expire_us = self.clock.now_us() + round(self.token_life_s * US_PER_S)
        self.tokens[token] = expire_us
        moment = Timestamp()
        moment.FromMicroseconds(expire_us)
        return token, moment

    def _check(self, token: str) -> None:
        if token not in self.tokens:
            raise refuse(Reason.SESSION_UNKNOWN)
        if self.tokens[token] <= self.clock.now_us():
            raise refuse(Reason.TOKEN_EXPIRED)


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, gateway: SmallGateway) -> None:
        self.gateway = gateway
        self.unary = gateway.methods()

    def service(self, handler_call_details):
        name = handler_call_details.method

        async def serve(messages: AsyncIterator[bytes], context) -> AsyncIterator[bytes]:
            metadata = dict(context.invocation_metadata())
            token = metadata.get("authorization", "").removeprefix("Bearer ")
            self.gateway.calls.append(name.rpartition("/")[2])
            try:
                self.gateway.admit(name, context)
                if name in self.unary:
                    method, kind = self.unary[name]
                    async for raw in messages:
                        self.gateway.admit(name, context)
                        answer = method(kind.FromString(raw), token)
                        for one in [answer] if isinstance(answer, Message) else answer:
                            yield one.SerializeToString()
                else:
                    self.gateway.streams += 1
                    async for raw in messages:
                        self.gateway.admit(name, context)
                        answer = self.gateway.upload(raw, token)
                        await asyncio.sleep(0)
                        if self.gateway.lose_answers:
                            self.gateway.lose_answers -= 1
                            raise refuse(Reason.SHUTTING_DOWN, retry_after_s=0.01)
                        yield answer.SerializeToString()
            except Refusal as refusal:
                self._refuse(context, refusal)
                return
            context.set_trailing_metadata(
                (("gateway-checkpoint-bin", self.gateway.log.checkpoint().encode()),)
            )

        return grpc.stream_stream_rpc_method_handler(serve)

    def _refuse(self, context, refusal: Refusal) -> None:
        status = status_pb2.Status(
            code=NUMBERS[refusal.code], message=REASONS[refusal.reason].english
        )
        info = error_details_pb2.ErrorInfo(reason=refusal.reason.value, domain="gateway.test")
        status.details.add().Pack(info)
        if refusal.retry_after_s is not None:
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromNanoseconds(round(refusal.retry_after_s * 1e9))
            status.details.add().Pack(retry)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.set_code(grpc.StatusCode[refusal.code])
        context.set_details(status.message)


def certificate(name, issuer, issuer_key, *, uri=None, public=None, until=None):
    """Return a key and its certificate; `public`: for that public key; `until`: the end of its life, else in an hour."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(public or key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(until or now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is not None:
        names = [x509.DNSName(SERVER_NAME), x509.IPAddress(ip_address("127.0.0.1"))]
        if uri is not None:
            names = [x509.UniformResourceIdentifier(uri)]
        usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    return key, builder.sign(issuer_key or key, hashes.SHA256())


def pem(certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key(key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
