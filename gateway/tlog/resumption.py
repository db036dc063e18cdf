"""What two officers sign so that a signer that lost its state may go on, and whether it is that.

    request     the host tells the log as it lies in its database: size, root, and proofs that it
                continues earlier checkpoints
    statement   the bytes that an officer signs with the key of the own certificate, after the own
                kept checkpoint was found to be of the same log
    approval    the signature, and the certificate by whose key it verifies

Nobody but people who kept a checkpoint elsewhere can tell such a log from one that was rolled back
with the signer: that is why it takes two of them. Pure.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.x509 import Certificate

from gateway.tlog import ecdsa
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.merkle import HASH_LENGTH, SIZE_MAX, MerkleError, verify_consistency


class ResumptionError(ValueError):
    """A request or approval is not what it must be; `code` is one word per cause."""

    def __init__(self, code: str, message: str) -> None:
        """Make an error; the message is for people."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Request:
    """A log of `size` entries that a signer shall go on with; when it was made, microseconds.

    `proofs`: by an earlier size, the hashes that prove it a prefix (RFC 6962).
    """

    origin: str
    size: int
    root: bytes
    made_us: int
    proofs: Mapping[int, Sequence[bytes]]

    @property
    def statement(self) -> bytes:
        """The bytes that an officer signs; the time keeps a signature from serving again."""
        root = base64.b64encode(self.root).decode()
        return f"sxgw-signer-v1\n{self.origin}\n{self.size}\n{root}\n{self.made_us}\n".encode()

    @property
    def digest(self) -> str:
        """SHA-256 of the statement, hex: what the log calls it by."""
        return hashlib.sha256(self.statement).hexdigest()

    def require_continues(self, kept: Checkpoint) -> None:
        """Pass a log of which the kept checkpoint is a part; raises ResumptionError."""
        if kept.origin != self.origin:
            raise ResumptionError("LOG_OTHER", f"the checkpoint is of {kept.origin}")
        if self.size < kept.size:
            told = f"{self.size} entries, and a checkpoint of {kept.size} was kept"
            raise ResumptionError("LOG_SHORTENED", told)
        hashes = self.proofs.get(kept.size, ())
        if not hashes and kept.size not in (0, self.size):
            raise ResumptionError("PROOF_MISSING", f"no proof from {kept.size}")
        try:
            verify_consistency(kept.size, self.size, hashes, kept.root, self.root)
        except MerkleError as error:
            told = f"what was kept at {kept.size} is not a part of it"
            raise ResumptionError("LOG_INCONSISTENT", told) from error

    def encode(self) -> bytes:
        """Return the request as a file."""
        proofs = {str(size): [each.hex() for each in one] for size, one in self.proofs.items()}
        document = {
            "origin": self.origin,
            "size": self.size,
            "root": self.root.hex(),
            "made_us": self.made_us,
            "proofs": proofs,
        }
        return json.dumps(document, indent=1).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Approval:
    """An officer's signature over a statement: ECDSA with SHA-256, DER."""

    certificate_sha256: str
    signature: bytes

    def encode(self) -> bytes:
        """Return the approval as a file."""
        signature = base64.b64encode(self.signature).decode()
        document = {"certificate_sha256": self.certificate_sha256, "signature": signature}
        return json.dumps(document, indent=1).encode() + b"\n"

    def verifies(self, certificate: Certificate, statement: bytes) -> None:
        """Pass a signature of this certificate's key; raises ResumptionError."""
        if not ecdsa.verifies(certificate.public_key(), statement, self.signature):
            raise ResumptionError("APPROVAL_SIGNATURE", "not this officer's signature over this")


def read_request(content: bytes) -> Request:
    """Return the request in a file; raises ResumptionError."""
    try:
        document = json.loads(content)
        proofs = {int(size): tuple(map(_hash, one)) for size, one in document["proofs"].items()}
        size, made_us = document["size"], document["made_us"]
        if type(size) is not int or type(made_us) is not int or not 0 <= size <= SIZE_MAX:
            raise TypeError
        origin = str(document["origin"])
        if not origin.isprintable():
            raise TypeError
        return Request(origin, size, _hash(document["root"]), made_us, proofs)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResumptionError("FILE_MALFORMED", "not a request to resume") from error


def read_approval(content: bytes) -> Approval:
    """Return the approval in a file; raises ResumptionError."""
    try:
        document = json.loads(content)
        digest = _hash(document["certificate_sha256"]).hex()
        return Approval(digest, base64.b64decode(document["signature"], validate=True))
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise ResumptionError("FILE_MALFORMED", "not an approval") from error


def _hash(text: str) -> bytes:
    found = bytes.fromhex(text)
    if len(found) != HASH_LENGTH:
        raise ValueError("not a hash")
    return found
