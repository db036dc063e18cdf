"""What outsiders try at the door: raw TLS with the wrong certificate, version or address."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.clock import SYSTEM, to_datetime
from gateway.demo.province import Province
from gateway.names import Subject
from gateway.pki import ceremony, issue
from gateway.pki.issue import Authority, Wanted

# How long a stranger waits to be thrown out.
WAIT_S = 5.0
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Papers:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes


def foreign(province: Province, code: str, *, name: str = "somebody else") -> Papers:
    """Return papers for a real organisation's uploader, from an authority of the stranger's own."""
    now = SYSTEM.now_us()
    authority = issue.make_authority("client-authority", name, issue.make_root(name, now), now)
    return _papers(authority, subject_of(province, code), now)


def same_named(province: Province, code: str) -> Papers:
    """Return papers from an authority that bears our client authority's very name."""
    path = province.host.home.client_authority_certificate
    ours = x509.load_pem_x509_certificate(path.read_bytes())
    name = ours.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    now = SYSTEM.now_us()
    key = ec.generate_private_key(ec.SECP256R1())
    root = issue.make_root("stranger", now)
    wanted = Wanted("client-authority", str(name), key.public_key())
    authority = Authority(issue.issue(wanted, root, now), key)
    return _papers(authority, subject_of(province, code), now)


def expired(province: Province, code: str) -> Papers:
    """Return papers of our own authority that ended a minute ago, minted with its key for this."""
    authority = ceremony.client_authority(province.host.home)
    now_us = SYSTEM.now_us()
    key = ec.generate_private_key(ec.SECP256R1())
    good = issue.client_certificate(authority, subject_of(province, code), key.public_key(), now_us)
    ended = to_datetime(now_us) - _MINUTE
    builder = (
        x509.CertificateBuilder(good.issuer, good.subject, good.public_key(), good.serial_number)
        # The authority itself may be a minute old; it is valid from a little before that.
        .not_valid_before(ended - _MINUTE)
        .not_valid_after(ended)
    )
    for extension in good.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return _pem(builder.sign(authority.key, hashes.SHA256()), key)


def of(province: Province, code: str) -> Papers:
    """Return an organisation's true papers."""
    profile = province.members[code].profile
    return Papers(profile.certificate.read_bytes(), profile.key.read_bytes())


async def knock(
    province: Province, address: str, papers: Papers | None, *, tls12: bool = False
) -> str:
    """Try to connect to the intake door and return how it ended: "served" or "thrown out"."""
    context = ssl.create_default_context(cafile=province.host.home.root_certificate)
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    if tls12:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    with _loaded(context, papers):
        try:
            async with asyncio.timeout(WAIT_S):
                first = await _first_frame(address, province.host.ports.intake, context)
        except (OSError, TimeoutError):
            return "thrown out"
    return "served" if first else "thrown out"


async def _first_frame(address: str, port: int, context: ssl.SSLContext) -> bytes:
    """Return the head of HTTP/2's first frame from the server, b"" when it hangs up.

    In TLS 1.3 the client's certificate is judged after the client's own handshake has ended: only
    this frame shows that it was let in.
    """
    reader, writer = await asyncio.open_connection(address, port, ssl=context)
    try:
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        return await reader.read(9)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.contextmanager
def _loaded(context: ssl.SSLContext, papers: Papers | None) -> Iterator[None]:
    if papers is None:
        yield
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / "papers.pem"
        path.touch(mode=0o600)
        path.write_bytes(papers.key + papers.certificate)
        context.load_cert_chain(path)
        yield


def _papers(authority: Authority, subject: Subject, now_us: int) -> Papers:
    key = ec.generate_private_key(ec.SECP256R1())
    return _pem(issue.client_certificate(authority, subject, key.public_key(), now_us), key)


def _pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Papers:
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Papers(certificate.public_bytes(Encoding.PEM), secret)


def subject_of(province: Province, code: str) -> Subject:
    """Return who an organisation's uploading system is in its certificate."""
    domain = province.host.settings.trust_domain
    return Subject(domain, code, "sys", "uploader")
