"""An authority that is not ours, the province's own: trusted beside ours or in place of them.

Its key, and so its list, are made elsewhere: the list is fetched as a file that the admin (or cron)
puts at `authorities.external_list`, and `publish` takes it from there when it passes `judge_list`.
A list that ends is CRL_STALE for its bearers, and for nobody else. Its certificates are let in when
they are of certs/external-client.toml and stand in the register, each entered by hand.
"""

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, CertificateRevocationList

from gateway.clock import Clock, to_datetime
from gateway.config.folders import replace_private, replace_public
from gateway.config.home import Home
from gateway.config.strict import SettingsError
from gateway.errors import Reason, refuse
from gateway.pki import authorities, ceremony, crl, der, keys, rollover
from gateway.pki.authorities import Anchor
from gateway.pki.paths import OpenSslPath, PathError, Trust
from gateway.pki.verify import Verified, Verifier

_KEYS = ("P-256", "P-384", "RSA")
# A list of these is not of all of an authority's certificates (RFC 5280 sections 5.2.4, 5.2.5).
_PARTIAL = (x509.DeltaCRLIndicator, x509.IssuingDistributionPoint)


def judge_authority(certificate: Certificate, trusted: Sequence[Anchor], now_us: int) -> None:
    """Pass an authority that may be trusted beside these; raises SettingsError."""
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        keys.check(certificate.public_key(), _KEYS)
        OpenSslPath(Trust((certificate,), (), "none")).check(certificate, (), to_datetime(now_us))
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise SettingsError(f"not an authority's certificate: {error}") from error
    except PathError as error:
        raise SettingsError(f"not an authority's certificate: {error.text}") from error
    if not (basic.ca and usage.key_cert_sign and usage.crl_sign):
        raise SettingsError("an authority's certificate signs certificates and lists")
    for anchor in trusted:
        if anchor.name == authorities.key_name(certificate.public_key()):
            raise SettingsError("this authority is trusted already")
        if anchor.certificate.subject == certificate.subject:
            raise SettingsError("an authority of this name is trusted already")


def judge_list(found: CertificateRevocationList, authority: Certificate) -> None:
    """Pass a list that an authority signed, of all that it issued; raises SettingsError.

    Whether it is current is seen in each handshake.
    """
    if crl.of(authority, (found,)) is None:
        raise SettingsError("the list is not this authority's")
    try:
        crl.number_of(found)
        extensions = list(found.extensions)
    except (ValueError, x509.DuplicateExtension) as error:
        raise SettingsError(f"the list cannot be used: {error}") from error
    if any(isinstance(one.value, _PARTIAL) or one.critical for one in extensions):
        raise SettingsError("the list is not of all that the authority issued")
    if found.next_update_utc is None:
        raise SettingsError("the list has no end")


def judge(
    home: Home, certificate: Certificate, found: CertificateRevocationList, now_us: int
) -> None:
    """Pass an authority with its list that this HOME may trust; raises SettingsError."""
    if authorities.is_ours(certificate, authorities.roots(home)):
        raise SettingsError("our own root signed this authority: install it")
    judge_authority(certificate, authorities.load(home), now_us)
    judge_list(found, certificate)
    now, end = to_datetime(now_us), found.next_update_utc
    if end is None or not found.last_update_utc <= now < end:
        raise SettingsError("the list is not current")


def trust(home: Home, certificate: Certificate, found: CertificateRevocationList) -> None:
    """Trust an authority that was judged: behind those that are trusted, the list first."""
    content = found.public_bytes(Encoding.PEM)
    with authorities.alone(home):
        replace_private(authorities.external_list(home, certificate), content)
        anchors = [*(one.certificate for one in authorities.load(home)), certificate]
        rollover.write_lists(home, anchors, found)
        replace_public(home.client_authority_certificate, b"".join(map(ceremony.pem, anchors)))


def judge_leaf(home: Home, content: bytes, trust_domain: str, clock: Clock) -> Verified:
    """Return what a certificate (DER) of an external authority proves, judged as the front would.

    Raises the front's refusal; CERT_UNTRUSTED, too, for one of our own authorities: those issue.
    """
    anchors = authorities.load(home)
    lists = der.revocation_lists(home.crl.read_bytes())
    found = [crl.of(one.certificate, lists) for one in anchors]
    others = [one for one in anchors if not one.ours]
    trusted = Trust(
        tuple(one.certificate for one in anchors),
        tuple(one for one in found if one is not None),
        external=tuple(one.certificate for one in others),
    )
    judged = Verifier(trusted, trust_domain, clock).judge((content,))
    if judged.defect is not None:
        raise refuse(judged.defect)
    if judged.issuer_sha256 not in [one.spki_sha256 for one in others]:
        raise refuse(Reason.CERT_UNTRUSTED, metadata={"rule": "external"})
    return judged
