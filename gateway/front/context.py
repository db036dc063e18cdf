"""The TLS contexts: TLS 1.3 only, no resumption; the doors' ask for a certificate, enrolment's not.

A context is immutable once used (pyOpenSSL refuses to change one), so a new list or a new server
certificate makes new ones; connections that stand keep theirs. They are made from files:

    the client authorities' certificates   one or more; each is an anchor, there is no other
    their revocation lists                 one of each, signed by it, its number never smaller
    the server's key and chain             root-issued; renewed while the gateway runs
    the roots' certificates                the one above the server's is told to whoever enrols
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import Certificate, CertificateRevocationList
from OpenSSL import SSL, crypto

from gateway.clock import Clock, from_datetime
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.config.strict import SettingsError
from gateway.errors import Reason, refuse
from gateway.pki import authorities, ceremony, crl, der, keys
from gateway.pki.paths import Trust, fill, signed_by
from gateway.pki.verify import Verifier

H2 = b"h2"
HTTP = b"http/1.1"
# Hybrid first: what is recorded today must stay closed to a quantum computer (FIPS 203).
CIPHERS = b"TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
# Not CRL_CHECK: OpenSSL would hash and verify the whole list at each handshake, 4 ms with 100,000
# entries. The verifier asks the list (`pki.paths.Lists`) before anybody is admitted.
_STRICT = crypto.X509StoreFlags.X509_STRICT | crypto.X509StoreFlags.PARTIAL_CHAIN

VerifyCallback = Callable[[SSL.Connection, crypto.X509, int, int, int], bool]
# Chooses among the protocols that a client offers (ALPN), or raises.
Choose = Callable[[SSL.Connection, list[bytes]], bytes]


class ContextError(Exception):
    """The files give no context: which one is wrong, and how. The context in use stays."""


@dataclass(frozen=True, slots=True)
class Files:
    """The content of the files, read together."""

    anchors: bytes
    crls: bytes
    key: bytes
    chain: bytes
    root: bytes

    @classmethod
    def read(cls, home: Home) -> "Files":
        """Read them; raises ContextError."""
        return cls(*(_content(path) for path in _paths(home)))


@dataclass(frozen=True, slots=True)
class Listed:
    """An authority's revocation list: its number, and its times in microseconds.

    `issuer_sha256` is the SHA-256 of the authority's key.
    """

    issuer_sha256: bytes
    number: int
    made_us: int
    ends_us: int

    def late_us(self, share: float) -> int:
        """Return from when on it is late: after so much of its life it should be signed anew."""
        return self.made_us + round((self.ends_us - self.made_us) * share)


@dataclass(frozen=True, slots=True)
class Terms:
    """What judges a handshake and what comes after, all of the same files.

    `context` is the doors', `administration` that door's, `enrolment` the other listener's, `root`
    the root above the server's certificate, PEM; `lists` stand in the order of the authorities.
    """

    context: SSL.Context
    administration: SSL.Context
    enrolment: SSL.Context
    verifier: Verifier
    lists: tuple[Listed, ...]
    root: bytes

    @property
    def crl_number(self) -> int:
        """The number of the first authority's list, the one that issues."""
        return self.lists[0].number

    @property
    def issuers(self) -> frozenset[bytes]:
        """The authorities, by the SHA-256 of their keys."""
        return frozenset(one.issuer_sha256 for one in self.lists)


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
        self._unread = ""
        self.current = terms(Files.read(home), home, settings, clock, callback)

    def refresh(self) -> bool:
        """Load again when a file changed; returns whether there is new terms.

        Raises ContextError when what is there now gives none; the one in force stays. What could
        not be read is read again each time, and told once.
        """
        state = self._state()
        if state == self._seen:
            self._unread = ""
            return False
        try:
            files = Files.read(self._home)
        except ContextError as error:
            told, self._unread = self._unread, str(error)
            if told == self._unread:
                return False
            raise
        self._seen, self._unread = state, ""
        before = self.current.lists
        self.current = terms(files, self._home, self._settings, self._clock, self._callback, before)
        return True

    def _state(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in _paths(self._home)]


def terms(
    files: Files,
    home: Home,
    settings: Settings,
    clock: Clock,
    callback: VerifyCallback,
    before: Sequence[Listed] = (),
) -> Terms:
    """Return the terms that these files make; raises ContextError.

    A list with a smaller number than the one of `before`, of another issuer or with a wrong
    signature is refused. One that is out of date is not: then every handshake by it is.
    """
    try:
        anchors = der.certificates(files.anchors)
        found = der.revocation_lists(files.crls)
        chain = der.certificates(files.chain)
        key = authorities.fitting(files.key, chain[0], home)
        crls = _paired(anchors, found)
        roots = der.certificates(files.root)
        lists = tuple(_listed(*pair) for pair in zip(anchors, crls, strict=True))
    except (der.MalformedError, SettingsError, ValueError, TypeError) as error:
        raise ContextError(f"a file cannot be read: {error}") from None
    _check_numbers(lists, before)
    if key is None:
        raise ContextError("the server's key is not its certificate's")
    others = tuple(one for one in anchors if not authorities.is_ours(one, roots))
    trust = Trust(tuple(anchors), crls, external=others)
    try:
        return Terms(
            _context(_Server(key, chain), trust, callback),
            _context(_Server(key, chain), trust, callback, _http_or_h2),
            _context(_Server(key, chain), None, callback),
            Verifier(trust, settings.trust_domain, clock),
            lists,
            ceremony.pem(authorities.shown_root(roots, chain)),
        )
    except (SSL.Error, crypto.Error, SettingsError) as error:
        raise ContextError(f"OpenSSL does not take the files: {error}") from None


def _paired(
    anchors: Sequence[Certificate], found: Sequence[CertificateRevocationList]
) -> tuple[CertificateRevocationList, ...]:
    """Return the list of each anchor: exactly one each. Else ContextError.

    One left over is of an authority that is not trusted yet, or no more (`pki.rollover`).
    """
    if len({keys.spki_sha256(one.public_key()) for one in anchors}) != len(anchors):
        raise ContextError("a client authority stands there twice")
    paired = []
    for anchor in anchors:
        own = signed_by(anchor, found)
        if len(own) != 1:
            raise ContextError("a client authority without a revocation list that it signed")
        paired += own
    return tuple(paired)


def _listed(anchor: Certificate, revoked: CertificateRevocationList) -> Listed:
    if revoked.next_update_utc is None:
        raise der.MalformedError("a revocation list without an end")
    return Listed(
        keys.spki_sha256(anchor.public_key()),
        crl.number_of(revoked),
        from_datetime(revoked.last_update_utc + crl.BACKDATE),
        from_datetime(revoked.next_update_utc),
    )


def _check_numbers(lists: Sequence[Listed], before: Sequence[Listed]) -> None:
    least = {one.issuer_sha256: one.number for one in before}
    for one in lists:
        if one.number < least.get(one.issuer_sha256, 0):
            number = least[one.issuer_sha256]
            raise ContextError(f"the revocation list has number {one.number}, after {number}")


@dataclass(frozen=True, slots=True)
class _Server:
    """What the gateway itself shows: its key, its certificate and what stands above."""

    key: ec.EllipticCurvePrivateKey
    chain: Sequence[Certificate]


def _only_h2(_: SSL.Connection, offered: list[bytes]) -> bytes:
    """Choose h2; raising ends the handshake. Who offers nothing at all is refused after it."""
    if H2 not in offered:
        raise refuse(Reason.TLS_NO_H2)
    return H2


def _http_or_h2(connection: SSL.Connection, offered: list[bytes]) -> bytes:
    """Choose HTTP/1.1 wherever it is offered, as readers of the log's files do, else h2.

    A client of grpc offers h2 alone; one of HTTP mostly both.
    """
    return HTTP if HTTP in offered else _only_h2(connection, offered)


def _context(
    server: _Server, trust: Trust | None, callback: VerifyCallback, protocol: Choose = _only_h2
) -> SSL.Context:
    """Return a context; without `trust` it asks for no certificate."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_tls13_ciphersuites(CIPHERS)
    # Without tickets and cache nobody resumes: each connection shows its certificate anew.
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # An idle connection gives its buffers back: 2,000 of them would hold 70 MiB.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.use_privatekey(server.key)
    context.use_certificate(server.chain[0])
    for above in server.chain[1:]:
        context.add_extra_chain_cert(above)
    if trust is None:
        context.set_alpn_select_callback(_h2_or_http)
        return context
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, callback)
    context.set_alpn_select_callback(protocol)
    store = context.get_cert_store()
    if store is None:
        raise ContextError("no certificate store")
    fill(store, replace(trust, crls=()), _STRICT)
    # No list of acceptable authorities is sent: a stranger shows what it has, and the leaf tells.
    return context


def _h2_or_http(connection: SSL.Connection, offered: list[bytes]) -> bytes:
    """Choose h2, else HTTP/1.1: whoever asks for the root's certificate with any tool."""
    return HTTP if HTTP in offered and H2 not in offered else _only_h2(connection, offered)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ContextError(f"{path.name}: {error.strerror}") from None


def _paths(home: Home) -> tuple[Path, ...]:
    """Return the paths in the order of Files."""
    server = ceremony.server_files(home)
    return home.client_authority_certificate, home.crl, *server, home.root_certificate


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
