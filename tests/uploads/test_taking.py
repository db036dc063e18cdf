"""The keys that an attempt must write; attempts as a whole are proven through the intake."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

from gateway.uploads.taking import StoredKeys


def batch(organisation: str, *ids: UUID) -> Any:
    """Return what StoredKeys asks of a batch."""
    keys = [SimpleNamespace(key_id=each) for each in ids]
    return SimpleNamespace(desk=SimpleNamespace(organisation=organisation), key=keys[0], keys=keys)


def missing(stored: StoredKeys, prepared: Any) -> list[UUID]:
    return [key.key_id for key in stored.missing(prepared)]


def test_keys_are_written_until_they_are_committed() -> None:
    stored, body, restricted = StoredKeys(), uuid4(), uuid4()
    assert missing(stored, batch("140105", body)) == [body]
    stored.note(batch("140105", body))
    assert missing(stored, batch("140105", body)) == []
    assert missing(stored, batch("140105", body, restricted)) == [restricted]
    stored.note(batch("140105", body, restricted))
    assert missing(stored, batch("140105", body, restricted)) == []
    assert missing(stored, batch("140106", body)) == [body]


def test_keys_before_the_newest_are_forgotten() -> None:
    stored, old, new = StoredKeys(), uuid4(), uuid4()
    stored.note(batch("140105", old))
    stored.note(batch("140105", new))
    assert missing(stored, batch("140105", old)) == [old]
    assert missing(stored, batch("140105", new)) == []
