"""Makes certificates: what is not of its profile is not signed, what does not verify not released.

Each certificate is first signed with a throw-away key and linted (after Let's Encrypt's boulder),
then signed with the authority's key, then judged again by both verifiers. `ceremony` puts the
results under HOME.
"""

import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509 import Certificate
from cryptography.x509.oid import NameOID

from gateway.clock import to_datetime
from gateway.names import Subject
from gateway.pki import lint, profile
from gateway.pki.paths import OpenSslPath, PathError, RustPath, Trust
from gateway.pki.profile import Kind, Profile

# 128 random bits below a leading 1: always positive, 17 octets at most (RFC 5280 section 4.1.2.2).
SERIAL_RANDOM_BITS = 128
# Clocks differ: a certificate is valid from a little before it is made.
BACKDATE = timedelta(minutes=5)

_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
)
_USAGES_LATE = ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")


class IssueError(Exception):
    """What was asked for is not of the profile, or the signed certificate does not verify.

    Nothing is issued.
    """


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate with its private key: what can issue.

    The key never leaves the file it lies in but to sign.
    """

    certificate: Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a certificate is to say: its kind, its common name, its key and names.

    `days` 0 is the profile's.
    """

    kind: Kind
    name: str
    public_key: CertificatePublicKeyTypes
    names: tuple[x509.GeneralName, ...] = ()
    days: float = 0


def make_root(name: str, now_us: int) -> Authority:
    """Return a new root, P-384, that may stand above one level of authorities."""
    key = ec.generate_private_key(ec.SECP384R1())
    return Authority(
        _issue(Wanted("root", f"{name} root", key.public_key()), None, key, now_us), key
    )


def make_authority(kind: Kind, name: str, root: Authority, now_us: int) -> Authority:
    """Return a new "client-authority" or "server-authority", P-256, below a root."""
    key = ec.generate_private_key(ec.SECP256R1())
    wanted = Wanted(kind, f"{name} {kind.replace('-', ' ')}", key.public_key())
    return Authority(issue(wanted, root, now_us), key)


def server_certificate(
    authority: Authority,
    key: CertificatePublicKeyTypes,
    hosts: Sequence[str],
    now_us: int,
    days: float = 0,
) -> Certificate:
    """Return a certificate for the front.

    `hosts` are IP addresses and DNS names. Raises IssueError.
    """
    return issue(Wanted("server", hosts[0], key, tuple(map(_host, hosts)), days), authority, now_us)


def client_certificate(
    authority: Authority,
    subject: Subject,
    key: CertificatePublicKeyTypes,
    now_us: int,
    days: float = 0,
    kind: Kind = "client",
) -> Certificate:
    """Return a certificate for a system or an officer: "client" to connect, or "encryption".

    Raises IssueError, with the rule it would break.
    """
    name = (x509.UniformResourceIdentifier(str(subject)),)
    return issue(
        Wanted(kind, f"{subject.organisation} {subject.name}", key, name, days),
        authority,
        now_us,
    )


def issue(wanted: Wanted, authority: Authority, now_us: int) -> Certificate:
    """Lint, sign, judge again; raises IssueError."""
    return _issue(wanted, authority.certificate, authority.key, now_us)


def _issue(
    wanted: Wanted, issuer: Certificate | None, key: ec.EllipticCurvePrivateKey, now_us: int
) -> Certificate:
    """Issue below `issuer`, or self-signed where that is None."""
    rules = profile.load(wanted.kind)
    try:
        builder = _builder(wanted, rules, issuer, now_us)
    except ValueError as error:  # the library's own refusals: dates, names
        raise IssueError(f"not of the profile {rules.title}: {error}") from error
    throw_away = ec.generate_private_key(key.curve)
    _must_fit(builder.sign(throw_away, _digest(key)), rules)
    signed = builder.sign(key, _digest(key))
    _must_fit(signed, rules)
    anchor = issuer or signed
    trust = Trust((anchor,), (), "none")
    at = to_datetime(now_us)
    try:
        OpenSslPath(trust).check(signed, (), at)
        if rules.names == "spiffe":
            RustPath(trust).check(signed, (), at)
        for name in wanted.names:
            if isinstance(name, x509.DNSName | x509.IPAddress):
                RustPath(trust).check_server(signed, name, at)
        signed.verify_directly_issued_by(anchor)
    except (PathError, ValueError, TypeError) as error:
        raise IssueError(f"the signed certificate does not verify: {error}") from error
    return signed


def _must_fit(certificate: Certificate, rules: Profile) -> None:
    found = lint.faults(certificate, rules)
    if found:
        raise IssueError(f"not of the profile {rules.title}: {found[0].rule}: {found[0].text}")


def _builder(
    wanted: Wanted, rules: Profile, issuer: Certificate | None, now_us: int
) -> x509.CertificateBuilder:
    start = to_datetime(now_us).replace(microsecond=0) - BACKDATE
    end = start + timedelta(days=wanted.days or rules.days)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wanted.name[:64])])
    path_length = rules.path_length if rules.authority else None
    own = x509.SubjectKeyIdentifier.from_public_key(wanted.public_key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(wanted.public_key)
        .serial_number(1 << SERIAL_RANDOM_BITS | secrets.randbits(SERIAL_RANDOM_BITS))
        .not_valid_before(start)
        .not_valid_after(end if issuer is None else min(end, issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(rules.authority, path_length), critical=True)
        .add_extension(_key_usage(rules), critical=True)
        .add_extension(own, critical=False)
        .add_extension(_authority_key_identifier(issuer, own), critical=False)
    )
    if rules.extended_key_usage:
        usages = [x509.ObjectIdentifier(oid) for oid in rules.extended_key_usage]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if wanted.names:
        builder = builder.add_extension(x509.SubjectAlternativeName(wanted.names), critical=False)
    return builder


def _authority_key_identifier(
    issuer: Certificate | None, own: x509.SubjectKeyIdentifier
) -> x509.AuthorityKeyIdentifier:
    if issuer is None:
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
    above = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above)


def _key_usage(rules: Profile) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in rules.key_usage for name in (*_USAGES, *_USAGES_LATE)})


def _digest(key: ec.EllipticCurvePrivateKey) -> hashes.SHA256 | hashes.SHA384:
    return hashes.SHA384() if key.curve.key_size > ec.SECP256R1.key_size else hashes.SHA256()


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
