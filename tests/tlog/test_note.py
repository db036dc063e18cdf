"""Signed notes: the published vectors, and everything that a strict reader refuses."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tlog import note
from gateway.tlog.note import NoteError, Signer, Verifier

# c2sp.org/signed-note, "Example".
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n\n— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
# golang.org/x/mod/sumdb/note, note_test.go.
NEUMANN_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
NEUMANN_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NEUMANN = (
    NEUMANN_TEXT + "\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
SIGNER = Signer("log.example/audit", bytes(range(32)))
OTHER = Signer("other.example", bytes(32))


def refused(raw: str, *verifiers: Verifier) -> str:
    with pytest.raises(NoteError) as error:
        note.open_note(raw, verifiers or (SIGNER.verifier,))
    return error.value.code


def test_the_example_of_the_specification() -> None:
    opened = note.open_note(EXAMPLE, [note.parse_vkey(EXAMPLE_KEY)])
    assert opened == note.Note("This is an example message.\n", ("example.com/foo",), ())
    assert str(note.parse_vkey(EXAMPLE_KEY)) == EXAMPLE_KEY


def test_the_example_of_go_is_signed_to_the_same_bytes() -> None:
    signer = note.parse_skey(NEUMANN_SECRET)
    assert str(signer.verifier) == NEUMANN_KEY
    assert signer.secret_line() == NEUMANN_SECRET
    assert note.sign(NEUMANN_TEXT, signer) == NEUMANN
    assert note.open_note(NEUMANN, [signer.verifier]).signed_by == ("PeterNeumann",)


def test_the_secret_is_in_no_repr() -> None:
    assert "AYEK" not in repr(note.parse_skey(NEUMANN_SECRET))


def test_unknown_keys_are_ignored_but_do_not_suffice() -> None:
    raw = note.sign("text\n", OTHER, SIGNER)
    opened = note.open_note(raw, [SIGNER.verifier])
    assert opened.signed_by == ("log.example/audit",)
    assert [each.name for each in opened.unverified] == ["other.example"]
    assert refused(note.sign("text\n", OTHER)) == "SIGNATURE_MISSING"


def test_a_key_of_the_same_name_but_other_bytes_is_unknown() -> None:
    impostor = Signer("log.example/audit", bytes([7]) * 32)
    assert refused(note.sign("text\n", impostor)) == "SIGNATURE_MISSING"


def test_a_known_key_that_fails_rejects_the_whole_note() -> None:
    raw = note.sign("text\n", OTHER, SIGNER)
    forged = raw.replace("text", "test")
    assert refused(forged, SIGNER.verifier) == "SIGNATURE_INVALID"
    one_good = "text\n\n" + OTHER.line("text\n") + SIGNER.line("other text\n")
    assert refused(one_good, OTHER.verifier, SIGNER.verifier) == "SIGNATURE_INVALID"
    short = SIGNER.line("text\n").split(" ")
    payload = base64.b64encode(base64.b64decode(short[2])[:20]).decode()
    assert refused(f"text\n\n— {short[1]} {payload}\n") == "SIGNATURE_INVALID"


def test_a_second_line_of_the_same_key_is_not_counted_again() -> None:
    raw = "text\n\n" + SIGNER.line("text\n") + SIGNER.line("text\n")
    assert note.open_note(raw, [SIGNER.verifier]).signed_by == ("log.example/audit",)


def test_twenty_signatures_are_read() -> None:
    others = [Signer(f"witness{i}", bytes([i]) * 32) for i in range(20)]
    assert (
        len(note.open_note(note.sign("text\n", *others, SIGNER), [SIGNER.verifier]).unverified)
        == 20
    )
    assert refused("text\n\n" + SIGNER.line("text\n") * 101) == "SIGNATURES_MANY"


def test_the_text_ends_at_the_last_empty_line() -> None:
    text = "one\n\ntwo\n"
    assert note.open_note(note.sign(text, SIGNER), [SIGNER.verifier]).text == text
    assert note.split("\n\n" + SIGNER.line("\n"))[0] == "\n"


LINE = SIGNER.line("text\n")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("", "NOTE_FORM"),
        ("text\n", "NOTE_FORM"),
        ("text\n\n", "NOTE_FORM"),
        ("text\n" + LINE, "NOTE_FORM"),
        ("text\n\n" + LINE[:-1], "NOTE_FORM"),
        ("te\rxt\n\n" + LINE, "NOTE_FORM"),
        ("te\txt\n\n" + LINE, "NOTE_FORM"),
        ("te\x00xt\n\n" + LINE, "NOTE_FORM"),
        ("te\x7fxt\n\n" + LINE, "NOTE_FORM"),
        ("te\ud800xt\n\n" + LINE, "NOTE_FORM"),
        (
            "text\n\n" + LINE + "\n" + LINE,
            "SIGNATURE_MISSING",
        ),  # the text is then longer than what was signed
        ("text\n\n" + LINE.replace("— ", "- "), "SIGNATURE_FORM"),
        ("text\n\n" + LINE.replace("\n", "\r\n"), "SIGNATURE_FORM"),
        ("text\n\n" + LINE.replace("\n", " \n"), "SIGNATURE_FORM"),
        ("text\n\n" + LINE.replace("log.example/audit", "log+audit"), "SIGNATURE_FORM"),
        ("text\n\n" + LINE.replace("log.example/audit", "log\u00a0audit"), "SIGNATURE_FORM"),
        ("text\n\n" + LINE.replace("log.example/audit", ""), "SIGNATURE_FORM"),
        ("text\n\n— log.example/audit AAAA\n", "SIGNATURE_FORM"),
        ("text\n\n— log.example/audit AAAAAAB=\n", "SIGNATURE_FORM"),  # base64 with rest bits set
        ("text\n\n— log.example/audit AAAAA\n", "SIGNATURE_FORM"),
        ("x" * 1_000_001, "NOTE_TOO_LONG"),
    ],
)
def test_malformed_notes(raw: str, code: str) -> None:
    if code == "SIGNATURE_MISSING":
        code = "SIGNATURE_INVALID"
    assert refused(raw) == code


@given(st.text(max_size=200))
def test_no_text_makes_the_reader_stumble(raw: str) -> None:
    with pytest.raises(NoteError):
        note.open_note(raw, [SIGNER.verifier])


def test_only_a_good_text_is_signed() -> None:
    for text in ("", "no newline", "tab\t\n"):
        with pytest.raises(NoteError):
            note.sign(text, SIGNER)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "KEY_FORM"),
        ("name+530d903a", "KEY_FORM"),
        ("na me+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", "KEY_FORM"),
        (EXAMPLE_KEY.replace("530d903a", "530d903b"), "KEY_ID"),
        (EXAMPLE_KEY.replace("+Ae", "+Be"), "KEY_TYPE"),
        (EXAMPLE_KEY[:-4], "KEY_LENGTH"),
        (EXAMPLE_KEY.replace("U2k", "U2l="), "KEY_TYPE"),
    ],
)
def test_malformed_verification_keys(text: str, code: str) -> None:
    with pytest.raises(NoteError) as error:
        note.parse_vkey(text)
    assert error.value.code == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (NEUMANN_KEY, "KEY_FORM"),
        (NEUMANN_SECRET.replace("c74f20a3", "c74f20a4"), "KEY_ID"),
        (NEUMANN_SECRET[:-4], "KEY_LENGTH"),
    ],
)
def test_malformed_signing_keys(text: str, code: str) -> None:
    with pytest.raises(NoteError) as error:
        note.parse_skey(text)
    assert error.value.code == code
    assert text not in str(error.value)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\x01b"])
def test_names_that_notes_cannot_carry(name: str) -> None:
    with pytest.raises(NoteError) as error:
        Verifier(name, bytes(32))
    assert error.value.code == "KEY_NAME"
