"""Checkpoints: the text of the specification and nothing near it."""

import base64

import pytest

from gateway.tlog import checkpoint
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.merkle import EMPTY_ROOT
from gateway.tlog.note import NoteError, Signer, sign

SIGNER = Signer("log.example/audit", bytes(range(32)))
ROOT = bytes(range(32))
B64 = base64.b64encode(ROOT).decode()


def test_a_checkpoint_is_read_as_it_was_signed() -> None:
    made = Checkpoint("log.example/audit", 20852163, ROOT, ("extension",))
    assert made.text() == f"log.example/audit\n20852163\n{B64}\nextension\n"
    assert checkpoint.open_checkpoint(made.signed(SIGNER), [SIGNER.verifier], made.origin) == made


def test_the_empty_log() -> None:
    made = Checkpoint("log", 0, EMPTY_ROOT)
    assert checkpoint.parse(made.text()) == made


def test_another_log_of_the_same_key_is_refused() -> None:
    raw = Checkpoint("other.example/audit", 1, ROOT).signed(SIGNER)
    with pytest.raises(NoteError) as error:
        checkpoint.open_checkpoint(raw, [SIGNER.verifier], "log.example/audit")
    assert error.value.code == "CHECKPOINT_ORIGIN"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "log\n1\n",
        f"log\n1\n{B64}",
        f"\n1\n{B64}\n",
        f"log\n01\n{B64}\n",
        f"log\n+1\n{B64}\n",
        f"log\n-1\n{B64}\n",
        f"log\n1 \n{B64}\n",
        f"log\n١\n{B64}\n",
        f"log\n\n{B64}\n",
        f"log\n{2**63}\n{B64}\n",
        f"log\n{'9' * 40}\n{B64}\n",
        f"log\n1\n{B64[:-1]}\n",
        f"log\n1\n{B64[:-4]}\n",
        f"log\n1\n{B64[:-2]}9=\n",
        "log\n1\n\n",
        f"log\n1\n{B64}\n\n",
        f"log\n1\n{B64}\n\nextension\n",
        f"log\n0\n{B64}\n",
    ],
)
def test_malformed_checkpoints(text: str) -> None:
    with pytest.raises(NoteError) as error:
        checkpoint.parse(text)
    assert error.value.code == "CHECKPOINT_FORM"


def test_a_signed_text_that_is_no_checkpoint() -> None:
    with pytest.raises(NoteError) as error:
        checkpoint.open_checkpoint(sign("log\n", SIGNER), [SIGNER.verifier], "log")
    assert error.value.code == "CHECKPOINT_FORM"
