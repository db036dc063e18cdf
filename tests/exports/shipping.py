"""What the tests of exported files share: a recipient with an encryption certificate, keys, and a file's two parts."""

import contextlib
import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from gateway.config.home import Home
from gateway.exports import recipient
from gateway.names import DEFAULT_TRUST_DOMAIN, Subject
from gateway.pki import issue
from gateway.pki.issue import Authority
from gateway.store import export_keys as keys
from gateway.store.export_keys import ExportKeys
from tests.audit.stage import NOW_US

WU = Subject(DEFAULT_TRUST_DOMAIN, "140100", "officer", "wu")


def authority(now_us: int = NOW_US) -> Authority:
    """An authority that issues certificates to people."""
    root = issue.make_root("test root", now_us)
    return issue.make_authority("client-authority", "test authority", root, now_us)


@dataclass
class Reader:
    """Somebody who can open what is encrypted to him."""

    key: ec.EllipticCurvePrivateKey
    certificate: Certificate

    @property
    def sha256(self) -> str:
        import hashlib

        return hashlib.sha256(self.certificate.public_bytes(Encoding.DER)).hexdigest()


def a_reader(kind: str = "encryption", now_us: int = NOW_US) -> Reader:
    """A recipient with a certificate of a kind."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = issue.client_certificate(
        authority(now_us),
        WU,
        key.public_key(),
        now_us,
        kind=kind,  # type: ignore[arg-type]
    )
    return Reader(key, made)


@contextlib.contextmanager
def export_home() -> Iterator[Home]:
    """A HOME that holds nothing but the keys of exports."""
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        home = Home(Path(folder))
        home.public.mkdir()
        home.exports.mkdir()
        home.secrets("disclosure").mkdir(parents=True)
        keys.make(home)
        yield home


def export_keys() -> ExportKeys:
    """Fresh keys of exports."""
    with export_home() as home:
        return keys.load(home)


def sealed(content: bytes, to: Reader) -> tuple[bytes, bytes]:
    """Header and payload of a content."""
    parts: list[bytes] = []
    header = recipient.encrypt(to.certificate, io.BytesIO(content), parts.append)
    return header, b"".join(parts)
