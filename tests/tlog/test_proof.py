"""tlog-proof texts: written, read, verified, and refused when anything is changed."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tlog import proof
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.keys import LogKeys
from gateway.tlog.merkle import MerkleError, inclusion_path, leaf_hash, root_of
from gateway.tlog.note import NoteError, Signer
from gateway.tlog.proof import Proof, ProofFormError

SIGNER = Signer("log.example/audit", bytes(range(32)))
ORIGIN = "log.example/audit"
ENTRIES = [b"entry %d" % i for i in range(11)]
HASHES = [leaf_hash(each) for each in ENTRIES]
CHECKPOINT = Checkpoint(ORIGIN, 11, root_of(HASHES))


def node(level: int, n: int) -> bytes:
    return root_of(HASHES[n << level : (n + 1) << level])


def made(index: int, extra: bytes | None = None) -> Proof:
    return Proof(index, tuple(inclusion_path(node, index, 11)), CHECKPOINT.signed(SIGNER), extra)


@pytest.mark.parametrize("extra", [None, b"", b"salt"])
@pytest.mark.parametrize("index", range(11))
def test_a_proof_is_read_as_written_and_holds(index: int, extra: bytes | None) -> None:
    text = made(index, extra).text()
    read = proof.parse(text)
    assert read == made(index, extra)
    assert read.verify(ENTRIES[index], LogKeys.of(SIGNER.verifier)) == CHECKPOINT


def test_the_text_is_that_of_the_specification() -> None:
    lines = made(10, b"salt").text().split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra c2FsdA==", "index 10"]
    assert len(base64.b64decode(lines[3])) == 32
    assert lines[5] == ""
    assert lines[6] == ORIGIN


def test_a_proof_of_the_only_entry_has_no_hashes() -> None:
    only = Proof(0, (), Checkpoint(ORIGIN, 1, HASHES[0]).signed(SIGNER))
    proof.parse(only.text()).verify(ENTRIES[0], LogKeys.of(SIGNER.verifier))


def test_another_entry_key_or_log_is_refused() -> None:
    with pytest.raises(MerkleError):
        made(3).verify(b"entry 4", LogKeys.of(SIGNER.verifier))
    with pytest.raises(NoteError):
        made(3).verify(ENTRIES[3], LogKeys.of(Signer(ORIGIN, bytes(32)).verifier))
    with pytest.raises(NoteError):
        made(3).verify(
            ENTRIES[3], LogKeys.of(Signer("log.example/other", bytes(range(32))).verifier)
        )


TEXT = made(3).text()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "c2sp.org/tlog-proof@v2" + TEXT[22:],
        "c2sp.org/tlog-proof@v1\n\n",
        TEXT.replace("index 3", "index 03"),
        TEXT.replace("index 3", "index -3"),
        TEXT.replace("index 3", "index 99999999999999999999"),
        TEXT.replace("index 3\n", ""),
        TEXT.replace("index 3", "extra AAA\nindex 3"),
        TEXT.replace("index 3", "extra AAB=\nindex 3"),
        TEXT.replace("index 3", "extra ä\nindex 3"),
        TEXT.replace("index 3", "index 3\nAAAA"),
        TEXT.replace("index 3", "index 3" + ("\n" + base64.b64encode(bytes(32)).decode()) * 64),
        TEXT.replace("\n\n", "\n"),
    ],
)
def test_malformed_proofs(text: str) -> None:
    if text == TEXT.replace("\n\n", "\n"):
        assert "\n\n" not in text
    with pytest.raises(ProofFormError) as error:
        proof.parse(text)
    assert error.value.code == "PROOF_FORM"


@given(st.text(max_size=200))
def test_no_text_makes_the_reader_stumble(text: str) -> None:
    with pytest.raises(ProofFormError):
        proof.parse("c2sp.org/tlog-proof@v1\n" + text.replace("index", ""))
