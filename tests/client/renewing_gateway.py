"""A small gateway that also renews certificates: generations, first use, clones; and enrols on a listener of its own.

It judges the certificate of each call by its own clock and register, as the soft tier of the front does; TLS itself goes by
the machine's clock, which the tests do not turn.
"""

import asyncio
import ssl
import tempfile
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.client.files import write_private
from gateway.clock import US_PER_S, to_datetime
from gateway.errors import Reason, refuse
from gateway.v1 import certificate_pb2 as ce
from gateway.v1 import enrolment_service_pb2 as en
from gateway.v1 import identity_service_pb2 as ident
from tests.client.small_gateway import (
    ACCOUNT,
    DAY_US,
    ORGANISATION,
    SERVER_NAME,
    SPIFFE_ID,
    SmallGateway,
    certificate,
)

LIFE_US = 14 * DAY_US
_DEFECTIVE_MAY = {"Diagnose", "RenewCertificate"}


@dataclass
class Issued:
    """A certificate of the register."""

    spki: bytes
    der: bytes
    not_before_us: int
    not_after_us: int
    generation: int
    used: bool = False
    state: Reason | None = None


@dataclass
class RenewingGateway(SmallGateway):
    """Also: RenewCertificate, Diagnose, and which certificate each call came with."""

    register: dict[str, Issued] = field(default_factory=dict)
    # (method, generation) of every call, in order.
    came: list[tuple[str, int]] = field(default_factory=list)
    renew_faults: list[Reason] = field(default_factory=list)
    lose_renewals: int = 0
    renew_requests: int = 0
    # Enrolment: codes that are good, and the key that each was used with.
    codes: dict[str, bytes | None] = field(default_factory=dict)
    pending: bool = False
    enrolments: int = 0
    change_enrolment: Callable[[en.EnrolResponse], None] | None = None
    purpose: int = ce.CERTIFICATE_PURPOSE_TLS
    bound: dict[str, str] = field(default_factory=dict)
    presented: str = ""

    def profile(self, folder):
        made = super().profile(folder)
        (folder / "slots" / "renewal.json").unlink()
        leaf = x509.load_pem_x509_certificate(self.papers.client[1])
        if f"{leaf.serial_number:x}" not in self.register:
            now_us = self.clock.now_us()
            self._enter(leaf, now_us, now_us + LIFE_US, 1)
        return made

    def methods(self):
        return {
            **super().methods(),
            "/gateway.v1.IdentityService/Diagnose": (self.diagnose, ident.DiagnoseRequest),
            "/gateway.v1.IdentityService/RenewCertificate": (self.renew, ident.RenewCertificateRequest),
            "/gateway.v1.EnrolmentService/Enrol": (self.enrol, en.EnrolRequest),
        }  # fmt: skip

    # --- the connection

    def admit(self, name, context):
        if name.endswith("/Enrol"):
            return
        shown = x509.load_pem_x509_certificate(context.auth_context()["x509_pem_cert"][0])
        self.presented = f"{shown.serial_number:x}"
        found = self.register[self.presented]
        method = name.rpartition("/")[2]
        self.came.append((method, found.generation))
        defect = self.defect(found)
        if defect is None and not found.used:
            found.used = True
            for other in self.register.values():
                if other is not found and other.state is None:
                    other.state = Reason.CERT_SUPERSEDED
        if defect is not None and method not in _DEFECTIVE_MAY:
            raise refuse(defect)

    def defect(self, found):
        if found.state is not None:
            return found.state
        return Reason.CERT_EXPIRED if found.not_after_us <= self.clock.now_us() else None

    @property
    def generations(self):
        """The generation of every call that carried records."""
        return [generation for method, generation in self.came if method == "UploadBatches"]

    # --- the methods

    def diagnose(self, _request, _token):
        found = self.register[self.presented]
        defect = self.defect(found)
        return ident.DiagnoseResponse(
            spiffe_id=SPIFFE_ID,
            serial=self.presented,
            reason=defect or "",
            text_en="what is wrong, and what to do" if defect else "",
            text_zh="哪里不对，该怎么办" if defect else "",
            expire_time=stamp(found.not_after_us),
            renewal_window=None if defect else self._window(found),
            gateway_time=stamp(self.clock.now_us()),
        )

    def renew(self, request, token):
        self.renew_requests += 1
        if self.renew_faults:
            raise refuse(self.renew_faults.pop(0))
        before = self.register[self.presented]
        if self.defect(before) not in {None, Reason.CERT_EXPIRED}:
            raise refuse(Reason.RENEWAL_CLOSED)
        found = self._issue(request.csr, before.generation + 1)
        if self.lose_renewals:
            self.lose_renewals -= 1
            raise refuse(Reason.SHUTTING_DOWN, retry_after_s=0.01)
        answer = ident.RenewCertificateResponse(certificate=self._told(found))
        if token:
            self._check(token)
            fresh, expires = self._issue_token()
            self.bound[fresh] = serial_of(found.der)
            answer.access_token = fresh
            answer.token_expire_time.CopyFrom(expires)
        return answer

    def enrol(self, request, _token):
        self.enrolments += 1
        if request.code not in self.codes:
            raise refuse(Reason.CODE_INVALID)
        spki = spki_of(request.csr)
        if self.codes[request.code] not in {None, spki}:
            raise refuse(Reason.CODE_BURNT)
        self.codes[request.code] = spki
        if self.pending:
            raise refuse(Reason.APPROVAL_PENDING)
        found = self._issue(request.csr, 1)
        if self.lose_renewals:
            self.lose_renewals -= 1
            raise refuse(Reason.SHUTTING_DOWN, retry_after_s=0.01)
        answer = en.EnrolResponse(
            certificate=self._told(found),
            purpose=self.purpose,
            spiffe_id=SPIFFE_ID,
            organisation_code=ORGANISATION,
            account_name=ACCOUNT,
            trust_domain="gateway.test",
            server_name=SERVER_NAME,
            log_key=str(self.log.signer.verifier),
            identity_port=self.port,
            intake_port=self.port,
            disclosure_port=self.port,
            administration_port=self.port,
        )
        if self.change_enrolment is not None:
            self.change_enrolment(answer)
        return answer

    def _issue_token(self):
        return super()._issue()

    def login(self, request, token):
        answer = super().login(request, token)
        self.bound[answer.access_token] = self.presented
        return answer

    def refresh(self, request, token):
        answer = super().refresh(request, token)
        self.bound[answer.access_token] = self.presented
        return answer

    def _check(self, token):
        super()._check(token)
        if self.bound.get(token) != self.presented:
            raise refuse(Reason.TOKEN_INVALID)

    def _issue(self, csr=None, generation=0):
        if csr is None:
            return super()._issue()
        spki = spki_of(csr)
        for found in self.register.values():
            if found.spki == spki:
                return found
        for found in self.register.values():
            if found.state is None and not found.used:
                found.state = Reason.CERT_SUPERSEDED
        key, root = self.papers.authority
        now_us = self.clock.now_us()
        until = to_datetime(now_us + LIFE_US)
        public = x509.load_der_x509_csr(csr).public_key()
        _, leaf = certificate("client", root, key, uri=SPIFFE_ID, public=public, until=until)
        return self._enter(leaf, now_us, now_us + LIFE_US, generation)

    def _enter(self, leaf, not_before_us, not_after_us, generation):
        der = leaf.public_bytes(serialization.Encoding.DER)
        spki = hashed(leaf.public_key())
        found = Issued(spki, der, not_before_us, not_after_us, generation)
        self.register[serial_of(der)] = found
        return found

    def _window(self, found):
        life = found.not_after_us - found.not_before_us
        start = found.not_before_us + round(0.4 * life)
        return ce.RenewalWindow(start_time=stamp(start), end_time=stamp(start + round(0.2 * life)))

    def _told(self, found):
        return ce.IssuedCertificate(
            certificate=found.der,
            serial=serial_of(found.der),
            expire_time=stamp(found.not_after_us),
            renewal_window=self._window(found),
            generation=found.generation,
        )

    # --- the enrolment listener

    @asynccontextmanager
    async def enrolling(self, papers=None, root=None):
        """Serve enrolment; gives the port. `papers`: whose server certificate; `root`: what /root.pem shows."""
        own = papers or self.papers
        server = grpc.aio.server()
        server.add_generic_rpc_handlers(self.generic_handlers())
        inner = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["h2", "http/1.1"])
        with tempfile.TemporaryDirectory() as folder:
            write_private(Path(folder, "server.pem"), own.server[0] + own.server[1])
            context.load_cert_chain(Path(folder, "server.pem"))

        serving = set()

        async def accept(reader, writer):
            serving.add(asyncio.current_task())
            chosen = writer.get_extra_info("ssl_object").selected_alpn_protocol()
            if chosen == "h2":
                await relay(reader, writer, inner)
                return
            await reader.readuntil(b"\r\n\r\n")
            body = root or own.root
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)  # fmt: skip
            await writer.drain()
            await ended(writer)

        listening = await asyncio.start_server(
            accept, "127.0.0.1", 0, ssl=context, ssl_shutdown_timeout=0.5
        )
        try:
            yield listening.sockets[0].getsockname()[1]
        finally:
            listening.close()
            await server.stop(None)
            await asyncio.gather(*serving, return_exceptions=True)


async def relay(reader, writer, port):
    """Carry bytes both ways until one side ends."""
    inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)

    async def pump(source, sink):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()

    pumps = [
        asyncio.create_task(pump(reader, inner_writer)),
        asyncio.create_task(pump(inner_reader, writer)),
    ]
    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    for task in pumps:
        task.cancel()
    await asyncio.gather(*pumps, return_exceptions=True)
    for sink in (inner_writer, writer):
        await ended(sink)


async def ended(writer):
    """Close a connection and wait until it is."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def stamp(us):
    moment = Timestamp()
    moment.FromMicroseconds(us)
    return moment


def serial_of(der):
    return f"{x509.load_der_x509_certificate(der).serial_number:x}"


def hashed(key):
    encoded = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    digest = hashes.Hash(hashes.SHA256())
    digest.update(encoded)
    return digest.finalize()


def spki_of(csr):
    request = x509.load_der_x509_csr(csr)
    assert request.is_signature_valid
    return hashed(request.public_key())


def seconds(days):
    return days * DAY_US / US_PER_S
