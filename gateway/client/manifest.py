"""Takes an export's plaintext apart while it streams: signed manifest, rows, signed trailer.

The recipient's own judgement, whatever the gateway did: the manifest must be signed by the
gateway's export key and speak of this ticket, plan and certificate; the trailer must go with it and
with every byte between them. Only then is a file whole.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import load_der_public_key

from gateway.tlog import ecdsa, leaf

# As in gateway/exports/manifest.py, which a test compares.
MANIFEST_BYTES, TRAILER_BYTES = 65_536, 4_096
MANIFEST, TRAILER = "sxgw-manifest-v1", "sxgw-trailer-v1"


class ManifestError(Exception):
    """The plaintext is not the export that was asked for.

    `cause`: form, key, signature, another (ticket, plan or certificate), trailer, truncated.
    """

    def __init__(self, cause: str) -> None:
        """Make an error."""
        super().__init__(cause)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Expected:
    """What the recipient asked for; digests in lower hex, the keys as DER by their id."""

    ticket: str
    plan_sha256: str
    encryption_certificate_sha256: str
    keys: Mapping[str, bytes]


class Opened:
    """An export's plaintext as it comes; `manifest` is there with the first row, `trailer` last."""

    def __init__(self, expected: Expected) -> None:
        """Judge by this."""
        self.manifest: dict[str, leaf.Json] = {}
        self.trailer: dict[str, leaf.Json] = {}
        self._expected = expected
        self._sha256 = ""

    def rows(self, plaintext: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the bytes between manifest and trailer.

        Raises ManifestError, at the end at the latest: throw away what was yielded before.
        """
        held, digest, length = b"", hashlib.sha256(), 0
        for piece in plaintext:
            held += piece
            if not self.manifest:
                if len(held) < MANIFEST_BYTES:
                    continue
                block, held = held[:MANIFEST_BYTES], held[MANIFEST_BYTES:]
                self._begin(block)
            ready, held = held[:-TRAILER_BYTES], held[-TRAILER_BYTES:]
            digest.update(ready)
            length += len(ready)
            if ready:
                yield ready
        if not self.manifest or len(held) != TRAILER_BYTES:
            raise ManifestError("truncated")
        self._end(held, {"data_bytes": length, "data_sha256": digest.hexdigest()})

    def _begin(self, block: bytes) -> None:
        found, expected = self._read(MANIFEST, block), self._expected
        meant = {
            "ticket": expected.ticket,
            "plan_sha256": expected.plan_sha256,
            "encryption_certificate_sha256": expected.encryption_certificate_sha256,
        }
        if any(found.get(name) != value for name, value in meant.items()):
            raise ManifestError("another")
        self.manifest, self._sha256 = found, hashlib.sha256(block).hexdigest()

    def _end(self, block: bytes, counted: Mapping[str, leaf.Json]) -> None:
        found = self._read(TRAILER, block)
        meant = {"ticket": self._expected.ticket, "manifest_sha256": self._sha256, **counted}
        if any(found.get(name) != value for name, value in meant.items()):
            raise ManifestError("trailer")
        self.trailer = found

    def _read(self, form: str, block: bytes) -> dict[str, leaf.Json]:
        """Return the document of a block that the export key signed."""
        line, _, rest = block.partition(b"\n")
        text, _, padding = rest.partition(b"\n")
        try:
            found = leaf.parse(line)
            signature = base64.b64decode(text, validate=True)
        except (leaf.LeafError, binascii.Error) as error:
            raise ManifestError("form") from error
        if found.get("format") != form or padding.strip(b" ") != b"\n":
            raise ManifestError("form")
        named = found if form == MANIFEST else self.manifest
        _verify(self._expected.keys.get(str(named.get("key_id"))), signature, form, line)
        return found


def _verify(spki: bytes | None, signature: bytes, form: str, line: bytes) -> None:
    """Raise ManifestError unless the key that is named, and known, signed the line."""
    key = None if spki is None else load_der_public_key(spki)
    if key is None:
        raise ManifestError("key")
    if not ecdsa.verifies(key, form.encode() + b"\n" + line, signature):
        raise ManifestError("signature")
