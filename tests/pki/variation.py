"""One certificate of a profile varied in one property: what is changed, and the rule that must refuse it for that."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.pki.forge import Ca, extension, forge, replaced

Make = Callable[[Ca, bytes], bytes]
Change = Callable[[list[bytes]], list[bytes]]


@dataclass(frozen=True)
class Variation:
    """A property varied; `make` changes a good certificate (DER) and signs it again.

    `rule` is lint's; or "encoding" where the reader refuses the bytes; or "openssl" or "cryptography" where only a
    verifier, which knows the issuer and the DER, sees the fault: our issuer cannot make such a one. `number` is
    OpenSSL's, where it is asked before lint and refuses for the same property (include/openssl/x509_vfy.h).
    """

    name: str
    rule: str
    make: Make
    number: int = 0


def fields(**changed: bytes) -> Make:
    """Return how to change fields of the TBSCertificate."""
    return lambda ca, leaf: forge(leaf, ca.client.key, **changed)


def changed(change: Change) -> Make:
    """Return how to change the extensions."""
    return lambda ca, leaf: forge(leaf, ca.client.key, change)


def instead(oid: str, value: bytes, *, critical: bool = False) -> Make:
    """Return how to give an extension another value."""
    return changed(replaced(oid, extension(oid, value, critical=critical)))
