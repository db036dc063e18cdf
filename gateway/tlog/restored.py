"""What a log that was put back from a backup says of it: a note by its key, and by two officers.

A statement is a C2SP signed note of these lines, signed by the log's key:

    gateway/log-restored/v1
    <origin>
    kept <size> <root>            what of the log was put back: all before is as it was
    restored <microseconds>
    manifest <SHA-256, hex>       of the backup
    officer <base64>              an approval, as its file (`Consent`); two or more
    authority <base64>            the certificate of who issued theirs, DER; one or more

The log's key alone makes no statement true: officers of the province sign, with certificates that
lead to a root which the reader holds. Whether it fits what a reader kept is the reader's to judge.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from gateway.clock import US_PER_S, from_datetime
from gateway.names import MalformedNameError, parse_subject
from gateway.tlog import ecdsa, leaf
from gateway.tlog.keys import LogKeys
from gateway.tlog.merkle import HASH_LENGTH, SIZE_MAX
from gateway.tlog.note import NoteError, Signer, open_note, sign, split

HEADER = "gateway/log-restored/v1"
CONSENT_FORMAT = "sxgw-restore-v1"
OFFICERS = 2
# A restore is a matter of hours; an approval that lay about for longer is not of this one.
VALID_S = 86_400
_WORD = re.compile(r"[a-z._-]{1,64}", re.ASCII)
_UNTIL = re.compile(r"end|[0-9T:.+Z-]{10,40}", re.ASCII)
_FORM = re.compile(
    rf"{HEADER}\n(\S+)\nkept (0|[1-9][0-9]{{0,18}}) (\S{{44}})\nrestored ([1-9][0-9]{{0,17}})\n"
    r"manifest ([0-9a-f]{64})\n((?:officer \S+\n){2,8})((?:authority \S+\n){1,8})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Consent:
    """An officer's: which backup, why (a word of lower-case letters, dots and dashes), when.

    `until` is the second that it is restored to, as the command has it; "" for the backup alone.
    """

    manifest_sha256: str
    cause: str
    signed_us: int
    certificate: bytes
    signature: bytes
    until: str = ""

    def statement(self) -> bytes:
        """Return the bytes that are signed."""
        return consent_bytes(self.manifest_sha256, self.cause, self.signed_us, self.until)

    def encode(self) -> bytes:
        """Return the file's bytes."""
        return leaf.encode(
            {
                "format": CONSENT_FORMAT,
                "manifest_sha256": self.manifest_sha256,
                "cause": self.cause,
                "signed_us": self.signed_us,
                "certificate": base64.b64encode(self.certificate).decode(),
                "signature": base64.b64encode(self.signature).decode(),
                **({"until": self.until} if self.until else {}),
            }
        )

    def require_signed(self) -> x509.Certificate:
        """Return the certificate whose key signed; raises NoteError with RESTORE_OFFICERS."""
        try:
            certificate = x509.load_der_x509_certificate(self.certificate)
        except ValueError as error:
            raise NoteError("RESTORE_OFFICERS", "an approval names no certificate") from error
        if not ecdsa.verifies(certificate.public_key(), self.statement(), self.signature):
            text = "an approval is not signed by its certificate"
            raise NoteError("RESTORE_OFFICERS", text)
        return certificate


def consent_bytes(manifest_sha256: str, cause: str, signed_us: int, until: str = "") -> bytes:
    """Return what an officer signs; raises NoteError with RESTORE_FORM on other words."""
    if _WORD.fullmatch(cause) is None or (until and _UNTIL.fullmatch(until) is None):
        raise NoteError("RESTORE_FORM", "a cause is one word, a time 2026-11-26T02:00:00+08:00")
    last = f"{until}\n" if until else ""
    return f"{CONSENT_FORMAT}\n{manifest_sha256}\n{cause}\n{signed_us}\n{last}".encode()


def read_consent(content: bytes) -> Consent:
    """Return the approval in a file; raises NoteError with RESTORE_FORM."""
    try:
        told = leaf.parse(content)
        if told["format"] != CONSENT_FORMAT:
            raise NoteError("RESTORE_FORM", "an approval is of another form")
        return Consent(
            str(told["manifest_sha256"]),
            str(told["cause"]),
            int(str(told["signed_us"])),
            base64.b64decode(str(told["certificate"]), validate=True),
            base64.b64decode(str(told["signature"]), validate=True),
            str(told.get("until", "")),
        )
    except (leaf.LeafError, KeyError, ValueError, binascii.Error) as error:
        raise NoteError("RESTORE_FORM", "an approval is malformed") from error


@dataclass(frozen=True, slots=True)
class Anchor:
    """Whom a reader believes: a root certificate, and the province by its names."""

    root: x509.Certificate
    trust_domain: str
    province: str

    def person(self, one: Consent, authorities: Sequence[x509.Certificate]) -> str:
        """Return the name of the province's officer who signed; raises NoteError.

        Officer and issuer were valid when he signed. Whether he was a security officer, and not
        revoked, the gateway judged by its register when it was put back.
        """
        certificate = one.require_signed()
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            (uri,) = names.value.get_values_for_type(x509.UniformResourceIdentifier)
            subject = parse_subject(uri)
        except (ValueError, x509.ExtensionNotFound, MalformedNameError) as error:
            raise NoteError("RESTORE_OFFICERS", "an officer's certificate names nobody") from error
        if (subject.trust_domain, subject.kind) != (self.trust_domain, "officer") or not (
            subject.organisation.startswith(self.province[:2])
            and not subject.organisation[2:].strip("0")
        ):
            raise NoteError("RESTORE_OFFICERS", "who signed is no officer of this province")
        issuers = [each for each in authorities if _issued(each, certificate, one.signed_us)]
        if not any(_issued(self.root, each, one.signed_us) for each in issuers):
            raise NoteError("RESTORE_OFFICERS", "an officer's certificate is not of this gateway")
        return subject.name


def _issued(issuer: x509.Certificate, subject: x509.Certificate, at_us: int) -> bool:
    """Return whether a CA issued a certificate that was valid then."""
    try:
        limits = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        subject.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    begin, end = (
        from_datetime(subject.not_valid_before_utc),
        from_datetime(subject.not_valid_after_utc),
    )
    return limits.ca and begin <= at_us < end


@dataclass(frozen=True, slots=True)
class Restored:
    """A statement: what of the log was kept, when it was put back, of which backup, by whom."""

    origin: str
    size: int
    root: bytes
    restored_us: int
    manifest_sha256: str
    consents: tuple[Consent, ...]
    authorities: tuple[bytes, ...]

    def text(self) -> str:
        """Return the note's text."""
        lines = [
            HEADER,
            self.origin,
            f"kept {self.size} {base64.b64encode(self.root).decode()}",
            f"restored {self.restored_us}",
            f"manifest {self.manifest_sha256}",
            *(f"officer {base64.b64encode(each.encode()).decode()}" for each in self.consents),
            *(f"authority {base64.b64encode(each).decode()}" for each in self.authorities),
        ]
        return "".join(f"{line}\n" for line in lines)

    def signed(self, *signers: Signer) -> str:
        """Return the note that the log's keys signed."""
        return sign(self.text(), *signers)

    @property
    def cause(self) -> str:
        """Why, as the officers say."""
        return self.consents[0].cause

    @property
    def signed_us(self) -> int:
        """When the first of the officers signed."""
        return min(each.signed_us for each in self.consents)

    def require_officers(self, anchor: Anchor) -> None:
        """Pass what two officers signed for, for one cause; raises NoteError (RESTORE_OFFICERS)."""
        try:
            authorities = [x509.load_der_x509_certificate(each) for each in self.authorities]
        except ValueError as error:
            raise NoteError("RESTORE_FORM", "an authority's certificate is malformed") from error
        persons = {anchor.person(each, authorities) for each in self.consents}
        about = {(each.manifest_sha256, each.cause, each.until) for each in self.consents}
        if len(persons) < OFFICERS or len(about) != 1:
            raise NoteError("RESTORE_OFFICERS", "two officers sign for one backup and one cause")
        ages = [self.restored_us - each.signed_us for each in self.consents]
        if {each.manifest_sha256 for each in self.consents} != {self.manifest_sha256} or not all(
            0 <= each <= VALID_S * US_PER_S for each in ages
        ):
            raise NoteError("RESTORE_OFFICERS", "the officers signed for another restore")


def digest(raw: str) -> str:
    """Return what the leaf `backup.restore` calls a statement by: SHA-256 of its text, hex."""
    return hashlib.sha256(split(raw)[0].encode()).hexdigest()


def read(raw: str, keys: LogKeys) -> Restored:
    """Return the statement of a note that a key of the log signed which proves the kept size.

    Raises NoteError: RESTORE_FORM, RESTORE_ORIGIN, SIGNATURE_MISSING, SIGNATURE_INVALID.
    """
    match = _FORM.fullmatch(split(raw)[0])
    if match is None or int(match[2]) > SIZE_MAX:
        raise NoteError("RESTORE_FORM", "not a statement of restore")
    if match[1] != keys.origin:
        raise NoteError("RESTORE_ORIGIN", f"the statement is of the log {match[1]!r}")
    size = int(match[2])
    open_note(raw, [one.verifier for one in keys.ranges if one.covers(size)])
    try:
        root = base64.b64decode(match[3], validate=True)
        officers, authorities = (_encoded(match[place]) for place in (6, 7))
    except binascii.Error as error:
        raise NoteError("RESTORE_FORM", "not base64") from error
    if len(root) != HASH_LENGTH:
        raise NoteError("RESTORE_FORM", "the root is not a hash")
    consents = tuple(map(read_consent, officers))
    return Restored(match[1], size, root, int(match[4]), match[5], consents, tuple(authorities))


def _encoded(lines: str) -> list[bytes]:
    return [base64.b64decode(line.split(" ")[1], validate=True) for line in lines.splitlines()]
