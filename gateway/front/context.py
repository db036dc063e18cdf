"""The TLS context: TLS 1.3 only, no resumption, h2 only, client certificates with revocation list.

A context is immutable once used (pyOpenSSL refuses to change one), so a new list or a new server
certificate makes a new one; connections that stand keep theirs. Contexts are made from files:

    the client authority's certificate   the only anchor
    the revocation list                  signed by that authority, its number never smaller
    the server's key and chain           root-issued; renewed while the gateway runs
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import Certificate, CertificateRevocationList
from OpenSSL import SSL, crypto

from gateway.clock import Clock
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.config.strict import SettingsError
from gateway.errors import Reason, refuse
from gateway.pki import ceremony, crl, der
from gateway.pki.paths import Trust, fill
from gateway.pki.verify import Verifier

H2 = b"h2"
# Hybrid first: what is recorded today must stay closed to a quantum computer (FIPS 203).
CIPHERS = b"TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
_STRICT = (
    crypto.X509StoreFlags.X509_STRICT
    | crypto.X509StoreFlags.PARTIAL_CHAIN
    | crypto.X509StoreFlags.CRL_CHECK
)

VerifyCallback = Callable[[SSL.Connection, crypto.X509, int, int, int], bool]


class ContextError(Exception):
    """The files give no context: which one is wrong, and how. The context in use stays."""


@dataclass(frozen=True, slots=True)
class Files:
    """The content of the four files, read together."""

    anchor: bytes
    crl: bytes
    key: bytes
    chain: bytes

    @classmethod
    def read(cls, home: Home) -> "Files":
        """Read them; raises ContextError."""
        return cls(*(_content(path) for path in _paths(home)))


@dataclass(frozen=True, slots=True)
class Terms:
    """What judges a handshake and what comes after: a context and a verifier of the same files."""

    context: SSL.Context
    verifier: Verifier
    crl_number: int


class CurrentTerms:
    """The terms in force; `refresh` takes new files into use."""

    def __init__(
        self, home: Home, settings: Settings, clock: Clock, callback: VerifyCallback
    ) -> None:
        """Load from this HOME; raises ContextError."""
        self._home = home
        self._settings = settings
        self._clock = clock
        self._callback = callback
        self._seen = self._state()
        self.current = terms(Files.read(home), settings, clock, callback)

    def refresh(self) -> bool:
        """Load again when a file changed; returns whether there is new terms.

        Raises ContextError when what is there now gives none; the one in force stays.
        """
        state = self._state()
        if state == self._seen:
            return False
        self._seen = state
        least = self.current.crl_number
        files = Files.read(self._home)
        self.current = terms(files, self._settings, self._clock, self._callback, least)
        return True

    def _state(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in _paths(self._home)]


def terms(
    files: Files,
    settings: Settings,
    clock: Clock,
    callback: VerifyCallback,
    least_crl_number: int = 0,
) -> Terms:
    """Return the terms that these files make; raises ContextError.

    A list with a smaller number than `least_crl_number`, of another issuer or with a wrong
    signature is refused. One that is out of date is not: then every handshake is.
    """
    try:
        anchor = der.certificates(files.anchor)[0]
        revoked = der.revocation_list(files.crl)
        number = crl.number_of(revoked)
        chain = der.certificates(files.chain)
        key = load_pem_private_key(files.key, None)
    except (der.MalformedError, ValueError, TypeError) as error:
        raise ContextError(f"a file cannot be read: {error}") from None
    if revoked.issuer != anchor.subject or not revoked.is_signature_valid(_public(anchor)):
        raise ContextError("the revocation list is not the client authority's")
    if number < least_crl_number:
        raise ContextError(f"the revocation list has number {number}, after {least_crl_number}")
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != chain[0].public_key():
        raise ContextError("the server's key is not its certificate's")
    try:
        context = _context(anchor, revoked, callback)
        context.use_privatekey(key)
        context.use_certificate(chain[0])
        for above in chain[1:]:
            context.add_extra_chain_cert(above)
        verifier = Verifier(anchor, revoked, settings.trust_domain, clock)
    except (SSL.Error, crypto.Error, SettingsError) as error:
        raise ContextError(f"OpenSSL does not take the files: {error}") from None
    return Terms(context, verifier, number)


def _context(
    anchor: Certificate, revoked: CertificateRevocationList, callback: VerifyCallback
) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_tls13_ciphersuites(CIPHERS)
    # Without tickets and cache nobody resumes: each connection shows its certificate anew.
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # An idle connection gives its buffers back: 2,000 of them would hold 70 MiB.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, callback)
    context.set_alpn_select_callback(_only_h2)
    store = context.get_cert_store()
    if store is None:
        raise ContextError("no certificate store")
    fill(store, Trust((anchor,), (revoked,)), _STRICT)
    # No list of acceptable authorities is sent: a stranger shows what it has, and the leaf tells.
    return context


def _only_h2(_: SSL.Connection, offered: list[bytes]) -> bytes:
    """Choose h2; raising ends the handshake. Who offers nothing at all is refused after it."""
    if H2 not in offered:
        raise refuse(Reason.TLS_NO_H2)
    return H2


def _public(anchor: Certificate) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    key = anchor.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise ContextError("the client authority's key is of no kind that signs lists")
    return key


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ContextError(f"{path.name}: {error.strerror}") from None


def _paths(home: Home) -> tuple[Path, Path, Path, Path]:
    key, chain = ceremony.server_files(home)
    return home.client_authority_certificate, home.crl, key, chain


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
