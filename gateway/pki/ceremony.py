"""Founds the certificate authorities of a new HOME and reads them back: what `gateway init` calls.

    found(home, name, hosts, now_us)     everything below, once; needs the folders of config.folders
    client_authority(home)               the issuing authority with its key, for host commands
    renew_server(home, hosts, now_us)    a new certificate for the front, while HOME/offline is
    there

| file under HOME | what | who reads it |
|---|---|---|
| public/root.pem | the root's certificate | everyone |
| public/client-authority.pem, .crl | the front's trust anchors, their revocation lists | everyone |
| public/server.pem | the front's certificate with its authority's | everyone |
| authority/client-authority.key | the issuing key | host commands, identity |
| offline/root.key, .pem, server-authority.key, .pem | for the safe | who ran init |
| secrets/front/server.key, server.pem | the front's key; its certificates again | front |

Keys are PKCS #8 PEM without password, mode 0600. What follows one another later, with the root's
key on a machine without network, is `offline` and `rollover`. The first admin's certificate is made
by `issue.client_certificate` and entered by `register.insert`, like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import Certificate

from gateway.config.folders import replace_private, replace_public, write_private, write_public
from gateway.config.home import Home, Process
from gateway.config.strict import SettingsError
from gateway.pki import authorities, crl, der, issue
from gateway.pki.issue import Authority
from gateway.pki.profile import Kind

ROOT: Kind = "root"
SERVER_AUTHORITY: Kind = "server-authority"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two files that belong together, a key's and its certificate chain's, and whose they are."""

    key: Path
    chain: Path
    process: Process | None = None

    @classmethod
    def of(cls, folder: Path, name: str) -> "Pair":
        """Return the pair NAME.key, NAME.pem of a folder."""
        return cls(folder / f"{name}.key", folder / f"{name}.pem")

    def exchange(self, key: bytes, chain: bytes) -> None:
        """Put another pair in place; at every moment, also after a crash, key and chain fit.

        Whoever reads takes that of the keys which the certificate is for (`authorities.fitting`).
        """
        before = self.key.read_bytes() if self.key.exists() else b""
        replace_private(self.key, before + key, self.process)
        replace_private(self.chain, chain, self.process)
        replace_private(self.key, key, self.process)


def found(home: Home, name: str, hosts: Sequence[str], now_us: int) -> Authority:
    """Make root, both authorities, the front's certificate and an empty revocation list.

    `name` stands in the authorities' names (the trust domain); `hosts` are the addresses and DNS
    names that clients reach the front by. Returns the client authority. Raises OSError when a file
    is there already.
    """
    root = issue.make_root(name, now_us)
    client = issue.make_authority("client-authority", name, root, now_us)
    server = issue.make_authority("server-authority", name, root, now_us)
    for place, authority in ((ROOT, root), (SERVER_AUTHORITY, server)):
        write_private(home.offline / f"{place}.key", key_pem(authority.key))
        write_private(home.offline / f"{place}.pem", pem(authority.certificate))
    write_private(home.authority / authorities.FIRST_KEY, key_pem(client.key), "identity")
    write_public(home.root_certificate, pem(root.certificate))
    write_public(home.client_authority_certificate, pem(client.certificate))
    crl.write(home.crl, crl.build(client, [], 0, now_us))
    _write_server(home, server, hosts, now_us)
    return client


def client_authority(home: Home) -> Authority:
    """Return the issuing authority; raises SettingsError when its files are not a pair."""
    return authorities.issuing(authorities.load(home))


def renew_server(home: Home, hosts: Sequence[str], now_us: int) -> Certificate:
    """Give the front a new key and certificate; it loads them by itself. Needs HOME/offline."""
    return _write_server(home, load(home.offline, SERVER_AUTHORITY), hosts, now_us)


def load(folder: Path, name: str) -> Authority:
    """Return the authority NAME.key, NAME.pem of a folder; raises SettingsError, OSError."""
    pair = Pair.of(folder, name)
    return _load(pair.chain, pair.key)


def server_files(home: Home) -> tuple[Path, Path]:
    """Return where the front's key and its certificate chain lie."""
    folder = home.secrets("front")
    return folder / "server.key", folder / "server.pem"


def put_server(home: Home, key: bytes, chain: Sequence[Certificate]) -> None:
    """Put the front's key (PEM) and chain in place of those there."""
    content = b"".join(map(pem, chain))
    Pair(*server_files(home), "front").exchange(key, content)
    replace_public(home.server_certificate, content)


def pem(certificate: Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM)


def key_pem(key: PrivateKeyTypes) -> bytes:
    """Return a private key as PKCS #8 PEM: write it with mode 0600 only."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write_server(home: Home, server: Authority, hosts: Sequence[str], now_us: int) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = issue.server_certificate(server, key.public_key(), hosts, now_us)
    put_server(home, key_pem(key), (certificate, server.certificate))
    return certificate


def _load(certificate_file: Path, key_file: Path) -> Authority:
    try:
        certificate = der.certificates(certificate_file.read_bytes())[0]
    except der.MalformedError as error:
        raise SettingsError(f"{certificate_file}: {error}") from error
    key = authorities.fitting(key_file.read_bytes(), certificate, Home(key_file.parent))
    if key is None:
        raise SettingsError(f"{key_file}: not the key of {certificate_file.name}")
    return Authority(certificate, key)
