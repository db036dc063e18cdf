"""The proof that goes back to the caller: c2sp.org/tlog-proof@v1."""

from gateway.audit.group import Entry
from gateway.tlog.proof import Proof


def proof_text(entry: Entry, extra: bytes | None = None) -> str:
    """Return the proof of an entry.

    `extra` is what one needs to rebuild its commitment, the salt.
    """
    return Proof(entry.index, entry.hashes, entry.checkpoint, extra).text()
