"""Sealing: what opens, what does not, and that nonces and tags are what we say."""

import hashlib
import hmac
import uuid

import pytest

from gateway.clock import TurnedClock
from gateway.config import folders, users
from gateway.config.home import Home
from gateway.store import seal, seal_keys
from gateway.store.seal import BlindIndex, ContentKey, ContentKeys, Opener
from gateway.store.seal_keys import CurrentRecipients, SealError, SealRecipients, Use

NOW = 1_800_000_000_000_000
ROW = ("item", b"\x01" * 20, 0)


@pytest.fixture
def home(tmp_path) -> Home:
    made = Home(tmp_path / "home")
    if users.separate():
        users.make_users()
    folders.make_folders(made)
    seal_keys.make_keys(made)
    return made


@pytest.fixture
def keys(home: Home) -> ContentKeys:
    return ContentKeys(SealRecipients.load(home.seal_keys), TurnedClock(NOW))


def opener(home: Home) -> Opener:
    return Opener.load(home.secrets("disclosure"))


@pytest.mark.parametrize("use", seal_keys.USES)
def test_disclosure_opens_what_intake_sealed(home: Home, keys: ContentKeys, use: Use) -> None:
    key = keys.current("140100", use)
    nonce, ciphertext = key.seal(*ROW, b"body")
    key_id, recipient, wrapped, organisation, created_us = key.row
    assert (organisation, created_us, len(wrapped)) == ("140100", NOW, 1168)
    assert len(ciphertext) == len(b"body") + 16
    opened = opener(home).unwrap(key_id, recipient, wrapped)
    assert opened.open(*ROW, nonce, ciphertext) == b"body"


def test_a_body_opens_in_its_own_row_only(home: Home, keys: ContentKeys) -> None:
    key = keys.current("140100")
    nonce, ciphertext = key.seal(*ROW, b"body")
    opened = opener(home).unwrap(*key.row[:3])
    table, record_id, revision = ROW
    moved = [
        ("dose", record_id, revision, nonce, ciphertext),
        (table, record_id[:-1], revision, nonce, ciphertext),
        (table, record_id, revision + 1, nonce, ciphertext),
        (table, record_id, revision, bytes(12), ciphertext[::-1]),
        (table, record_id, revision, nonce, ciphertext[:-1]),
        (table, record_id, revision, nonce, b""),
        (table, record_id, revision, b"", ciphertext),
    ]
    for row in moved:
        with pytest.raises(SealError):
            opened.open(*row)


def test_a_wrapped_key_opens_under_its_own_name_and_recipient_only(
    home: Home, keys: ContentKeys
) -> None:
    key_id, recipient, wrapped, *_ = keys.current("140100").row
    other = keys.current("140100", "restricted").row[1]
    for wrong in (
        (uuid.uuid4(), recipient, wrapped),
        (key_id, other, wrapped),
        (key_id, "0" * 16, wrapped),
        (key_id, recipient, wrapped[:-1]),
        (key_id, recipient, b""),
    ):
        with pytest.raises(SealError):
            opener(home).unwrap(*wrong)


def test_nonces_count_and_never_repeat_under_a_key(keys: ContentKeys) -> None:
    key = keys.current("140100")
    nonces = [key.seal(*ROW, b"same")[0] for _ in range(3)]
    assert nonces == [n.to_bytes(12, "big") for n in range(3)]


def test_a_key_lives_a_minute_per_organisation_and_use(home: Home) -> None:
    clock = TurnedClock(NOW)
    keys = ContentKeys(SealRecipients.load(home.seal_keys), clock)
    first = keys.current("140100")
    assert keys.current("140100") is first
    assert keys.current("140200") is not first
    assert keys.current("140100", "restricted") is not first
    clock.turn(seconds=59.9)
    assert keys.current("140100") is first
    clock.turn(seconds=0.1)
    second = keys.current("140100")
    assert second is not first
    clock.turn(seconds=-100)
    assert keys.current("140100") is not second


def test_a_key_that_sealed_enough_is_replaced(keys: ContentKeys, monkeypatch) -> None:
    monkeypatch.setattr(seal, "KEY_SEALS", 1)
    first = keys.current("140100")
    first.seal(*ROW, b"")
    assert keys.current("140100") is not first


def test_a_key_that_was_made_since_is_found_by_the_opener_that_runs(home: Home) -> None:
    """Disclosure is not started anew: what was sealed before, during and after opens."""
    clock, running = TurnedClock(NOW), opener(home)
    keys = ContentKeys(CurrentRecipients(home.seal_keys), clock)

    def sealed() -> tuple[ContentKey, tuple[bytes, bytes]]:
        key = keys.current("140100")
        return key, key.seal(*ROW, b"body")

    before = sealed()
    key_id = seal_keys.prepare(home, "body")
    waiting = sealed()
    seal_keys.publish(home, "body", key_id)
    in_use = sealed()
    clock.turn(seconds=60)
    after = sealed()
    assert before[0] is waiting[0] is in_use[0]
    assert [one[0].row[1] == key_id for one in (before, in_use, after)] == [False, False, True]
    for key, (nonce, ciphertext) in (before, waiting, in_use, after):
        assert running.unwrap(*key.row[:3]).open(*ROW, nonce, ciphertext) == b"body"


def test_tags_are_hmac_with_domain_separation(home: Home) -> None:
    """RFC 2104 by the standard library's other entry, so that a change of the form is noticed."""
    key = bytes(range(32))
    expected = hmac.new(key, b"child" + b"\0" + b"140101", hashlib.sha256).digest()[:16]
    index = BlindIndex(key)
    assert index.tag("child", "140101") == expected
    assert index.tag("phone", "140101") != expected
    assert index.tag("childx", "40101") != index.tag("child", "x40101")
    assert BlindIndex.load(home.secrets("intake")).tag("a", "b") == BlindIndex.load(
        home.secrets("disclosure")
    ).tag("a", "b")
    with pytest.raises(SealError):
        BlindIndex(b"short")
