"""What a gateway signed and lost: a log that its key made longer than the restored one is, and what it says of the restore."""

import base64
import hashlib
import secrets
import uuid
from dataclasses import dataclass, field

from gateway.clock import US_PER_S
from gateway.config import log_keys
from gateway.config.folders import replace_public
from gateway.config.home import Home
from gateway.tlog import leaf, merkle, note
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.proof import Proof
from gateway.tlog.restored import Consent, Restored
from gateway.v1 import upload_service_pb2 as pb

KEPT = 3
MANIFEST = "ab" * 32


def a_restore(home: Home, now_us: int, size: int = KEPT) -> Restored:
    """Say in HOME that its log was put back now, with so many entries; by its own key."""
    signers = [note.parse_skey(each) for each in home.signing_keys.read_text().split()]
    consents = tuple(
        Consent(MANIFEST, "disk-lost", now_us - 1, each, b"-") for each in (b"a", b"b")
    )
    said = Restored(
        signers[0].verifier.name, size, bytes(32), now_us, MANIFEST, consents, (b"authority",)
    )
    home.restores.mkdir(mode=0o755, exist_ok=True)
    replace_public(log_keys.following(home.restores), said.signed(*signers).encode())
    return said


@dataclass
class Former:
    """The log as it was, signed by a key."""

    signer: note.Signer
    organisation: str
    unit: str
    now_us: int
    leaves: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, home: Home, organisation: str, unit: str, now_us: int) -> "Former":
        signer = note.parse_skey(home.signing_keys.read_text().split()[0])
        return cls(signer, organisation, unit, now_us, [b"kept"] * KEPT)

    def receipt(self, *records: str, **changed: object) -> pb.BatchReceipt:
        """A receipt as it was given, of these records; `changed` of its leaf."""
        request_id = str(uuid.uuid4())
        told: dict[str, leaf.Json] = {
            "kind": "upload",
            "decision": "allow",
            "organisation": self.organisation,
            "unit": self.unit,
            "sequence": len(self.leaves),
            "request_id": request_id,
            "commitment": hashlib.sha256(request_id.encode()).hexdigest(),
            "counts": {"accepted": len(records)},
            "time_us": self.now_us - US_PER_S,
            **changed,
        }
        content = leaf.encode(told)
        self.leaves.append(content)
        return pb.BatchReceipt(
            request_id=request_id,
            sequence=len(self.leaves) - 1,
            items=[
                pb.ItemResult(index=place, record_id=each, state=pb.ITEM_STATE_ACCEPTED)
                for place, each in enumerate(records)
            ],
            leaf=content,
            salt=secrets.token_bytes(16),
            proof=self.proof(len(self.leaves) - 1),
        )

    def proof(self, index: int) -> str:
        hashes = [merkle.leaf_hash(each) for each in self.leaves]
        node = lambda level, n: merkle.root_of(hashes[n << level : (n + 1) << level])  # noqa: E731
        size = len(hashes)
        path = merkle.inclusion_path(node, index, size)
        signed = Checkpoint(self.signer.verifier.name, size, merkle.root_of(hashes))
        return Proof(index, tuple(path), signed.signed(self.signer)).text()


def flipped(text: str) -> str:
    """A proof whose signature is another's: one bit of it."""
    head, _, line = text.rstrip("\n").rpartition(" ")
    raw = bytearray(base64.b64decode(line))
    raw[-1] ^= 1
    return f"{head} {base64.b64encode(bytes(raw)).decode()}\n"
