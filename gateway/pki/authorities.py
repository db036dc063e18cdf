"""The authorities whose client certificates are let in, each with its key where that is here.

HOME/public/client-authority.pem holds them in the order of trust: ours, the newest first, which
issues; then those of others (`external`). Ours are those that a root in HOME/public/root.pem
signed: no mark to forge, and the front, which may not read HOME/authority, sees the same.

A key lies in HOME/authority as NAME.key, NAME being the first 16 hex digits of the SHA-256 of its
SubjectPublicKeyInfo; that of `gateway init` as client-authority.key. A file NAME.key without an
authority is pending (`ceremony`). It holds PKCS #8 PEM, or the line `pkcs11:…` (RFC 7512) of a key
that never leaves its token (`hsm`). So a roll-over replaces the bundle and moves no key.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import Certificate

from gateway.clock import SYSTEM, Clock
from gateway.config.home import Home
from gateway.config.strict import SettingsError
from gateway.pki import der, hsm, keys
from gateway.pki.issue import Authority

# Enough of a key's digest to name its file by; where it counts the whole digest is compared.
NAME_DIGITS = 16
# The key that `gateway init` made.
FIRST_KEY = "client-authority.key"
# The front looks for new files every 250 ms, and loads a long list in half a second.
SETTLE_S = 2.0
_PEM_END = b"-----END PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class Anchor:
    """An authority that is trusted for clients; `key` is None for an external one."""

    certificate: Certificate
    ours: bool
    key: ec.EllipticCurvePrivateKey | None = None
    # The digest of its key, `issuer_sha256` in the register, 32 bytes; asked for at every call.
    spki_sha256: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Take the digest once."""
        digest = keys.spki_sha256(self.certificate.public_key())
        object.__setattr__(self, "spki_sha256", digest)

    @property
    def name(self) -> str:
        """The name of its files, 16 hex digits."""
        return self.spki_sha256.hex()[:NAME_DIGITS]

    @property
    def authority(self) -> Authority:
        """What signs; raises SettingsError where the key is not here."""
        if self.key is None:
            raise SettingsError(f"HOME/authority: not the key of the authority {self.name}")
        return Authority(self.certificate, self.key)


def load(home: Home) -> tuple[Anchor, ...]:
    """Return every trusted authority in the bundle's order.

    Raises SettingsError when a file is not as it must be, OSError when one cannot be read.
    """
    found = read(home.client_authority_certificate)
    own = roots(home)
    return tuple(_anchor(home, certificate, own) for certificate in found)


def roots(home: Home) -> list[Certificate]:
    """Return our roots, the newest first; raises SettingsError, OSError."""
    return read(home.root_certificate)


def shown_root(own: Sequence[Certificate], chain: Sequence[Certificate]) -> Certificate:
    """Return the root above the front's chain (leaf first): a new client checks the front by it.

    While a root is being followed that is the old one, until the front's own certificate has gone
    over; where none signed the chain, the newest.
    """
    return next((root for root in own if _signed_by(chain[-1], root)), own[0])


def issuing(anchors: Sequence[Anchor]) -> Authority:
    """Return the authority that issues: the first, where it is ours. Raises SettingsError."""
    if not anchors or not anchors[0].ours:
        raise SettingsError("no authority of ours: certificates come from the external one")
    return anchors[0].authority


def oldest(anchors: Sequence[Anchor]) -> Anchor | None:
    """Return our oldest authority, to which a register row without issuer belongs; None: none."""
    return next((anchor for anchor in reversed(anchors) if anchor.ours), None)


def is_external(anchors: Sequence[Anchor], issuer_sha256: bytes | None) -> bool:
    """Return whether the authority of a register row is trusted and not ours."""
    issuer = _issuer(anchors, issuer_sha256)
    return any(not one.ours and one.spki_sha256 == issuer for one in anchors)


def _issuer(anchors: Sequence[Anchor], issuer_sha256: bytes | None) -> bytes | None:
    """Return whose key a row names: without issuer it is of our oldest authority."""
    first = oldest(anchors)
    return issuer_sha256 or (first.spki_sha256 if first else None)


def is_ours(certificate: Certificate, own: Sequence[Certificate]) -> bool:
    """Return whether one of our roots signed this authority."""
    return any(_signed_by(certificate, root) for root in own)


def key_name(key: CertificatePublicKeyTypes) -> str:
    """Return what a key's files are called."""
    return keys.spki_sha256(key).hex()[:NAME_DIGITS]


def key_file(home: Home, key: CertificatePublicKeyTypes) -> Path:
    """Return where an authority's private key lies, or would."""
    return home.authority / f"{key_name(key)}.key"


def external_list(home: Home, certificate: Certificate) -> Path:
    """Return where the admin places an external authority's revocation list, PEM or DER."""
    return home.authority / f"external-{key_name(certificate.public_key())}.crl"


def fitting(
    content: bytes, certificate: Certificate, home: Home
) -> ec.EllipticCurvePrivateKey | None:
    """Return the one of a key file's keys that a certificate is for, None when none is.

    More than one stands there while a server certificate is exchanged: so no moment has key and
    certificate that do not belong together. Raises SettingsError when it is no key file.
    """
    for key in _keys(content, home):
        if key.public_key() == certificate.public_key():
            return key
    return None


class Current:
    """The authorities of a HOME for a process that runs: read again when a file of theirs changed.

    A token is opened once, not at every signature. A new authority issues a moment after it is
    trusted: its first certificate must not reach the front before the front has read of it.
    """

    def __init__(self, home: Home, clock: Clock = SYSTEM) -> None:
        """Read nothing yet."""
        self._home = home
        self._clock = clock
        self._seen: list[tuple[str, int, int]] | None = None
        self._anchors: tuple[Anchor, ...] = ()
        self._first: Anchor | None = None
        # When another first one than this was first seen.
        self._followed_s: float | None = None

    def anchors(self) -> tuple[Anchor, ...]:
        """Return what `load` does now; raises what it raises."""
        state = self._state()
        if state != self._seen:
            self._anchors = load(self._home)
            self._seen = state
        return self._anchors

    def issuing(self) -> Authority:
        """Return the authority that issues now; raises what `load` and `issuing` raise."""
        return issuing((self._settled(self.anchors()),))

    def rolled_over(self, issuer_sha256: bytes | None) -> bool:
        """Return whether an authority of ours (`issuer_sha256` of a row) issues no more."""
        anchors = self.anchors()
        if is_external(anchors, issuer_sha256):
            return False
        return _issuer(anchors, issuer_sha256) != self._settled(anchors).spki_sha256

    def _settled(self, anchors: Sequence[Anchor]) -> Anchor:
        now_s = self._clock.monotonic()
        if self._first is None or self._first.name not in [one.name for one in anchors]:
            self._first = anchors[0]
        elif self._first.name == anchors[0].name:
            self._followed_s = None
        elif self._followed_s is None:
            self._followed_s = now_s
        elif now_s - self._followed_s >= SETTLE_S:
            self._first, self._followed_s = anchors[0], None
        return self._first

    def external(self, issuer_sha256: bytes | None) -> bool:
        """Return whether this authority is not ours: then its certificates are renewed by it."""
        return is_external(self.anchors(), issuer_sha256)

    def _state(self) -> list[tuple[str, int, int]]:
        home = self._home
        files = [home.root_certificate, home.client_authority_certificate]
        # Before what is in them is read: a change meanwhile shows itself at the next look.
        stats = [(path.name, path.stat()) for path in (*files, *sorted(_key_files(home)))]
        return [(name, status.st_ino, status.st_mtime_ns) for name, status in stats]


@contextmanager
def alone(home: Home) -> Iterator[None]:
    """Keep other writers of bundle and lists out, here and in other processes, for a moment."""
    folder = os.open(home.authority, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _anchor(home: Home, certificate: Certificate, own: Sequence[Certificate]) -> Anchor:
    if not is_ours(certificate, own):
        return Anchor(certificate, ours=False)
    public = certificate.public_key()
    for path in (key_file(home, public), home.authority / FIRST_KEY):
        content = path.read_bytes() if path.exists() else b""
        if content.startswith(hsm.SCHEME) and isinstance(public, ec.EllipticCurvePublicKey):
            place = hsm.Place.of(home, _address(content))
            return Anchor(certificate, ours=True, key=hsm.TokenKey(place, public))
        key = fitting(content, certificate, home)
        if key is not None:
            return Anchor(certificate, ours=True, key=key)
    return Anchor(certificate, ours=True)


def _keys(content: bytes, home: Home) -> Iterator[ec.EllipticCurvePrivateKey]:
    if content.startswith(hsm.SCHEME):
        yield hsm.key(home, _address(content))
        return
    for block in content.split(_PEM_END)[:-1]:
        try:
            key = load_pem_private_key(block + _PEM_END, None)
        except (ValueError, TypeError) as error:
            raise SettingsError("a key file holds what is not a private key in PEM") from error
        if isinstance(key, ec.EllipticCurvePrivateKey):
            yield key


def _address(content: bytes) -> str:
    return content.decode("utf-8", "replace").strip()


def _key_files(home: Home) -> list[Path]:
    return list(home.authority.glob("*.key"))


def read(path: Path) -> list[Certificate]:
    """Return the certificates of a file; raises SettingsError, OSError."""
    try:
        return der.certificates(path.read_bytes())
    except der.MalformedError as error:
        raise SettingsError(f"{path}: {error}") from error


def _signed_by(certificate: Certificate, root: Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
