"""Holds a certificate against its closed profile: every rule with a name, every fault with a text.

The same rules judge what we are about to sign and what is presented to the front. Names of the
rules, in the order in which they are judged (the first fault is the one that is reported):

    version  unique-identifiers  serial  signature  key  validity  extensions  basic-constraints
    key-usage  extended-key-usage  names  key-identifiers
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import Certificate
from cryptography.x509.oid import ExtensionOID

from gateway import names
from gateway.clock import US_PER_S, from_datetime
from gateway.pki import der, keys
from gateway.pki.profile import Profile

# Fewer bits cannot be random ones (CA/Browser Forum Baseline Requirements section 7.1: at least 64
# bits).
SERIAL_BITS_MIN = 64
# [1] and [2] of a TBSCertificate: nobody issues them (RFC 5280 section 4.1.2.8).
_UNIQUE_IDENTIFIERS = frozenset({0x81, 0x82})
Extension = TypeVar("Extension", bound=x509.ExtensionType)
_DAY_US = 86_400 * US_PER_S

# Each extension of a profile, and whether it is critical (RFC 5280 section 4.2.1).
_CRITICAL = {
    ExtensionOID.BASIC_CONSTRAINTS: True,
    ExtensionOID.KEY_USAGE: True,
    ExtensionOID.EXTENDED_KEY_USAGE: False,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME: False,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER: False,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER: False,
}
# What makes a certificate one person's and no authority's: rules that no number or list of a
# profile decides, so that they hold for what was issued under an earlier one, too.
_LASTING = frozenset(
    {"version", "unique-identifiers", "basic-constraints", "names", "key-identifiers"}
)
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule that a certificate breaks, and how.

    The text holds nothing that the certificate says of itself.
    """

    rule: str
    text: str


def faults(certificate: Certificate, profile: Profile) -> list[Fault]:
    """Return every fault of a certificate against a profile, in the order of the rules.

    Empty when it fits.
    """
    found: list[Fault] = []
    for rule, judge in _RULES:
        try:
            found += [Fault(rule, text) for text in judge(certificate, profile)]
        except (
            ValueError,
            UnsupportedAlgorithm,
            x509.DuplicateExtension,
            x509.UnsupportedGeneralNameType,
        ):
            found.append(Fault(rule, "it cannot be decoded"))
    return found


def lasting(certificate: Certificate, profile: Profile) -> list[Fault]:
    """Return the faults that it would have under every profile of its kind, an earlier one too."""
    return [one for one in faults(certificate, profile) if one.rule in _LASTING]


def subject_of(certificate: Certificate) -> names.Subject:
    """Return whom the only URI of a certificate names.

    Raises MalformedNameError when it is not our form.
    """
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        values = list(extension.value)
    except (
        ValueError,
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise names.MalformedNameError("no readable subject alternative name") from error
    if len(values) != 1 or not isinstance(values[0], x509.UniformResourceIdentifier):
        raise names.MalformedNameError("not exactly one URI")
    return names.parse_subject(values[0].value)


def _version(certificate: Certificate, _: Profile) -> Iterator[str]:
    if certificate.version is not x509.Version.v3:
        yield "not an X.509 v3 certificate"


def _unique_identifiers(certificate: Certificate, _: Profile) -> Iterator[str]:
    if _UNIQUE_IDENTIFIERS.intersection(der.tags(certificate.tbs_certificate_bytes)):
        yield "it has a unique identifier of its issuer or its subject"


def _serial(certificate: Certificate, _: Profile) -> Iterator[str]:
    if certificate.serial_number.bit_length() <= SERIAL_BITS_MIN:
        yield "the serial number is too short to be random"


def _signature(certificate: Certificate, profile: Profile) -> Iterator[str]:
    if certificate.signature_algorithm_oid.dotted_string not in profile.signatures:
        yield "the signature's algorithm is not of the profile"


def _key(certificate: Certificate, profile: Profile) -> Iterator[str]:
    try:
        public = certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        yield "a key of this algorithm is not of the profile"
        return
    try:
        keys.check(public, profile.keys)
    except keys.WeakKeyError as error:
        yield str(error)


def _validity(certificate: Certificate, profile: Profile) -> Iterator[str]:
    life = from_datetime(certificate.not_valid_after_utc) - from_datetime(
        certificate.not_valid_before_utc
    )
    if life <= 0:
        yield "it ends before it begins"
    if life > profile.days_max * _DAY_US:
        yield f"it lives longer than {profile.days_max} days"


def _extensions(certificate: Certificate, profile: Profile) -> Iterator[str]:
    wanted = set(_CRITICAL)
    if profile.names == "none":
        wanted.discard(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    if not profile.extended_key_usage:
        wanted.discard(ExtensionOID.EXTENDED_KEY_USAGE)
    present = {extension.oid: extension.critical for extension in certificate.extensions}
    for oid in wanted - set(present):
        yield f"the extension {oid.dotted_string} is missing"
    for oid, critical in present.items():
        further = oid.dotted_string in profile.further_extensions
        if oid not in wanted and not further:
            yield f"the extension {oid.dotted_string} is not of the profile"
        elif critical != (not further and _CRITICAL[oid]):
            yield f"the extension {oid.dotted_string} is {'' if critical else 'not '}critical"


def _basic_constraints(certificate: Certificate, profile: Profile) -> Iterator[str]:
    for extension in _of(certificate, x509.BasicConstraints):
        if extension.ca != profile.authority:
            yield "it is an authority's" if extension.ca else "it is no authority's"
        elif extension.path_length != (profile.path_length if profile.authority else None):
            yield "the path length is not of the profile"


def _key_usage(certificate: Certificate, profile: Profile) -> Iterator[str]:
    for usage in _of(certificate, x509.KeyUsage):
        present = {name for name in _USAGES if getattr(usage, name)}
        if present != set(profile.key_usage) or (
            usage.key_agreement and (usage.encipher_only or usage.decipher_only)
        ):
            yield "the key usage is not of the profile"


def _extended_key_usage(certificate: Certificate, profile: Profile) -> Iterator[str]:
    for usage in _of(certificate, x509.ExtendedKeyUsage):
        if sorted(oid.dotted_string for oid in usage) != sorted(profile.extended_key_usage):
            yield "the extended key usage is not exactly that of the profile"


def _names(certificate: Certificate, profile: Profile) -> Iterator[str]:
    for extension in _of(certificate, x509.SubjectAlternativeName):
        values = list(extension)
        if profile.names == "spiffe":
            try:
                subject_of(certificate)
            except names.MalformedNameError:
                yield "the subject alternative name is not exactly one SPIFFE id of our form"
        elif not values or not all(
            isinstance(value, x509.DNSName | x509.IPAddress) for value in values
        ):
            yield "a subject alternative name is neither a DNS name nor an IP address"


def _key_identifiers(certificate: Certificate, _: Profile) -> Iterator[str]:
    for own in _of(certificate, x509.SubjectKeyIdentifier):
        if own != x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()):
            yield "the subject key identifier is not the key's"
    for issuer in _of(certificate, x509.AuthorityKeyIdentifier):
        if issuer.key_identifier is None or issuer.authority_cert_issuer is not None:
            yield "the authority key identifier is not a key identifier alone"


def _of(certificate: Certificate, kind: type[Extension]) -> Iterator[Extension]:
    """Yield the extension of a kind, once if it is there.

    That it must be is the rule `extensions`.
    """
    try:
        yield certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return


_RULES: tuple[tuple[str, Callable[[Certificate, Profile], Iterator[str]]], ...] = (
    ("version", _version),
    ("unique-identifiers", _unique_identifiers),
    ("serial", _serial),
    ("signature", _signature),
    ("key", _key),
    ("validity", _validity),
    ("extensions", _extensions),
    ("basic-constraints", _basic_constraints),
    ("key-usage", _key_usage),
    ("extended-key-usage", _extended_key_usage),
    ("names", _names),
    ("key-identifiers", _key_identifiers),
)
