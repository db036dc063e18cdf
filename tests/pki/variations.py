"""Each certificate of a profile varied in one property at a time, derived from certs/<kind>.toml.

What the profile allows is taken away, what it does not allow is added. Shared by the tests at issue (lint before the
signature) and at acceptance (verifier and check).
"""

from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.pki import issue, profile
from gateway.pki.issue import Wanted
from tests.pki.extension_variations import of_extensions
from tests.pki.field_variations import of_fields
from tests.pki.forge import CITY, Ca
from tests.pki.variation import Variation


def good(ca: Ca, kind: profile.Kind) -> bytes:
    """Return a certificate of a kind as it must be, DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = (x509.UniformResourceIdentifier(str(CITY)),)
    made = issue.issue(Wanted(kind, "varied", key.public_key(), name), ca.client, ca.now_us)
    return made.public_bytes(Encoding.DER)


def variations(kind: profile.Kind) -> Iterator[Variation]:
    """Yield every variation of a profile: property by property, in the order of lint's rules."""
    rules = profile.load(kind)
    yield from of_fields(rules)
    yield from of_extensions(rules)
