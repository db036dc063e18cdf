"""Makes docs/vectors/: receipts and cosignatures, good and refused, for whoever writes a verifier.

All of it follows from the seeds below, but for the ML-DSA-44 signature: that one is randomized, and
kept while it verifies.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from gateway.tlog import leaf
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.cosignature import ED25519, ML_DSA_44, Cosigner
from gateway.tlog.merkle import inclusion_path, leaf_hash, root_of
from gateway.tlog.note import NoteError, Signer, split
from gateway.tlog.proof import Proof

FOLDER = Path(__file__).parents[1] / "docs" / "vectors"
LOG = Signer("gateway.example/audit", bytes(range(32)))
WITNESSES = {
    "ed25519": Cosigner("city.example/w1", ED25519, bytes(range(32, 64))),
    "ml-dsa-44": Cosigner("city.example/w2", ML_DSA_44, bytes(range(64, 96))),
}
SEEDS = {
    "log": bytes(range(32)),
    "ed25519": bytes(range(32, 64)),
    "ml-dsa-44": bytes(range(64, 96)),
}
TIME_S = 1_790_000_000
SIZE = 300
# A batch as it was sent, and the salt that came back with its receipt.
MESSAGE, SALT = b"the bytes of an UploadBatchesRequest, as they were sent", bytes(range(16))
COMMITTED = 77


def entry(index: int) -> bytes:
    """Return an upload's leaf, with fewer fields than a real one; the 77th commits to MESSAGE."""
    message = MESSAGE if index == COMMITTED else str(index).encode()
    return leaf.encode(
        {
            "commitment": hashlib.sha256(SALT + message).hexdigest(),
            "decision": "allow",
            "kind": "upload",
            "time_us": TIME_S * 1_000_000 + index,
            "version": 1,
        }
    )


HASHES = [leaf_hash(entry(i)) for i in range(SIZE)]


def signed(size: int, *lines: str) -> str:
    """Return the checkpoint of so many entries, with cosignature lines."""
    return Checkpoint(LOG.verifier.name, size, root_of(HASHES[:size])).signed(LOG) + "".join(lines)


def receipt(index: int, size: int, note: str, extra: bytes | None = None) -> Proof:
    """Return the proof of an entry under a checkpoint."""
    path = inclusion_path(
        lambda level, n: root_of(HASHES[:size][n << level : (n + 1) << level]), index, size
    )
    return Proof(index, tuple(path), note, extra)


def cosignatures(kept: dict[str, str]) -> dict[str, str]:
    """Return the line of each witness over the checkpoint of all entries."""
    text = split(signed(SIZE))[0]
    lines = {}
    for kind, witness in WITNESSES.items():
        line = kept.get(kind, "")
        try:
            witness.key.verify(text, split(f"{text}\n{line}")[1][0].payload)
        except NoteError:
            line = witness.line(text, TIME_S)
        lines[kind] = line
    return lines


def receipts(lines: dict[str, str]) -> Iterator[tuple[str, Proof, dict[str, int]]]:
    """Give each receipt with its file's name, and how many of its lines known keys signed."""
    yield "only.tlog-proof", receipt(0, 1, signed(1)), {"ed25519": 1, "all": 1}
    yield "first.tlog-proof", receipt(0, SIZE, signed(SIZE)), {"ed25519": 1, "all": 1}
    yield "last.tlog-proof", receipt(SIZE - 1, SIZE, signed(SIZE)), {"ed25519": 1, "all": 1}
    yield (
        "upload.tlog-proof",
        receipt(COMMITTED, SIZE, signed(SIZE), SALT),
        {"ed25519": 1, "all": 1},
    )
    both = signed(SIZE, *lines.values())
    yield "cosigned.tlog-proof", receipt(COMMITTED, SIZE, both, SALT), {"ed25519": 2, "all": 3}


def refused(lines: dict[str, str]) -> Iterator[tuple[str, str, int, str]]:
    """Give each spoilt receipt: what was done, the proof, whose entry it shall prove, our code."""
    good = receipt(COMMITTED, SIZE, signed(SIZE, lines["ed25519"]), SALT)
    text = good.text()
    line = lines["ed25519"]
    spoilt = line.replace(line[-12:-4], line[-12:-4].swapcase())
    stranger = Checkpoint(LOG.verifier.name, SIZE, root_of(HASHES)).signed(
        Signer(LOG.verifier.name, bytes(32))
    )
    yield "another entry", text, COMMITTED + 1, "ROOT_DIFFERS"
    yield (
        "another index",
        text.replace(f"index {COMMITTED}\n", f"index {COMMITTED + 1}\n"),
        COMMITTED,
        "ROOT_DIFFERS",
    )
    yield (
        "an index beyond the log",
        text.replace(f"index {COMMITTED}\n", f"index {SIZE}\n"),
        COMMITTED,
        "INDEX_OUT_OF_RANGE",
    )
    yield (
        "an index with a leading zero",
        text.replace("index 77\n", "index 077\n"),
        COMMITTED,
        "PROOF_FORM",
    )
    yield (
        "a hash too few",
        Proof(COMMITTED, good.hashes[:-1], good.checkpoint, SALT).text(),
        COMMITTED,
        "PATH_LENGTH",
    )
    yield (
        "a hash too many",
        Proof(COMMITTED, (*good.hashes, bytes(32)), good.checkpoint, SALT).text(),
        COMMITTED,
        "PATH_LENGTH",
    )
    yield (
        "a hash of 31 bytes",
        Proof(COMMITTED, (good.hashes[0][:31], *good.hashes[1:]), good.checkpoint, SALT).text(),
        COMMITTED,
        "PROOF_FORM",
    )
    yield (
        "two hashes in the other order",
        Proof(COMMITTED, good.hashes[::-1], good.checkpoint, SALT).text(),
        COMMITTED,
        "ROOT_DIFFERS",
    )
    yield "another header", text.replace("tlog-proof@v1", "tlog-proof@v2"), COMMITTED, "PROOF_FORM"
    yield (
        "another size",
        text.replace(f"\n{SIZE}\n", f"\n{SIZE - 1}\n"),
        COMMITTED,
        "SIGNATURE_INVALID",
    )
    yield (
        "a stranger's checkpoint",
        receipt(COMMITTED, SIZE, stranger).text(),
        COMMITTED,
        "SIGNATURE_MISSING",
    )
    yield (
        "no signature of the log",
        text.replace(f"— {LOG.verifier.name} ", f"— {LOG.verifier.name}x "),
        COMMITTED,
        "SIGNATURE_MISSING",
    )
    yield "a false cosignature", text.replace(line, spoilt), COMMITTED, "COSIGNATURE_INVALID"


def files() -> dict[str, str]:
    """Every file of the folder but its page, with its content."""
    place = FOLDER / "vectors.json"
    kept = (
        json.loads(place.read_text(encoding="utf-8"))["cosignatures"]["lines"]
        if place.exists()
        else {}
    )
    lines = cosignatures(kept)
    made = {name: proof.text() for name, proof, _ in receipts(lines)}
    document = {
        "log": {"seed": SEEDS["log"].hex(), "vkey": str(LOG.verifier)},
        "witnesses": {
            kind: {"seed": SEEDS[kind].hex(), "vkey": str(one.key)}
            for kind, one in WITNESSES.items()
        },
        "cosignatures": {"checkpoint": signed(SIZE), "time_s": TIME_S, "lines": lines},
        "commitment": {
            "message": MESSAGE.hex(),
            "salt": SALT.hex(),
            "sha256": hashlib.sha256(SALT + MESSAGE).hexdigest(),
        },
        "receipts": [
            {
                "file": name,
                "index": one.index,
                "entry": entry(one.index).decode(),
                "signatures": count,
            }
            for name, one, count in receipts(lines)
        ],
        "refused": [
            {"what": what, "proof": text, "entry": entry(index).decode(), "code": code}
            for what, text, index, code in refused(lines)
        ],
    }
    made["vectors.json"] = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    return made


def main() -> None:
    """Write them."""
    FOLDER.mkdir(exist_ok=True)
    for name, content in files().items():
        (FOLDER / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
