"""What is done on a machine without network: a root is made, requests are signed.

certs/README.md is the officers' list of steps. A folder there holds NAME.key and NAME.pem of one
authority, "root" or "server-authority", and needs no HOME. What stands in a certificate is decided
here, not by the request: of that only the key is taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509 import Certificate
from cryptography.x509.oid import NameOID

from gateway.config.folders import write_private, write_public
from gateway.config.strict import SettingsError
from gateway.errors import Refusal
from gateway.pki import csr, der, issue, keys, lint, profile
from gateway.pki.ceremony import ROOT, SERVER_AUTHORITY, Pair, key_pem, pem
from gateway.pki.issue import Authority, IssueError, Wanted
from gateway.pki.profile import Kind

# Which authority signs which kind of certificate.
SIGNERS: Mapping[Kind, Kind] = MappingProxyType(
    {"client-authority": ROOT, "server-authority": ROOT, "server": SERVER_AUTHORITY}
)
_NAME_DIGITS = 8
_GROUP = 4


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it was read: the kind of certificate, the key, and the hosts of a server."""

    kind: Kind
    key: CertificatePublicKeyTypes
    hosts: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the SubjectPublicKeyInfo: what the officers compare on both machines."""
        return grouped(keys.spki_sha256(self.key))


def make_root(folder: Path, name: str, now_us: int) -> Certificate:
    """Make a root for a trust domain in a folder; raises FileExistsError when one is there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    root = issue.make_root(name, now_us)
    write_private(folder / f"{ROOT}.key", key_pem(root.key))
    write_public(folder / f"{ROOT}.pem", pem(root.certificate))
    return root.certificate


def make_server_authority(folder: Path, root: Authority, now_us: int) -> Certificate:
    """Make a server authority in a folder, or the next one in place of the one there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = sign(Asked("server-authority", key.public_key()), root, now_us)
    Pair.of(folder, SERVER_AUTHORITY).exchange(key_pem(key), certificate)
    return der.certificates(certificate)[0]


def read(content: bytes, kind: Kind, hosts: Sequence[str] = ()) -> Asked:
    """Return what a request (PKCS #10) asks for.

    Raises SettingsError when it is none of a good key, or hosts do not go with the kind.
    """
    if bool(hosts) != (kind == "server"):
        raise SettingsError("hosts stand in a server's certificate, and in no other")
    try:
        key = csr.public_key(content, profile.load(kind))
    except Refusal as refusal:
        rules = ", ".join(one.rule for one in refusal.violations)
        raise SettingsError(f"no request for this kind of certificate: {rules}") from None
    return Asked(kind, key, tuple(hosts))


def sign(asked: Asked, authority: Authority, now_us: int) -> bytes:
    """Return the certificate, PEM; behind a server's, its authority's.

    Raises IssueError, also where this is not the authority that signs this kind.

    An authority's name bears the first digits of its key's digest, so that two that follow each
    other are never called the same.
    """
    signer = SIGNERS[asked.kind]
    if lint.faults(authority.certificate, profile.load(signer)):
        raise IssueError(f"a {asked.kind} is signed by a {signer}, and this is none")
    if asked.kind == "server":
        signed = issue.server_certificate(authority, asked.key, asked.hosts, now_us)
        return pem(signed) + pem(authority.certificate)
    digits = keys.spki_sha256(asked.key).hex()[:_NAME_DIGITS]
    name = f"{asked.kind.replace('-', ' ')} {digits} {_domain(authority.certificate)}"
    return pem(issue.issue(Wanted(asked.kind, name, asked.key), authority, now_us))


def grouped(digest: bytes) -> str:
    """Return a digest in groups of four hex digits: read aloud without losing the place."""
    digits = digest.hex()
    return " ".join(digits[at : at + _GROUP] for at in range(0, len(digits), _GROUP))


def _domain(root: Certificate) -> str:
    names = root.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value).removesuffix(" root") if names else ""
