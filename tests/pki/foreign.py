"""An authority as a province might have one already: RSA, its own names, addresses of its lists in every certificate."""

from dataclasses import dataclass
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from gateway.clock import to_datetime
from gateway.names import Subject
from tests.pki.forge import CITY, Papers

DAY_US = 86_400_000_000
USAGES = dict.fromkeys(
    (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ),
    False,
)
# What such an authority cannot leave out.
ADDRESSES = (
    x509.CRLDistributionPoints(
        [
            x509.DistributionPoint(
                [x509.UniformResourceIdentifier("http://ca.sx/1.crl")], None, None, None
            )
        ]
    ),
    x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP,
                x509.UniformResourceIdentifier("http://ca.sx/ocsp"),
            )
        ]
    ),
    x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3.4"), None)]),
)


def usage(*named: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{**USAGES, **dict.fromkeys(named, True)})


@dataclass(frozen=True)
class Foreign:
    """The authority."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate
    now_us: int

    @classmethod
    def make(
        cls,
        now_us: int,
        *,
        bits: int = 3072,
        ca: bool = True,
        usages: tuple[str, ...] = ("key_cert_sign", "crl_sign", "digital_signature"),
        name: str = "Shanxi CA",
        days: float = 3650,
    ) -> "Foreign":
        """Make one, self-signed; the words are what may be wrong with it."""
        key = rsa.generate_private_key(65537, bits)
        own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        start = to_datetime(now_us - DAY_US).replace(microsecond=0)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(own)
            .issuer_name(own)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(usage(*usages), critical=True)
            .add_extension(identifier, critical=False)
        )
        return cls(key, builder.sign(key, hashes.SHA256()), now_us)

    def good(
        self,
        subject: Subject = CITY,
        *,
        further: tuple[x509.ExtensionType, ...] = ADDRESSES,
        critical: bool = False,
        days: int = 90,
    ) -> Papers:
        """Issue a client certificate of the wider profile."""
        key = ec.generate_private_key(ec.SECP256R1())
        start = to_datetime(self.now_us).replace(microsecond=0) - timedelta(minutes=5)
        san = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(subject))])
        above = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "his")]))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=days))
            .add_extension(x509.BasicConstraints(False, None), critical=True)
            .add_extension(usage("digital_signature"), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(san, critical=False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above.value),
                critical=False,
            )
        )
        for extension in further:
            builder = builder.add_extension(extension, critical=critical)
        leaf = builder.sign(self.key, hashes.SHA256())
        return Papers((leaf.public_bytes(Encoding.DER),), key)

    def revocations(
        self,
        *revoked: Papers,
        number: int | None = 1,
        now_us: int = 0,
        days: int = 7,
        further: tuple[x509.ExtensionType, ...] = (),
        critical: bool = True,
    ) -> x509.CertificateRevocationList:
        """Sign a list."""
        start = to_datetime(now_us or self.now_us).replace(microsecond=0) - timedelta(minutes=5)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(start)
            .next_update(start + timedelta(days=days))
        )
        if number is not None:
            builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        for extension in further:
            builder = builder.add_extension(extension, critical=critical)
        for papers in revoked:
            leaf = x509.load_der_x509_certificate(papers.chain[0])
            entry = x509.RevokedCertificateBuilder().serial_number(leaf.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(start).build())
        return builder.sign(self.key, hashes.SHA256())
