r"""Identifiers and their check digits.

Child codes, record and document ids, identity numbers, trace codes, phones.

Patterns are ASCII only: Python's `\d` and `str.isdigit` take full-width digits.
"""

import re
from datetime import date
from operator import mul

CHILD_CODE = re.compile(r"[0-9]{18}", re.ASCII)
# The programme's code; "" is a missing item, which other rules find.
VACCINE_CODE = re.compile(r"(?:[0-9]{4})?", re.ASCII)
DIVISION_CODE = re.compile(r"[0-9]{6}", re.ASCII)
# Our own syntax for document numbers of the units' systems.
_DOCUMENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}", re.ASCII)
_UUID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE
)
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)
_CROCKFORD = {sign: value for value, sign in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
_CROCKFORD_BITS = 5
# A letter and nine digits (ministry's form of the birth certificate).
_BIRTH_CERTIFICATE = re.compile(r"[A-Z][0-9]{9}", re.ASCII)
_PHONE = re.compile(r"1[3-9][0-9]{9}|0[0-9]{2,3}-?[0-9]{7,8}", re.ASCII)
# GB 11643-1999: division, birth date, sequence, check character.
_IDENTITY_NUMBER = re.compile(r"[1-9][0-9]{16}[0-9X]", re.ASCII)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
# Clinic systems write it for "not yet obtained".
SENTINEL = "888888888888888888"
# ISO/IEC 15459: an issuing agency code and data, as a GS1 element string or another agency's.
_ISO_CODE = re.compile(r"[!-\"%-?A-Z_a-z\x1d]{8,90}", re.ASCII)
_GTIN = re.compile(r"\(?01\)?([0-9]{14})", re.ASCII)
# What looks like a person's number is no document number, so that it is never repeated in an answer
# or a list.
_PERSONAL = re.compile(r"[0-9]{17}[0-9Xx]|1[3-9][0-9]{9}", re.ASCII)


def record_id_bytes(text: str) -> bytes | None:
    """Return the 16 bytes of a UUID or ULID, or None when it is neither."""
    if _UUID.fullmatch(text):
        return bytes.fromhex(text.replace("-", ""))
    if _ULID.fullmatch(text):
        value = 0
        for sign in text:
            value = value << _CROCKFORD_BITS | _CROCKFORD[sign]
        return value.to_bytes(16)
    return None


def is_document_id(text: str) -> bool:
    """Return whether a text can be a document number.

    1-64 signs, and nothing that looks like a person's number.
    """
    return _DOCUMENT_ID.fullmatch(text) is not None and not _PERSONAL.fullmatch(text)


def is_phone(text: str) -> bool:
    """Return whether a text is a mobile or a landline number."""
    return _PHONE.fullmatch(text) is not None


def is_birth_certificate(text: str) -> bool:
    """Return whether a text has the form of a birth certificate number."""
    return _BIRTH_CERTIFICATE.fullmatch(text) is not None


def identity_number_day(number: str) -> date | None:
    """Return the birth date in an identity number.

    GB 11643-1999), or None when form, check character or day is wrong.
    """
    if not _IDENTITY_NUMBER.fullmatch(number):
        return None
    total = sum(map(mul, _WEIGHTS, map(int, number[:17])))
    if _CHECKS[total % 11] != number[17]:
        return None
    try:
        return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None


def identity_number_is_male(number: str) -> bool:
    """Return whether the sequence of an identity number is odd, which stands for a man."""
    return int(number[16]) % 2 == 1


def is_iso_code(text: str) -> bool:
    """Return whether a text can be an ISO/IEC 15459 code.

    A GTIN at its start must have the right check digit.
    """
    if not _ISO_CODE.fullmatch(text):
        return False
    gtin = _GTIN.match(text)
    if gtin is None:
        return True
    digits = [int(digit) for digit in gtin.group(1)]
    total = sum(digit * (3 if place % 2 == 0 else 1) for place, digit in enumerate(digits))
    return total % 10 == 0
