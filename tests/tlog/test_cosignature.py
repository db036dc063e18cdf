"""Cosignatures: lines that others made, ours to the byte, and everything that a strict reader refuses."""

import base64

import pytest

from gateway.tlog import cosignature
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.cosignature import (
    ED25519,
    ML_DSA_44,
    Cosigner,
    WitnessKey,
    parse_skey,
    parse_vkey,
    subtree_message,
    verified,
)
from gateway.tlog.note import NoteError, Signer, split

# A checkpoint of a public log and the line of a public witness upon it (2026-05-23).
PUBLIC = (
    "arche2025h1.staging.ct.transparency.dev\n1432088532\nU7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=\n\n"
    "— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==\n"
    "— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==\n"
)
REMORA = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
ORIGIN = "log.example/audit"
LOG = Signer(ORIGIN, bytes(range(32)))
HEAD = Checkpoint(ORIGIN, 7, bytes(range(32)))
SIGNED = HEAD.signed(LOG)
W1 = Cosigner("witness.example/w1", ED25519, bytes([1]) * 32)
W2 = Cosigner("witness.example/w2", ED25519, bytes([2]) * 32)
LATTICE = Cosigner("witness.example/w1", ML_DSA_44, bytes([3]) * 32)
TIME_S = 1_790_000_000


def refused(raw: str, *keys: WitnessKey) -> str:
    with pytest.raises(NoteError) as error:
        verified(raw, keys)
    return error.value.code


def test_a_public_witness_cosigned_a_public_log():
    key = parse_vkey(REMORA)
    assert [(each.key, each.time_s) for each in verified(PUBLIC, [key])] == [(key, 1779573024)]
    assert str(key) == REMORA


def test_the_public_line_fits_no_other_checkpoint():
    assert refused(PUBLIC.replace("1432088532", "42"), parse_vkey(REMORA)) == "SIGNATURE_INVALID"


def test_the_signed_messages_are_those_of_the_specification():
    assert cosignature._ed25519_message("example.com/behind-the-sofa\n1\nx\n", 1679315147) == (
        b"cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n1\nx\n"
    )
    assert subtree_message("w", 1, "log", begin=0, end=2, root=bytes(32)) == (
        b"subtree/v1\n\0\x01w"
        + (1).to_bytes(8)
        + b"\x03log"
        + bytes(8)
        + (2).to_bytes(8)
        + bytes(32)
    )


@pytest.mark.parametrize("cosigner", [W1, LATTICE], ids=["ed25519", "ml-dsa-44"])
def test_what_is_cosigned_here_is_verified_here(cosigner):
    raw = SIGNED + cosigner.line(HEAD.text(), TIME_S)
    assert [(each.key, each.time_s) for each in verified(raw, [cosigner.key])] == [
        (cosigner.key, TIME_S)
    ]
    assert parse_vkey(str(cosigner.key)) == cosigner.key
    again = parse_skey(cosigner.secret_line())
    assert again.key == cosigner.key
    assert again.secret_line() not in repr(again)


def test_two_kinds_of_one_witness_are_two_lines():
    raw = SIGNED + W1.line(HEAD.text(), TIME_S) + LATTICE.line(HEAD.text(), TIME_S)
    assert [each.key.kind for each in verified(raw, [LATTICE.key, W1.key])] == [ED25519, ML_DSA_44]
    assert W1.key.key_id != LATTICE.key.key_id


def test_unknown_witnesses_are_ignored_and_a_second_line_of_one_counts_once():
    line = W1.line(HEAD.text(), TIME_S)
    assert verified(SIGNED + line, [W2.key]) == ()
    assert len(verified(SIGNED + line + line, [W1.key, W2.key])) == 1
    assert verified(SIGNED, [W1.key]) == ()


@pytest.mark.parametrize("cosigner", [W1, LATTICE], ids=["ed25519", "ml-dsa-44"])
@pytest.mark.parametrize("changed", ["time", "signature", "short", "long", "late"])
def test_a_false_line_of_a_known_witness_rejects_the_note(cosigner, changed):
    payload = bytearray(split(SIGNED + cosigner.line(HEAD.text(), TIME_S))[1][1].payload)
    if changed == "time":
        payload[7] ^= 1
    elif changed == "signature":
        payload[-1] ^= 1
    elif changed == "short":
        del payload[-1]
    elif changed == "long":
        payload.append(0)
    else:
        payload[0] |= 0x80
    line = base64.b64encode(cosigner.key.key_id + bytes(payload)).decode()
    assert refused(f"{SIGNED}— {cosigner.key.name} {line}\n", cosigner.key) == "SIGNATURE_INVALID"


@pytest.mark.parametrize("cosigner", [W1, LATTICE], ids=["ed25519", "ml-dsa-44"])
def test_a_line_fits_no_other_head_of_the_log(cosigner):
    line = cosigner.line(HEAD.text(), TIME_S)
    for other in (
        Checkpoint(ORIGIN, 8, HEAD.root),
        Checkpoint(ORIGIN, 7, bytes(32)),
        Checkpoint("x", 7, HEAD.root),
    ):
        assert refused(f"{other.text()}\n{line}", cosigner.key) == "SIGNATURE_INVALID"


def test_extension_lines_are_signed_by_ed25519_alone():
    extended = Checkpoint(ORIGIN, 7, HEAD.root, ("more",))
    raw = f"{extended.text()}\n{LATTICE.line(HEAD.text(), TIME_S)}"
    assert len(verified(raw, [LATTICE.key])) == 1
    assert (
        refused(f"{extended.text()}\n{W1.line(HEAD.text(), TIME_S)}", W1.key) == "SIGNATURE_INVALID"
    )


def test_only_checkpoints_are_cosigned():
    with pytest.raises(NoteError, match="a checkpoint has origin"):
        W1.line("text\n", TIME_S)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "KEY_FORM"),
        (str(LOG.verifier), "KEY_TYPE"),
        (REMORA.replace("da77", "da78"), "KEY_ID"),
        (REMORA.replace("BOvN", "BuvN"), "KEY_LENGTH"),
        (f"{REMORA[:-1]}3", "KEY_ID"),
        (f"{REMORA}=", "KEY_FORM"),
        (REMORA.replace("remora", "re mora"), "KEY_FORM"),
    ],
)
def test_what_is_no_key_of_a_witness(text, code):
    with pytest.raises(NoteError) as error:
        parse_vkey(text)
    assert error.value.code == code


def test_a_signing_key_is_of_its_kind_and_never_quoted():
    for text in (LOG.secret_line(), W1.secret_line()[:-4], W1.secret_line().replace("w1", "w2")):
        with pytest.raises(NoteError) as error:
            parse_skey(text)
        assert text[-20:] not in str(error.value)
    with pytest.raises(NoteError, match="32 bytes"):
        Cosigner("w", ED25519, bytes(31))


def test_a_name_too_long_for_ml_dsa():
    with pytest.raises(NoteError, match="longer"):
        Cosigner("w" * 256, ML_DSA_44, bytes(32))
    with pytest.raises(NoteError, match="plus"):
        WitnessKey("a+b", ED25519, bytes(32))


def test_keys_are_equal_by_what_they_say():
    assert W1.key == parse_vkey(str(W1.key))
    assert W1.key != W2.key
    assert len({W1.key, parse_vkey(str(W1.key)), W2.key}) == 2


def test_an_origin_too_long_for_ml_dsa_is_not_cosigned():
    head = Checkpoint("o" * 256, 7, bytes(32))
    with pytest.raises(NoteError, match="longer"):
        LATTICE.line(head.text(), TIME_S)
    raw = f"{head.text()}\n{LATTICE.line(HEAD.text(), TIME_S)}"
    assert refused(raw, LATTICE.key) == "SIGNATURE_INVALID"
