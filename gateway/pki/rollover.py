"""An authority or the front's certificate is followed by the next, without a moment that refuses.

    request   a new key where it will be used, pending, and a PKCS #10 file to be carried by hand
    judge     is this the certificate of a pending key, of its profile, below our root, in time
    put       into use; every file is replaced at once, and every order of them is a working HOME
    retire    an authority that nobody's certificate needs any more

A client authority is put in front: it issues, those behind it stay trusted until they are retired.
Its list comes before its certificate, and goes after it: the front takes no authority without one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import Certificate
from cryptography.x509.oid import NameOID

from gateway.clock import to_datetime
from gateway.config.folders import replace_public, write_private
from gateway.config.home import Home, Process
from gateway.config.strict import SettingsError
from gateway.pki import authorities, ceremony, crl, der, hsm, lint, profile, retired
from gateway.pki.authorities import Anchor
from gateway.pki.ceremony import SERVER_AUTHORITY, Pair
from gateway.pki.issue import Authority
from gateway.pki.paths import OpenSslPath, PathError, RustPath, Trust
from gateway.pki.profile import Kind

# What is requested on the gateway; the root is made elsewhere.
KINDS: tuple[Kind, ...] = ("client-authority", "server-authority", "server")


@dataclass(frozen=True, slots=True)
class Next:
    """What may be put into use: its kind, the certificate and what stands above it, its key."""

    kind: Kind
    chain: tuple[Certificate, ...]
    key_file: Path | None = None

    @property
    def certificate(self) -> Certificate:
        """The certificate itself."""
        return self.chain[0]


def request(home: Home, kind: Kind, token: str = "") -> x509.CertificateSigningRequest:
    """Make a key, pending, and return the request for its certificate.

    `token` is the `pkcs11:` address of a client authority's key that is to be made in a token.
    Raises SettingsError.
    """
    if token and kind != "client-authority":
        raise SettingsError("only a client authority's key can lie in a token")
    folder, process = _place(home, kind)
    folder.mkdir(mode=0o700, exist_ok=True)  # HOME/offline may have been moved away
    key: ec.EllipticCurvePrivateKey
    if token:
        key = hsm.generate(home, token)
        content = f"{token}\n".encode()
    else:
        key = ec.generate_private_key(ec.SECP256R1())
        content = ceremony.key_pem(key)
    write_private(folder / f"{authorities.key_name(key.public_key())}.key", content, process)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, kind)])
    return x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())


def judge(home: Home, content: bytes, trust_domain: str, now_us: int) -> Next:
    """Return what a file (PEM) brings; raises SettingsError with the first thing that is wrong."""
    try:
        chain = tuple(der.certificates(content))
    except der.MalformedError as error:
        raise SettingsError(f"not a certificate: {error}") from error
    found = _awaited(home, chain)
    roots = found.chain if found.kind == "root" else authorities.roots(home)
    at = to_datetime(now_us)
    kinds: tuple[Kind, ...] = (found.kind,)
    if found.kind == "server":
        kinds = ("server", "server-authority")
    if len(chain) != len(kinds):
        raise SettingsError(f"{len(kinds)} certificates belong in the file, not {len(chain)}")
    for one, kind in zip(chain, kinds, strict=True):
        faults = lint.faults(one, profile.load(kind))
        if faults:
            raise SettingsError(f"not a {kind}: {faults[0].rule}: {faults[0].text}")
    try:
        OpenSslPath(Trust(tuple(roots), (), "none")).check(chain[0], chain[1:], at)
        if found.kind == "server":
            # Clients ask for the gateway by this name, whatever address they reach it at.
            authority = RustPath(Trust(chain[1:], (), "none"))
            authority.check_server(chain[0], x509.DNSName(trust_domain), at)
    except PathError as error:
        raise SettingsError(f"it does not stand below our root: {error.text}") from error
    return found


def put(home: Home, following: Next, now_us: int) -> None:
    """Put what was judged into use; doing it again after a crash completes it."""
    if following.kind == "root":
        replace_public(home.root_certificate, _before(following.certificate, home.root_certificate))
    elif following.kind == "client-authority":
        _put_client_authority(home, following, now_us)
    elif following.key_file is not None:
        key = following.key_file.read_bytes()
        if following.kind == "server":
            ceremony.put_server(home, key, following.chain)
        else:
            Pair.of(home.offline, SERVER_AUTHORITY).exchange(
                key, ceremony.pem(following.certificate)
            )
        following.key_file.unlink()


def find(anchors: Sequence[Anchor], digits: str) -> Anchor:
    """Return the authority whose key's SHA-256 begins so; raises SettingsError."""
    wanted = digits.lower().replace(" ", "").replace(":", "")
    found = [one for one in anchors if one.spki_sha256.hex().startswith(wanted)]
    if len(wanted) < authorities.NAME_DIGITS or len(found) != 1:
        raise SettingsError("no trusted authority has a key whose SHA-256 begins so")
    if len(anchors) == 1:
        raise SettingsError("the only authority cannot be retired: nobody could come in")
    return found[0]


def retire(home: Home, anchor: Anchor, leaf: int) -> None:
    """Trust an authority no more, as a leaf told; its key, which nobody needs now, is deleted.

    A root that has nothing below it any more goes with it.
    """
    with authorities.alone(home):
        rest = [one.certificate for one in authorities.load(home) if one.name != anchor.name]
        # First: policies that its officers signed stay in force, also after a crash in between.
        retired.keep(home.former_authorities, anchor.certificate, leaf)
        replace_public(home.client_authority_certificate, b"".join(map(ceremony.pem, rest)))
        write_lists(home, rest)
        _forget_roots(home, rest)
    key = anchor.certificate.public_key()
    authorities.key_file(home, key).unlink(missing_ok=True)
    authorities.external_list(home, anchor.certificate).unlink(missing_ok=True)
    first = home.authority / authorities.FIRST_KEY
    if first.exists() and authorities.fitting(first.read_bytes(), anchor.certificate, home):
        first.unlink()


def _forget_roots(home: Home, anchors: Sequence[Certificate]) -> None:
    """Leave in root.pem the newest root, and of the others those that signed what is in use."""
    used = [*anchors, *authorities.read(ceremony.server_files(home)[1])[1:]]
    newest, *others = authorities.roots(home)
    needed = [one for one in others if any(authorities.is_ours(below, [one]) for below in used)]
    if needed != others:
        replace_public(home.root_certificate, b"".join(map(ceremony.pem, [newest, *needed])))


def write_lists(
    home: Home, anchors: Sequence[Certificate], *more: x509.CertificateRevocationList
) -> None:
    """Leave in the published lists one of each of these authorities, the first of `more` first."""
    known = [*more, *der.revocation_lists(home.crl.read_bytes())]
    lists = [crl.of(anchor, known) for anchor in anchors]
    crl.write(home.crl, *(one for one in lists if one is not None))


def _put_client_authority(home: Home, following: Next, now_us: int) -> None:
    certificate, path = following.certificate, following.key_file
    key = path and authorities.fitting(path.read_bytes(), certificate, home)
    if not key:
        raise SettingsError("the key of this certificate is not here")
    with authorities.alone(home):
        behind = [one.certificate for one in authorities.load(home)]
        numbers = map(crl.number_of, der.revocation_lists(home.crl.read_bytes()))
        # Not above the epoch, which every list's number is; the next one is the keeper's.
        empty = crl.build(Authority(certificate, key), [], max(numbers, default=0), now_us)
        write_lists(home, [certificate, *behind], empty)
        bundle = _before(certificate, home.client_authority_certificate)
        replace_public(home.client_authority_certificate, bundle)


def _awaited(home: Home, chain: Sequence[Certificate]) -> Next:
    """Return what this certificate is for: a root, or the kind whose pending key it has."""
    first = chain[0]
    if authorities.is_ours(first, [first]):
        return Next("root", tuple(chain))
    for kind in KINDS:
        path = _place(home, kind)[0] / f"{authorities.key_name(first.public_key())}.key"
        if path.exists() and authorities.fitting(path.read_bytes(), first, home):
            trusted = authorities.read(home.client_authority_certificate)
            if kind == "client-authority" and first in trusted:
                raise SettingsError("this certificate is in use already")
            return Next(kind, tuple(chain), path)
    raise SettingsError("no key here waits for this certificate")


def _place(home: Home, kind: Kind) -> tuple[Path, Process | None]:
    if kind == "client-authority":
        return home.authority, "identity"
    if kind == "server":
        return home.secrets("front"), "front"
    return home.offline, None


def _before(certificate: Certificate, path: Path) -> bytes:
    """Return a bundle with this certificate first, and only once."""
    behind = [one for one in authorities.read(path) if one != certificate]
    return b"".join(map(ceremony.pem, [certificate, *behind]))
