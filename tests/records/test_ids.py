"""Identifiers: what has their form, check digits, and what is never repeated."""

import uuid
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.records import ids

VALID = "11010519491231002X"  # the standard's own example, GB 11643-1999 annex A


@given(st.uuids())
def test_uuids(value):
    assert ids.record_id_bytes(str(value)) == value.bytes
    assert ids.record_id_bytes(str(value).upper()) == value.bytes


def test_ulids():
    assert ids.record_id_bytes("01ARZ3NDEKTSV4RRFFQ69G5FAV") == bytes.fromhex(
        "01563e3ab5d3d6764c61efb99302bd5b"
    )
    assert ids.record_id_bytes("7ZZZZZZZZZZZZZZZZZZZZZZZZZ") == b"\xff" * 16


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
        "01ARZ3NDEKTSV4RRFFQ69G5FAU",
        uuid.UUID(int=1).hex,
        f"{{{uuid.UUID(int=1)}}}",
        "１" * 26,
    ],
)
def test_what_is_neither(text):
    assert ids.record_id_bytes(text) is None


@given(st.text(max_size=40))
def test_record_ids_of_any_text(text):
    found = ids.record_id_bytes(text)
    assert found is None or len(found) == 16


def test_identity_number():
    assert ids.identity_number_day(VALID) == date(1949, 12, 31)
    assert not ids.identity_number_is_male(VALID)


@pytest.mark.parametrize("place", range(18))
def test_every_mistyped_sign_is_found(place):
    for sign in "0123456789X":
        if sign != VALID[place]:
            assert ids.identity_number_day(VALID[:place] + sign + VALID[place + 1 :]) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        VALID.lower(),
        VALID[:-1],
        VALID + "0",
        "１１０１０５１９４９１２３１００２X",
        "110105194902310022",
        "888888888888888888",
    ],
)
def test_what_is_no_identity_number(text):
    assert ids.identity_number_day(text) is None


@given(st.text(alphabet="0123456789X", min_size=18, max_size=18))
def test_identity_numbers_of_any_digits(text):
    found = ids.identity_number_day(text)
    assert found is None or isinstance(found, date)


@pytest.mark.parametrize(
    "text", ["13800000000", "19912345678", "0351-4085000", "03514085000", "010-12345678"]
)
def test_phones(text):
    assert ids.is_phone(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12800000000",
        "1380000000",
        "138000000000",
        "4085000",
        "１３８００００００００",
        "+8613800000000",
    ],
)
def test_no_phones(text):
    assert not ids.is_phone(text)


@pytest.mark.parametrize("text", ["IN-1401050001-202601", "2026/01/02.a_1", "A"])
def test_document_ids(text):
    assert ids.is_document_id(text)


@pytest.mark.parametrize(
    "text", ["", "-a", "王", "a b", "a" * 65, VALID, "110105194912310021", "13800000000"]
)
def test_no_document_ids(text):
    assert not ids.is_document_id(text)


@pytest.mark.parametrize("text", ["(01)06901234567892(21)ABC", "0106901234567892", "ABCDEFGH12"])
def test_iso_codes(text):
    assert ids.is_iso_code(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "short",
        "0106901234567891",
        "(01)06901234567891",
        "a b c d e f",
        "条码条码条码条码",
        "A" * 91,
    ],
)
def test_no_iso_codes(text):
    assert not ids.is_iso_code(text)


def test_birth_certificates():
    assert ids.is_birth_certificate("V140000001")
    assert not ids.is_birth_certificate("v140000001")
