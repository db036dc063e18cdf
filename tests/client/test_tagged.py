"""The age file opens with the recipient's key alone, whole or not at all; another's writer is read too."""

import base64
import io
import tracemalloc
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.client import tagged
from gateway.client.tagged import CHUNK_BYTES, TaggedError, decrypt
from tests.exports.shipping import a_reader, sealed

VECTORS = Path(__file__).parents[1] / "vectors"
WU = a_reader()
# One byte less, exactly, and one more than a chunk; several chunks.
LENGTHS = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 200_000]
SEALED = CHUNK_BYTES + 16


def content(length):
    return (bytes(range(256)) * (length // 256 + 1))[:length]


def opened(header, payload, key=WU.key):
    return b"".join(decrypt(header, io.BytesIO(payload), key))


def cause(header, payload, key=WU.key):
    with pytest.raises(TaggedError) as error:
        opened(header, payload, key)
    return error.value.cause


@pytest.mark.parametrize("length", LENGTHS)
def test_what_was_encrypted_comes_back(length):
    assert opened(*sealed(content(length), WU)) == content(length)


def chunks(payload):
    return payload[:16], [payload[at : at + SEALED] for at in range(16, len(payload), SEALED)]


def test_attack_61_chunks_swapped_doubled_dropped_or_cut_off():
    header, payload = sealed(content(3 * CHUNK_BYTES + 5), WU)
    nonce, [one, two, three, last] = chunks(payload)
    forged = {
        "swapped": [two, one, three, last],
        "doubled": [one, one, two, three, last],
        "dropped": [one, three, last],
        "first dropped": [two, three, last],
        "put at the end": [one, two, three, last, last],
        "last first": [last, one, two, three],
        "byte after": [one, two, three, last + b"\0"],
    }
    for name, parts in forged.items():
        assert cause(header, nonce + b"".join(parts)) == "chunk", name
    for count in (1, 2, 3):
        kept = b"".join([one, two, three][:count])
        assert cause(header, nonce + kept) == "truncated", f"{count} whole chunks"
    assert cause(header, payload[:-1]) == "chunk"
    assert cause(header, nonce) == "chunk"
    assert cause(header, nonce[:-1]) == "truncated"
    assert opened(header, payload) == content(3 * CHUNK_BYTES + 5)


def test_attack_62_the_header_of_one_export_on_the_payload_of_another():
    (one, first), (other, second) = (sealed(content(100), WU) for _ in range(2))
    assert cause(one, second) == "chunk"
    assert cause(other, first) == "chunk"
    assert opened(one, first) == content(100)


def test_attack_55_who_copied_the_payload_and_has_the_key_reads_nothing_without_the_header():
    """The thief has the disk and, worse, the recipient's own key; headers of his own serve him nothing."""
    _, payload = sealed(content(100), WU)
    own, _ = sealed(content(100), WU)
    assert cause(b"", payload) == "header"
    assert cause(own, payload) == "chunk"


def test_another_recipient_opens_nothing():
    header, payload = sealed(content(10), WU)
    assert cause(header, payload, ec.generate_private_key(ec.SECP256R1())) == "recipient"


@settings(max_examples=60)
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_changed_bit_anywhere_is_found(at, bit):
    """In the header, its MAC, or the payload: no plaintext comes of it."""
    header, payload = FILE
    whole = bytearray(header + payload)
    whole[at % len(whole)] ^= 1 << bit
    changed = bytes(whole[: len(header)]), bytes(whole[len(header) :])
    with pytest.raises(TaggedError):
        opened(*changed)


FILE = sealed(content(300), WU)


def rewritten(change):
    """FILE with one of the header's lines changed; its first stanza is ours."""
    lines = FILE[0].split(b"\n")
    change(lines)
    return b"\n".join(lines)


def put(place, line):
    return lambda lines: lines.__setitem__(place, line)


MISSHAPEN = [
    put(0, b"age-encryption.org/v2"),
    put(0, b"age-encryption.org/v1\r"),
    lambda lines: lines.pop(),
    lambda lines: lines.append(b"x"),
    lambda lines: lines.pop(1),
    lambda lines: lines.pop(2),
    lambda lines: lines.pop(-2),
    put(1, b"->"),
    put(1, b"-> "),
    put(1, b"-> p256tag"),
    put(1, b"-> p256tag AAAA AAAA"),
    put(1, b"-> p256tag AAAAAA AAAA"),
    put(1, b"-> p256tag AAAAA= " + b"A" * 87),
    put(1, b"-> p256tag \xff\xff\xff\xff " + b"A" * 87),
    put(2, b"A"),
    put(2, b"A" * 65),
    put(2, b"AB"),
    put(2, b"AAAA===="),
    put(2, b"A" * 64),
    put(-2, b"---"),
    put(-2, b"--- AAA="),
    lambda lines: lines.insert(2, b"A" * 63),
]


@pytest.mark.parametrize("change", MISSHAPEN, ids=range(len(MISSHAPEN)))
def test_a_header_that_is_not_of_the_form_is_none(change):
    assert cause(rewritten(change), FILE[1]) in {"header", "recipient"}


def test_the_mac_is_looked_at():
    mac = base64.b64encode(bytes(32)).rstrip(b"=")
    assert cause(rewritten(put(-2, b"--- " + mac)), FILE[1]) == "mac"
    assert cause(rewritten(lambda lines: lines.insert(3, b"-> x y")), FILE[1]) != "chunk"


def test_a_key_of_another_length_is_none(monkeypatch):
    monkeypatch.setattr(tagged, "_FILE_KEY_BYTES", 32)
    assert cause(*FILE) == "header"


def test_an_empty_last_chunk_is_for_an_empty_file():
    """C2SP age.md: else a file could be cut at a chunk's border and closed again."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    header, payload = sealed(content(CHUNK_BYTES), WU)
    nonce = payload[:16]
    cipher = ChaCha20Poly1305(tagged._derived(tagged._file_key(header, WU.key), nonce, b"payload"))
    first = cipher.encrypt(bytes(12), content(CHUNK_BYTES), None)
    empty = cipher.encrypt((1).to_bytes(11) + b"\1", b"", None)
    assert cause(header, nonce + first + empty) == "chunk"


def test_a_file_of_the_go_implementation_opens():
    """Made once: head -c 65537 of the bytes 0…255 repeated | age 1.3.2 -r age1tag1… (filippo.io/age)."""
    scalar = int.from_bytes(b"sxgw test vector: no secret ....")
    key = ec.derive_private_key(scalar, ec.SECP256R1())
    whole = (VECTORS / "age-1.3.2-p256tag.age").read_bytes()
    end = whole.index(b"\n", whole.index(b"\n--- ") + 1) + 1
    assert opened(whole[:end], whole[end:], key) == content(CHUNK_BYTES + 1)


def test_a_large_file_takes_no_more_memory_than_a_small_one():
    header, payload = sealed(content(64 * CHUNK_BYTES), WU)
    source = io.BytesIO(payload)
    tracemalloc.start()
    try:
        for _ in decrypt(header, source, WU.key):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * CHUNK_BYTES
