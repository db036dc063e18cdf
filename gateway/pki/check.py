"""Judges one certificate from files alone, by the rules of the front: `gateway certificate check`.

The steps are those of `verify`, with three differences: anchors and intermediates are whatever is
given, a revocation list is asked only where one is given (then the leaf's issuer must have one, and
whoever above it has one is asked too), and the trust domain only where one is named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.x509 import Certificate, CertificateRevocationList

from gateway.errors import Reason, Refusal, refuse
from gateway.pki import lint, profile
from gateway.pki.paths import OpenSslPath, PathError, RustPath, Trust
from gateway.pki.verify import Verified, reason_of, told, verified

# Longer paths than this nobody issues, and each step costs.
DEPTH_MAX = 8
STANDS, BROKEN = "stands", "broken"


@dataclass(frozen=True, slots=True)
class Question:
    """A leaf, a time, the authorities and lists to judge it by.

    `trust_domain` "" accepts any.
    """

    leaf: Certificate
    anchors: tuple[Certificate, ...]
    intermediates: tuple[Certificate, ...]
    crls: tuple[CertificateRevocationList, ...]
    at: datetime
    trust_domain: str = ""


def judge(question: Question) -> Verified:
    """Return what the certificate proves; raises the refusal of the first rule that it breaks.

    Its metadata: `rule` (a verifier's or one of lint's), `text`, for OpenSSL `errno`, `depth`, and
    `path`: STANDS where both verifiers accept the path, whatever our profile says of the leaf.
    """
    trust = Trust(question.anchors, question.crls, "leaf" if question.crls else "none")
    openssl = OpenSslPath(trust)
    broken: Refusal | None = None
    try:
        path = openssl.path(question.leaf, question.intermediates, question.at)
        for place, above in enumerate(path[1:-1], start=1):
            if _has_list(above, question.crls):
                _check_above(openssl, above, path[place + 1 :], question.at)
        broken = _profile_refusal(question.leaf)
        RustPath(trust, DEPTH_MAX).check(question.leaf, question.intermediates, question.at)
    except PathError as error:
        raise broken or _refusal(error) from None
    if broken:
        broken.metadata["path"] = STANDS
        raise broken
    subject = lint.subject_of(question.leaf)
    if question.trust_domain and subject.trust_domain != question.trust_domain:
        raise _broken(
            Reason.CERT_UNTRUSTED, "trust-domain", "it names another trust domain", STANDS
        )
    return verified(question.leaf, subject)


def _profile_refusal(leaf: Certificate) -> Refusal | None:
    found = lint.faults(leaf, profile.load("client"))
    return _broken(Reason.CERT_PROFILE, found[0].rule, found[0].text) if found else None


def _check_above(
    openssl: OpenSslPath, above: Certificate, further: Sequence[Certificate], at: datetime
) -> None:
    """Ask an intermediate's own list; what is wrong with it is told as wrong above the leaf."""
    try:
        openssl.check(above, further, at)
    except PathError as error:
        raise PathError(error.verifier, error.number, error.depth + 1, error.text) from None


def _has_list(certificate: Certificate, crls: Sequence[CertificateRevocationList]) -> bool:
    return any(crl.issuer == certificate.issuer for crl in crls)


def _refusal(error: PathError) -> Refusal:
    refusal = refuse(reason_of(error.number, error.depth))
    refusal.metadata = {**told(error), "text": error.text, "path": BROKEN}
    return refusal


def _broken(reason: Reason, rule: str, text: str, path: str = BROKEN) -> Refusal:
    return refuse(reason, metadata={"rule": rule, "text": text, "path": path})
