"""NIST PKITS as data: the path of each signed message, what its name says of it, and where we differ, name by name.

The suite comes with the development dependency cryptography-vectors. Messages whose name says neither Valid nor Invalid
(certificate policies, section 4.8) have no verdict of their own: theirs depends on the policies the asking side sets.
"""

import email
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cryptography_vectors

from tests.pki.forge import children

DATA = Path(cryptography_vectors.__file__).parent / "x509" / "PKITS_data"
ANCHOR = DATA / "certs" / "TrustAnchorRootCertificate.crt"
CRLS = sorted((DATA / "crls").glob("*.crl"))
# Within the life of the whole suite.
AT = datetime(2026, 1, 1, tzinfo=UTC)
# A suite that shrank would prove less and say nothing.
VALID, INVALID = 88, 114

ACCEPTED_WRONGLY = {
    "InvaliddeltaCRLTest4": "revoked by a delta list alone (RFC 5280 section 5.2.4): we neither issue nor take any",
}
# Why a valid path of these is refused: what it needs stands in no certificate or list of ours, nor may it.
REFUSED_WRONGLY = {
    "its list is partial, indirect, a delta, or signed by another key than the issuer's": """
        ValidBasicSelfIssuedCRLSigningKeyTest6 ValidBasicSelfIssuedNewWithOldTest4 ValidIDPwithindirectCRLTest22
        ValidIDPwithindirectCRLTest24 ValidIDPwithindirectCRLTest25 ValidSeparateCertificateandCRLKeysTest19
        ValidcRLIssuerTest28 ValidcRLIssuerTest29 ValidcRLIssuerTest30 ValidcRLIssuerTest33 ValiddeltaCRLTest5
        ValidonlySomeReasonsTest18 ValidonlySomeReasonsTest19""",
    "names constrained to a directory or to URIs, which cryptography refuses to judge": """
        ValidDNandRFC822nameConstraintsTest27 ValidDNnameConstraintsTest1 ValidDNnameConstraintsTest4
        ValidDNnameConstraintsTest5 ValidDNnameConstraintsTest6 ValidDNnameConstraintsTest11
        ValidDNnameConstraintsTest14 ValidDNnameConstraintsTest18 ValidSelfIssuedDNnameConstraintsTest19
        ValidURInameConstraintsTest34 ValidURInameConstraintsTest36""",
    "policies mapped, required or inhibited by a critical extension, which cryptography refuses to judge": """
        ValidPolicyMappingTest1 ValidPolicyMappingTest3 ValidPolicyMappingTest5 ValidPolicyMappingTest6
        ValidPolicyMappingTest9 ValidPolicyMappingTest11 ValidPolicyMappingTest12 ValidPolicyMappingTest13
        ValidPolicyMappingTest14 ValidRequireExplicitPolicyTest1 ValidRequireExplicitPolicyTest2
        ValidRequireExplicitPolicyTest4 ValidSelfIssuedinhibitAnyPolicyTest7
        ValidSelfIssuedinhibitPolicyMappingTest7 ValidSelfIssuedrequireExplicitPolicyTest6
        ValidinhibitAnyPolicyTest2 ValidinhibitPolicyMappingTest2 ValidinhibitPolicyMappingTest4""",
    "the issuer's name is not, octet for octet, the subject of the one above": """
        ValidNameChainingCapitalizationTest5 ValidNameChainingWhitespaceTest3 ValidNameChainingWhitespaceTest4
        ValidRolloverfromPrintableStringtoUTF8StringTest10 ValidUTF8StringCaseInsensitiveMatchTest11""",
    "several authorities of one name follow each other in one path": """
        ValidSelfIssuedinhibitAnyPolicyTest9 ValidSelfIssuedpathLenConstraintTest15
        ValidSelfIssuedpathLenConstraintTest17""",
    "DSA": "ValidDSAParameterInheritanceTest5 ValidDSASignaturesTest4",
    "a form that RFC 5280 forbids an issuer: GeneralizedTime before 2050, uncritical basic constraints": """
        ValidGeneralizedTimenotBeforeDateTest4 ValidbasicConstraintsNotCriticalTest4""",
}
# Refused by the reader of a certificate, before any path is looked for.
UNREADABLE = {
    "InvalidNegativeSerialNumberTest15": "a serial number below zero (RFC 5280 section 4.1.2.2)",
    "ValidDSAParameterInheritanceTest5": "DSA parameters left to be inherited: cryptography reads no such key",
}


@dataclass(frozen=True)
class Case:
    """One message's path in DER, its signer's certificate first; `name` begins with the suite's verdict."""

    name: str
    leaf: bytes
    above: tuple[bytes, ...]

    @property
    def valid(self) -> bool:
        """What the suite says."""
        return self.name.startswith("Valid")


def cases() -> Iterator[Case]:
    """Yield every message that has a verdict."""
    for path in sorted((DATA / "smime").glob("Signed*.eml")):
        name = path.stem.removeprefix("Signed")
        if name.startswith(("Valid", "Invalid")):
            parts = email.message_from_bytes(path.read_bytes()).walk()
            (signature,) = [
                part for part in parts if part.get_content_type() == "application/pkcs7-signature"
            ]
            content = signature.get_payload(decode=True)
            assert isinstance(content, bytes)
            yield _case(name, content)


def _case(name: str, message: bytes) -> Case:
    """Take a SignedData apart (RFC 5652 section 5.1): certificates, and the issuer and serial number of the signer's."""
    signed_data = children(children(message)[1])[0]
    (certificates,) = [part for part in children(signed_data) if part[0] == 0xA0]
    signer = children(children(signed_data)[-1])[0]
    wanted = children(children(signer)[1])
    found = children(certificates)
    (leaf,) = [one for one in found if _issuer_and_serial(one) == wanted]
    return Case(name, leaf, tuple(one for one in found if one is not leaf))


def _issuer_and_serial(certificate: bytes) -> list[bytes]:
    fields = children(children(certificate)[0])
    serial, _, issuer = fields[1:4] if fields[0][0] == 0xA0 else fields[0:3]
    return [issuer, serial]
