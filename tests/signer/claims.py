"""Claims to a signer's memory and what it signed for them."""

import base64
import json

from gateway.signer.memory import Memory
from gateway.tlog.checkpoint import open_checkpoint
from gateway.tlog.growth import read_claim
from gateway.tlog.merkle import leaf_hash, root_of
from tests.audit.stage import ORIGIN

HASHES = [leaf_hash(i.to_bytes(4, "big")) for i in range(3000)]
OTHERS = [leaf_hash(b"other" + i.to_bytes(4, "big")) for i in range(3000)]


def line(begin: int, size: int, hashes: list[bytes] = HASHES) -> bytes:
    document = {
        "from": begin,
        "size": size,
        "root": root_of(hashes[:size]).hex(),
        "hashes": base64.b64encode(b"".join(hashes[begin:size])).decode(),
    }
    return json.dumps(document).encode() + b"\n"


def ask(memory: Memory, *lines: bytes) -> list[object]:
    """Return per request the size that was signed, or the answer."""
    requests = [read_claim(each) for each in lines]
    answers = memory.answer([each for each in requests if each is not None])
    return [signed(memory, each) for each in answers]


def signed(memory: Memory, answer: object) -> object:
    assert isinstance(answer, dict)
    if "checkpoint" not in answer:
        return answer
    found = open_checkpoint(answer["checkpoint"], memory.keys.verifiers, ORIGIN)
    assert found.root == root_of(HASHES[: found.size])
    return found.size
