"""What an export says of itself: a signed manifest before its rows and a signed trailer after them.

age proves that nobody changed a file, not who made it nor for what. So the first 64 KiB of the
plaintext are the manifest: ticket, plan, recipient, tunnel, columns, until when. How many rows
there are is known at the end alone: the last 4 KiB are the trailer, which names the manifest by
digest, so that neither is worth anything with another. A block is one line of canonical JSON, one
line with its signature (ECDSA P-256, SHA-256, DER, base64), and spaces.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.exports.plan import Plan
from gateway.policy.fields import MASK_VERSION
from gateway.tlog import leaf

# One chunk of age's STREAM: who has decrypted one chunk can judge the manifest.
MANIFEST_BYTES = 65_536
TRAILER_BYTES = 4_096
MANIFEST, TRAILER = "sxgw-manifest-v1", "sxgw-trailer-v1"
Sign = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Content:
    """What lies between manifest and trailer; `withheld`: cells emptied as somebody's number."""

    rows: int
    children: int
    withheld: int
    data_bytes: int
    data_sha256: str


def manifest(
    ticket_id: str, plan: Plan, *, key_id: str, bundle: str, clock: Clock, sign: Sign
) -> bytes:
    """Return the manifest of a ticket's export, 65,536 bytes."""
    document: dict[str, leaf.Json] = {
        "ticket": ticket_id,
        "plan_sha256": plan.sha256,
        "recipient": plan.recipient.organisation,
        "encryption_certificate_sha256": plan.encryption_certificate_sha256,
        "connection_certificate_sha256": plan.connection_certificate_sha256,
        "tunnel": plan.tunnel,
        "dataset": plan.dataset,
        "columns": plan.columns,
        "file_format": plan.format,
        "mask_version": MASK_VERSION,
        "purpose": plan.purpose,
        "bundle": bundle,
        "not_after_us": plan.not_after_us,
        "destroy_by": plan.destroy_by.isoformat(),
        "made_us": clock.now_us(),
        "key_id": key_id,
    }
    return _block(MANIFEST, document, sign, MANIFEST_BYTES)


def trailer(ticket_id: str, manifest_block: bytes, content: Content, *, sign: Sign) -> bytes:
    """Return the trailer that goes with a manifest, 4,096 bytes."""
    document: dict[str, leaf.Json] = {
        "ticket": ticket_id,
        "manifest_sha256": hashlib.sha256(manifest_block).hexdigest(),
        "rows": content.rows,
        "children": content.children,
        "withheld": content.withheld,
        "data_bytes": content.data_bytes,
        "data_sha256": content.data_sha256,
    }
    return _block(TRAILER, document, sign, TRAILER_BYTES)


def _block(form: str, document: dict[str, leaf.Json], sign: Sign, size: int) -> bytes:
    line = leaf.encode({"format": form, **document})
    signature = base64.b64encode(sign(form.encode() + b"\n" + line))
    block = b"%b\n%b\n" % (line, signature)
    if len(block) >= size:
        raise leaf.LeafError("the block is too long", "LEAF_TOO_LONG")
    return block.ljust(size - 1) + b"\n"
