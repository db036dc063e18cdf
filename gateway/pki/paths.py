"""The path from a certificate to an anchor, judged by two independent verifiers; each must accept.

OpenSSL (X509_STORE, strict, revocation lists) and cryptography's verifier (written in Rust, no
revocation lists) fail in different places: over NIST PKITS each alone lets some two dozen wrong
paths through, both together none but the one test of delta lists, which we do not issue (docs:
reference identity.md section 2; tests/vectors/test_pkits.py holds it).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import Certificate, CertificateRevocationList
from cryptography.x509 import verification as rust
from OpenSSL import crypto

# OpenSSL's numbers, include/openssl/x509_vfy.h: the ones with a reason of their own (see
# verify.reason_of).
CRL_MISSING = 3
CRL_SIGNATURE = 8
NOT_YET_VALID = 9
EXPIRED = 10
CRL_NOT_YET_VALID = 11
CRL_EXPIRED = 12
REVOKED = 23

OPENSSL = "openssl"
RUST = "cryptography"
LIST = "list"


class PathError(Exception):
    """A verifier refuses the path: which, its error number (or 0), the depth, and its words.

    The words of cryptography's verifier may quote the certificate; they are cut down to the
    library's own part.
    """

    def __init__(self, verifier: str, number: int, depth: int, text: str) -> None:
        """Say who refuses and why."""
        super().__init__(f"{verifier}: {text}")
        self.verifier = verifier
        self.number = number
        self.depth = depth
        self.text = text


@dataclass(frozen=True, slots=True)
class Trust:
    """Anchors (an intermediate may be one), revocation lists, and how far the lists must reach.

    `lists` "none" asks no list, "leaf" needs the one of the leaf's issuer, "all" one for every
    certificate of the path. `external` are those of the anchors that are not ours: what they issue
    is held against a profile of its own.
    """

    anchors: tuple[Certificate, ...]
    crls: tuple[CertificateRevocationList, ...] = ()
    lists: str = "leaf"
    external: tuple[Certificate, ...] = ()


class OpenSslPath:
    """OpenSSL's judgement against one trust.

    A store's time can be set once only (X509_VERIFY_PARAM_set1 keeps the first), so each judgement
    has a store of its own. That is cheap for anchors; long lists are better asked by `Lists`.
    """

    def __init__(self, trust: Trust) -> None:
        """Take anchors and lists. Only strict rules: RFC 5280 as it stands."""
        flags = crypto.X509StoreFlags.X509_STRICT | crypto.X509StoreFlags.PARTIAL_CHAIN
        if trust.lists != "none":
            flags |= crypto.X509StoreFlags.CRL_CHECK
        if trust.lists == "all":
            flags |= crypto.X509StoreFlags.CRL_CHECK_ALL
        self._trust = trust
        self._flags = flags

    def check(self, leaf: Certificate, intermediates: Sequence[Certificate], at: datetime) -> None:
        """Raise PathError unless the path stands at this time."""
        with _told():
            self._context(leaf, intermediates, at).verify_certificate()

    def path(
        self, leaf: Certificate, intermediates: Sequence[Certificate], at: datetime
    ) -> list[Certificate]:
        """Return the path that stands, leaf first, anchor last; raises PathError."""
        with _told():
            chain = self._context(leaf, intermediates, at).get_verified_chain()
        return [one.to_cryptography() for one in chain]

    def _context(
        self, leaf: Certificate, intermediates: Sequence[Certificate], at: datetime
    ) -> crypto.X509StoreContext:
        store = store_of(self._trust, self._flags)
        store.set_time(at)
        chain = [crypto.X509.from_cryptography(one) for one in intermediates]
        return crypto.X509StoreContext(store, crypto.X509.from_cryptography(leaf), chain or None)


class RustPath:
    """The judgement of cryptography's verifier, as for a TLS client, against the same anchors."""

    def __init__(self, trust: Trust, depth: int = 0) -> None:
        """Take the anchors; `depth` is how many intermediates a path may have."""
        self._store = rust.Store(list(trust.anchors))
        self._depth = depth
        # What the leaf itself may hold is judged by `lint`, more strictly than by any policy of the
        # library.
        self._any = rust.ExtensionPolicy.permit_all()

    def check(self, leaf: Certificate, intermediates: Sequence[Certificate], at: datetime) -> None:
        """Raise PathError unless the path stands at this time."""
        builder = self._builder(at, self._any)
        self._verify(builder.build_client_verifier(), leaf, intermediates)

    def check_server(self, leaf: Certificate, name: rust.Subject, at: datetime) -> None:
        """Raise PathError unless this is a server of that name (DNS or IP), issued by an anchor."""
        builder = self._builder(at, rust.ExtensionPolicy.webpki_defaults_ee())
        self._verify(builder.build_server_verifier(name), leaf, ())

    def _builder(self, at: datetime, leaf: rust.ExtensionPolicy) -> rust.PolicyBuilder:
        return (
            rust.PolicyBuilder()
            .store(self._store)
            .time(at)
            .max_chain_depth(self._depth)
            .extension_policies(ca_policy=rust.ExtensionPolicy.webpki_defaults_ca(), ee_policy=leaf)
        )

    @staticmethod
    def _verify(
        verifier: rust.ClientVerifier | rust.ServerVerifier,
        leaf: Certificate,
        intermediates: Sequence[Certificate],
    ) -> None:
        try:
            verifier.verify(leaf, list(intermediates))
        except (rust.VerificationError, ValueError) as error:
            text = str(error).partition(" (encountered processing")[0]
            raise PathError(RUST, 0, 0, text) from None


class Lists:
    """What the anchors' own revocation lists say of the leaves below them, read once."""

    def __init__(self, trust: Trust) -> None:
        """Take of each anchor the list that it signed."""
        self._of = {anchor: signed_by(anchor, trust.crls)[:1] for anchor in trust.anchors}
        self._named = {
            anchor: frozenset(entry.serial_number for one in own for entry in one)
            for anchor, own in self._of.items()
        }

    def names(self, leaf: Certificate, anchor: Certificate, at: datetime) -> bool:
        """Return whether the list of its anchor names a leaf.

        Raises PathError when there is none that is valid at this time: then nobody can be let in.
        """
        number = CRL_MISSING
        for one in self._of[anchor]:
            number = _age(one, at)
        if number:
            raise PathError(LIST, number, 0, "no revocation list that is valid now")
        return leaf.serial_number in self._named[anchor]


def signed_by(
    anchor: Certificate, crls: Iterable[CertificateRevocationList]
) -> list[CertificateRevocationList]:
    """Return which of these lists an authority signed."""
    public = anchor.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        return []  # of no kind that signs lists here
    return [one for one in crls if one.issuer == anchor.subject and one.is_signature_valid(public)]


def _age(crl: CertificateRevocationList, at: datetime) -> int:
    """Return OpenSSL's number for a list that is not valid at this time, 0 for one that is."""
    if at < crl.last_update_utc:
        return CRL_NOT_YET_VALID
    return 0 if crl.next_update_utc and at < crl.next_update_utc else CRL_EXPIRED


@contextmanager
def _told() -> Iterator[None]:
    """Turn OpenSSL's refusal into ours."""
    try:
        yield
    except crypto.X509StoreContextError as error:
        number, depth, text = error.errors
        raise PathError(OPENSSL, number, depth, text) from None


def store_of(trust: Trust, flags: int) -> crypto.X509Store:
    """Return an OpenSSL store with these anchors, lists and flags.

    Also for the front's TLS context.
    """
    store = crypto.X509Store()
    fill(store, trust, flags)
    return store


def fill(store: crypto.X509Store, trust: Trust, flags: int) -> None:
    """Put anchors, lists and flags into a store."""
    for anchor in trust.anchors:
        store.add_cert(crypto.X509.from_cryptography(anchor))
    for crl in trust.crls:
        store.add_crl(crl)
    store.set_flags(flags)
