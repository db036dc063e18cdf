"""Enrolment: from an invitation to a profile, in one command that may be cut off at any moment.

1. The root certificate is fetched, unverified, and is trusted only if it is the one of the pin.
2. The key is made here and written down before it is shown: a lost answer is asked for again with
   the same key, and brings the same certificate.
3. The code and a certificate request go over TLS that is verified with that root.
4. What comes back must be of our key and of the subject that it says; then the profile is written,
   its `profile.toml` last. A profile of the same organisation that exists already goes on with the
   new certificate, and keeps receipts and checkpoints.

Until it is done the folder holds `enrolment-key.pem` and `enrolment.json`; the latter tells
afterwards which code was used.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import re
import ssl
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
from grpc import aio

from gateway.client import papers, renewal, slots
from gateway.client import profile as profiles
from gateway.client.channel import channel, metadata
from gateway.client.files import make_private, write_private
from gateway.client.invitation import Invitation
from gateway.client.papers import Certificate, PapersError
from gateway.client.profile import ProfileError, Remote
from gateway.client.refusals import refusal_of
from gateway.client.renewal import Renewal
from gateway.clock import SYSTEM, Clock
from gateway.config.settings import PortSettings
from gateway.errors import Reason, refuse
from gateway.v1 import certificate_pb2
from gateway.v1 import enrolment_service_pb2 as v1
from gateway.v1.enrolment_service_pb2_grpc import EnrolmentServiceStub

ROOT_MAX_BYTES = 16 * 1024
TIMEOUT_S = 30.0
_SHUTDOWN_S = 1.0
# Enough of a key's fingerprint to name its file by.
_KEY_DIGITS = 16
_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----", re.ASCII
)


class PinMismatchError(Exception):
    """Another root certificate than the invitation's was found there: nothing was sent."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What came of it; `before`: this code had been used by us already, and nothing was done."""

    folder: Path
    certificate: Certificate
    account: str
    encryption: bool = False
    before: bool = False


class Enrolment:
    """One enrolment into a profile's folder."""

    def __init__(
        self, folder: Path, invitation: Invitation, *, account: str = "", clock: Clock = SYSTEM
    ) -> None:
        """Take up what the folder holds of this invitation; `account` wins over the gateway's."""
        self._folder, self._invitation = folder, invitation
        self._account, self._clock = account, clock
        self._state = folder / "enrolment.json"
        self._key_file = folder / "enrolment-key.pem"
        self._encryption = folder / "encryption.pem"
        self._code_sha256 = hashlib.sha256(invitation.code.value.encode()).hexdigest()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the key that the invitation was shown, lower hex."""
        return papers.fingerprint(self._key_file.read_bytes())

    def done(self) -> Enrolled | None:
        """Return what came of this code where it was used here before."""
        kept = self._kept()
        if not kept.get("done"):
            return None
        encryption = bool(kept["encryption"])
        place = self._encryption if encryption else slots.current(self._folder).certificate
        found = papers.read(place.read_bytes())
        return Enrolled(self._folder, found, str(kept["account"]), encryption, before=True)

    async def run(self, timeout_s: float = TIMEOUT_S) -> Enrolled:
        """Enrol; raises PinMismatchError, PapersError, ProfileError, OSError, or the refusal."""
        before = self.done()
        if before is not None:
            return before
        root = await fetch_root(self._invitation, timeout_s)
        key = self._key()
        answer = await self._ask(root, key, timeout_s)
        pem, found = papers.issued(answer.certificate.certificate, key, self._clock.now_us())
        self._expect(answer, found)
        account = self._account or answer.account_name
        encryption = answer.purpose == certificate_pb2.CERTIFICATE_PURPOSE_ENCRYPTION
        if encryption:
            self._write_encryption(root, key, pem)
        else:
            self._write(self._remote(answer, account), root, key, pem)
            self._keep_window(answer, found)
        self._save(done=True, account=account, encryption=encryption)
        self._key_file.unlink()
        return Enrolled(self._folder, found, account, encryption)

    def _key(self) -> bytes:
        """Return the key of this code: the one written down before, or a new one."""
        if self._kept() and self._key_file.exists():
            return self._key_file.read_bytes()
        make_private(self._folder)
        key = papers.new_key()
        write_private(self._key_file, key)
        self._save(request_id=str(uuid.uuid4()))
        return key

    async def _ask(self, root: bytes, key: bytes, timeout_s: float) -> v1.EnrolResponse:
        there = self._invitation
        credentials = grpc.ssl_channel_credentials(root_certificates=root)
        request = v1.EnrolRequest(
            request_id=str(self._kept()["request_id"]),
            code=there.code.value,
            csr=papers.request(key),
        )
        opened = channel(
            there.host, there.port, there.trust_domain, credentials, own_connection=True
        )
        try:
            return await EnrolmentServiceStub(opened).Enrol(request, timeout=timeout_s)
        except aio.AioRpcError as error:
            trailers = metadata(error.trailing_metadata())
            raise refusal_of(error.code(), error.details(), trailers) from None
        finally:
            await opened.close()

    def _expect(self, answer: v1.EnrolResponse, found: Certificate) -> None:
        if (
            str(found.subject) != answer.spiffe_id
            or found.subject.trust_domain != self._invitation.trust_domain
            or found.subject.organisation != answer.organisation_code
        ):
            raise PapersError("the certificate names another subject than the answer")

    def _remote(self, answer: v1.EnrolResponse, account: str) -> Remote:
        return Remote(
            host=self._invitation.host,
            server_name=answer.server_name,
            trust_domain=answer.trust_domain,
            organisation=answer.organisation_code,
            account=account,
            log_key=answer.log_key,
            ports=PortSettings(
                identity=answer.identity_port,
                intake=answer.intake_port,
                disclosure=answer.disclosure_port,
                administration=answer.administration_port,
                enrolment=self._invitation.port,
            ),
        )

    def _write(self, remote: Remote, root: bytes, key: bytes, pem: bytes) -> None:
        """Write a new profile, or give one of the same organisation its next certificate."""
        if not (self._folder / "profile.toml").exists():
            profiles.write(self._folder, remote, key=key, certificate=pem, root=root)
            return
        known = profiles.load(self._folder).remote
        if (known.trust_domain, known.organisation) != (remote.trust_domain, remote.organisation):
            raise ProfileError(f"{self._folder}: the profile is of another organisation or gateway")
        old = slots.current(self._folder)
        make_private(old.after.folder)
        write_private(old.after.key, key)
        write_private(old.after.certificate, pem)
        old.after.token.unlink(missing_ok=True)
        if not slots.exchange(old, old.after):
            raise ProfileError(f"{self._folder}: another process uses the profile; end it first")
        write_private(self._folder / "root.pem", root)
        account = self._account or known.account or remote.account
        profiles.write_remote(self._folder, replace(remote, account=account, log_key=known.log_key))

    def _write_encryption(self, root: bytes, key: bytes, pem: bytes) -> None:
        """Write the new pair; the key before is kept: what is encrypted to it, only it opens."""
        current = self._folder / "encryption-key.pem"
        if current.exists() and (before := current.read_bytes()) != key:
            name = f"encryption-key-{papers.fingerprint(before)[:_KEY_DIGITS]}.pem"
            write_private(self._folder / name, before)
        write_private(current, key)
        write_private(self._encryption, pem)
        if not (self._folder / "root.pem").exists():
            write_private(self._folder / "root.pem", root)

    def _keep_window(self, answer: v1.EnrolResponse, found: Certificate) -> None:
        told, now_us = answer.certificate.renewal_window, self._clock.now_us()
        window = (told.start_time.ToMicroseconds(), told.end_time.ToMicroseconds())
        if any(window):
            renewal.save(self._folder, Renewal.of(found).told(window, now_us))

    def _kept(self) -> dict[str, object]:
        """Return what is kept of this code; nothing of another one's."""
        try:
            kept: dict[str, object] = json.loads(self._state.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return kept if kept.get("code_sha256") == self._code_sha256 else {}

    def _save(self, **kept: object) -> None:
        write_private(self._state, json.dumps({"code_sha256": self._code_sha256, **kept}).encode())


async def fetch_root(invitation: Invitation, timeout_s: float) -> bytes:
    """Return the root certificate (PEM) found at the address, if it is the invitation's.

    TLS itself is not verified: the pin does that. Raises PinMismatchError, and refuses with
    FRONT_AWAY when nobody answers in time.
    """
    try:
        async with asyncio.timeout(timeout_s):
            content = await _fetched(invitation)
    except OSError:  # TimeoutError and ssl.SSLError are of this family
        raise refuse(Reason.FRONT_AWAY) from None
    found = _CERTIFICATE.search(content)
    if found is None:
        raise PinMismatchError
    try:
        der = ssl.PEM_cert_to_DER_cert(found[0].decode())
    except ValueError:
        raise PinMismatchError from None
    if not hmac.compare_digest(hashlib.sha256(der).hexdigest(), invitation.pin):
        raise PinMismatchError
    return ssl.DER_cert_to_PEM_cert(der).encode()


async def _fetched(there: Invitation) -> bytes:
    """Return what is answered to GET /root.pem, headers and all, and no more than a root takes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    reader, writer = await asyncio.open_connection(
        there.host, there.port, ssl=context, ssl_shutdown_timeout=_SHUTDOWN_S
    )
    try:
        writer.write(b"GET /root.pem HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")
        content = b""
        while len(content) < ROOT_MAX_BYTES and (part := await reader.read(ROOT_MAX_BYTES)):
            content += part
        return content
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
