"""Founds the certificate authorities of a new HOME and reads them back: what `gateway init` calls.

    found(home, name, hosts, now_us)     everything below, once; needs the folders of config.folders
    client_authority(home)               the issuing authority with its key, for host commands
    renew_server(home, hosts, now_us)    a new certificate for the front, while HOME/offline is
    there

| file under HOME | what | who reads it | |---|---|---| | public/root.pem | the root's certificate |
everyone | | public/client-authority.pem, .crl | the front's trust anchor, its revocation list |
everyone | | authority/client-authority.key | the issuing key | host commands, identity | |
offline/root.key, server-authority.key, server-authority.pem | for the safe | who ran init | |
secrets/front/server.key, server.pem | the front's key; its certificate with the authority's | front
|

Keys are PKCS #8 PEM without password, mode 0600. The first admin's certificate is made by
`issue.client_certificate` and entered by `register.insert`, like any other.
"""

from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import Certificate

from gateway.config.folders import write_private, write_public
from gateway.config.home import Home
from gateway.config.strict import SettingsError
from gateway.pki import authorities, crl, issue
from gateway.pki.issue import Authority


def found(home: Home, name: str, hosts: Sequence[str], now_us: int) -> Authority:
    """Make root, both authorities, the front's certificate and an empty revocation list.

    `name` stands in the authorities' names (the trust domain); `hosts` are the addresses and DNS
    names that clients reach the front by. Returns the client authority. Raises OSError when a file
    is there already.
    """
    root = issue.make_root(name, now_us)
    client = issue.make_authority("client-authority", name, root, now_us)
    server = issue.make_authority("server-authority", name, root, now_us)
    write_private(home.offline / "root.key", key_pem(root.key))
    write_private(home.offline / "server-authority.key", key_pem(server.key))
    write_private(home.offline / "server-authority.pem", pem(server.certificate))
    write_private(_client_key(home), key_pem(client.key), "identity")
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
    server = _load(home.offline / "server-authority.pem", home.offline / "server-authority.key")
    for path in server_files(home):
        path.unlink(missing_ok=True)
    return _write_server(home, server, hosts, now_us)


def server_files(home: Home) -> tuple[Path, Path]:
    """Return where the front's key and its certificate chain lie."""
    folder = home.secrets("front")
    return folder / "server.key", folder / "server.pem"


def pem(certificate: Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM)


def key_pem(key: PrivateKeyTypes) -> bytes:
    """Return a private key as PKCS #8 PEM: write it with mode 0600 only."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _client_key(home: Home) -> Path:
    return home.authority / authorities.FIRST_KEY


def _write_server(home: Home, server: Authority, hosts: Sequence[str], now_us: int) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = issue.server_certificate(server, key.public_key(), hosts, now_us)
    key_file, chain_file = server_files(home)
    write_private(chain_file, pem(certificate) + pem(server.certificate), "front")
    write_private(key_file, key_pem(key), "front")
    return certificate


def _load(certificate_file: Path, key_file: Path) -> Authority:
    certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    key = load_pem_private_key(key_file.read_bytes(), None)
    if (
        not isinstance(key, ec.EllipticCurvePrivateKey)
        or key.public_key() != certificate.public_key()
    ):
        raise SettingsError(f"{key_file}: not the key of {certificate_file.name}")
    return Authority(certificate, key)
