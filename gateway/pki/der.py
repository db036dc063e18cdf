"""Certificates from foreign bytes: DER or PEM in, bounded, and every fault of a parser is ours.

What the parser would forgive or warn about (a serial number that is zero, negative or too long;
bytes after the end) is refused here first, on the DER itself (X.690 sections 8.1 and 10.1; RFC 5280
section 4.1.2.2).
"""

import base64
import re

from cryptography import x509
from cryptography.x509 import Certificate, CertificateRevocationList

# A client certificate of ours has about 700 bytes; a chain file of PKITS's longest path less than
# 16 KiB.
CERTIFICATE_MAX_BYTES = 16_384
# RFC 5280 section 4.1.2.2.
SERIAL_MAX_BYTES = 20

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_LIST_END = b"-----END X509 CRL-----"
_SEQUENCE = 0x30
_INTEGER = 0x02
_VERSION = 0xA0
_LONG_FORM = 0x80
_LENGTH_MAX_BYTES = 4
_SHORT_MAX = 0x7F


class MalformedError(ValueError):
    """The bytes are not what they should be.

    The text says what is wrong and never holds their content.
    """


def certificate(der: bytes) -> Certificate:
    """Return the certificate of DER bytes.

    Raises MalformedError, also for a serial number that RFC 5280 forbids.
    """
    _check_serial(serial_octets(der))
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion) as error:
        raise MalformedError("not an X.509 certificate") from error


def serial_octets(der: bytes) -> bytes:
    """Return the content octets of a certificate's serial number as they stand in the DER.

    Raises MalformedError.
    """
    if len(der) > CERTIFICATE_MAX_BYTES:
        raise MalformedError(f"longer than {CERTIFICATE_MAX_BYTES} bytes")
    body, rest = _read(der, _SEQUENCE)
    if rest:
        raise MalformedError("bytes after the end")
    fields, _ = _read(body, _SEQUENCE)
    if fields[:1] == bytes([_VERSION]):
        _, fields = _read(fields, _VERSION)
    serial, _ = _read(fields, _INTEGER)
    return serial


def tags(der: bytes) -> tuple[int, ...]:
    """Return the tags of the elements inside a SEQUENCE, in their order; raises MalformedError."""
    rest, _ = _read(der, _SEQUENCE)
    found = []
    while rest:
        found.append(rest[0])
        _, rest = _read(rest, rest[0])
    return tuple(found)


def certificates(content: bytes) -> list[Certificate]:
    """Return the certificates of a file, PEM (one or more) or DER (one); raises MalformedError."""
    if b"-----BEGIN" not in content:
        return [certificate(content)]
    try:
        blocks = [block for block in _pem_blocks(content) if block]
    except ValueError as error:
        raise MalformedError("not PEM") from error
    if not blocks:
        raise MalformedError("no certificate in it")
    return [certificate(block) for block in blocks]


def revocation_list(content: bytes) -> CertificateRevocationList:
    """Return the revocation list of a file, PEM or DER; raises MalformedError."""
    try:
        if b"-----BEGIN" in content:
            return x509.load_pem_x509_crl(content)
        return x509.load_der_x509_crl(content)
    except (ValueError, x509.InvalidVersion) as error:
        raise MalformedError("not a revocation list") from error


def revocation_lists(content: bytes) -> list[CertificateRevocationList]:
    """Return the revocation lists of a file, PEM (one or more) or DER (one).

    Raises MalformedError.
    """
    blocks = content.split(_LIST_END)
    if len(blocks) == 1:
        return [revocation_list(content)]
    return [revocation_list(block + _LIST_END) for block in blocks[:-1]]


def _check_serial(octets: bytes) -> None:
    if not octets or octets[0] & 0x80 or not any(octets):
        raise MalformedError("the serial number is not positive")
    if len(octets) > SERIAL_MAX_BYTES:
        raise MalformedError(f"the serial number is longer than {SERIAL_MAX_BYTES} octets")


def _read(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """Return the content of the element at the start and what follows it."""
    start = len(b"tl")  # one octet of tag, one of length
    if len(der) < start or der[0] != tag:
        raise MalformedError("not DER of a certificate")
    length = der[1]
    if length & _LONG_FORM:
        count = length & _SHORT_MAX
        start += count
        length = int.from_bytes(der[2:start], "big")
        if not 1 <= count <= _LENGTH_MAX_BYTES or length <= _SHORT_MAX or der[2] == 0:
            raise MalformedError("not DER: a length is not in its shortest form")
    if len(der) < start + length:
        raise MalformedError("not DER: cut short")
    return der[start : start + length], der[start + length :]


def _pem_blocks(content: bytes) -> list[bytes]:
    found = _PEM.findall(content)
    return [base64.b64decode(b"".join(block.split()), validate=True) for block in found]
