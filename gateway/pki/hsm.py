"""Signing keys that never leave a PKCS #11 token: the optional extra `hsm` (decision 0011).

A key file may hold the address of a key in place of the key: a `pkcs11:` URI (RFC 7512) with
`token` and `object`, both labels. Which module is loaded stands in HOME/settings.toml
(`authority.pkcs11_module`), which only the gateway's owner can write: whoever may write a key file
must not thereby choose code that the supervisor runs. The PIN is HOME/authority/pkcs11.pin.
"""

import importlib
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import load_der_public_key

from gateway.config import settings
from gateway.config.home import Home
from gateway.config.strict import SettingsError

SCHEME = b"pkcs11:"
PIN_FILE = "pkcs11.pin"
# One login at a time: closing a session logs the whole process out of its token (PKCS #11 v3.1
# section 5.6.9), under the feet of another thread.
_LOGIN = threading.Lock()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key is: the module's path, the labels of token and key, and the file of the PIN."""

    module: str
    token: str
    label: str
    home: Home

    @classmethod
    def of(cls, home: Home, uri: str) -> "Place":
        """Read a `pkcs11:` URI; raises SettingsError when it is not of our form."""
        fields = dict(part.partition("=")[::2] for part in uri[len(SCHEME) :].split(";"))
        if set(fields) - {"type"} != {"token", "object"} or not all(fields.values()):
            raise SettingsError("a key's address must be pkcs11:token=LABEL;object=LABEL")
        module = settings.load(home.settings).authority.pkcs11_module
        if not module:
            raise SettingsError("authority.pkcs11_module: missing, and a key lies in a token")
        token, label = (urllib.parse.unquote(fields[key]) for key in ("token", "object"))
        return cls(module, token, label, home)


class TokenKey(ec.EllipticCurvePrivateKey):
    """A private key in a token, good for signing and for nothing else.

    Each signature is a session of its own: a token that was away is back by itself. Each is checked
    before it is given out: a token may hold another key under the label.
    """

    def __init__(self, place: Place, public: ec.EllipticCurvePublicKey) -> None:
        """Name the key; nothing is opened, so that a gateway starts while the token is away."""
        self._place = place
        self._public = public

    def sign(
        self,
        data: bytes | bytearray | memoryview,
        signature_algorithm: ec.EllipticCurveSignatureAlgorithm,
    ) -> bytes:
        """Return a signature, DER; raises SettingsError when the token does not give one."""
        algorithm = signature_algorithm.algorithm
        if isinstance(algorithm, utils.Prehashed):
            digest = bytes(data)
        else:
            hasher = hashes.Hash(algorithm)
            hasher.update(data)
            digest = hasher.finalize()
        with _session(self._place) as (pkcs11, session):
            private = session.get_key(pkcs11.ObjectClass.PRIVATE_KEY, label=self._place.label)
            raw = private.sign(digest, mechanism=pkcs11.Mechanism.ECDSA)
        half = len(raw) // 2
        signature = utils.encode_dss_signature(
            int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
        )
        try:
            self._public.verify(signature, data, signature_algorithm)
        except InvalidSignature:
            raise SettingsError("the token signed with another key than expected") from None
        return signature

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return its public half."""
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        """Its curve."""
        return self._public.curve

    @property
    def key_size(self) -> int:
        """Its size in bits."""
        return self._public.key_size

    def exchange(self, *_: object) -> NoReturn:
        """Refuse: it signs."""
        raise UnsupportedAlgorithm("a key in a token signs, and does nothing else")

    def private_numbers(self) -> NoReturn:
        """Refuse: they are in the token."""
        raise UnsupportedAlgorithm("the private key does not leave its token")

    def private_bytes(self, *_: object) -> NoReturn:
        """Refuse: they are in the token."""
        raise UnsupportedAlgorithm("the private key does not leave its token")

    def __copy__(self) -> "TokenKey":
        return self

    def __deepcopy__(self, _: object) -> "TokenKey":
        return self


def key(home: Home, uri: str) -> TokenKey:
    """Return the key at an address; raises SettingsError when token or key is not there."""
    place = Place.of(home, uri)
    with _session(place) as (pkcs11, session):
        found = session.get_key(pkcs11.ObjectClass.PUBLIC_KEY, label=place.label)
        return TokenKey(place, _public(found))


def generate(home: Home, uri: str) -> TokenKey:
    """Make a P-256 key in the token, not to be taken out; raises SettingsError.

    One that bears the label already is not replaced.
    """
    place = Place.of(home, uri)
    with _session(place, rw=True) as (pkcs11, session):
        labelled = {pkcs11.Attribute.LABEL: place.label}
        if any(True for _ in session.get_objects(labelled)):
            raise SettingsError("the token has a key of this label already")
        curve = importlib.import_module("pkcs11.util.ec").encode_named_curve_parameters("secp256r1")
        parameters = session.create_domain_parameters(
            pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: curve}, local=True
        )
        kept = {pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False}
        public, _ = parameters.generate_keypair(
            store=True, label=place.label, private_template=kept
        )
        return TokenKey(place, _public(public))


# Any: the library is optional, so its types are not here where mypy runs.
@contextmanager
def _session(place: Place, *, rw: bool = False) -> Iterator[tuple[Any, Any]]:
    """Give the library and a session that is logged in; its errors become SettingsError."""
    try:
        pkcs11 = importlib.import_module("pkcs11")
    except ImportError as error:
        raise SettingsError("a key lies in a token: pip install provincial-gateway[hsm]") from error
    pin = (place.home.authority / PIN_FILE).read_text(encoding="utf-8").strip()
    with _LOGIN:
        try:
            token = pkcs11.lib(place.module).get_token(token_label=place.token)
            with token.open(rw=rw, user_pin=pin) as session:
                yield pkcs11, session
        except (pkcs11.exceptions.PKCS11Error, RuntimeError) as error:
            raise SettingsError(f"the PKCS #11 token: {type(error).__name__}") from None


def _public(found: Any) -> ec.EllipticCurvePublicKey:  # noqa: ANN401  see _session
    encoded = importlib.import_module("pkcs11.util.ec").encode_ec_public_key(found)
    public = load_der_public_key(encoded)
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise SettingsError("the key in the token is not on an elliptic curve")
    return public
