"""Witnesses of the log: whose key is whose. A key is registered once; ended is for ever."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.errors import Reason, refuse
from gateway.registry import organisations
from gateway.registry.fields import Wrong
from gateway.store.database import Transaction
from gateway.tlog.cosignature import WitnessKey, parse_vkey
from gateway.tlog.note import NoteError

# So long may a name be: in a note, and in what is printed.
NAME_MAX = 120
_COLUMNS = "SELECT vkey, organisation, registered_us, ended_us FROM gateway.witness"
_ALL = f"{_COLUMNS} ORDER BY organisation, name, registered_us, vkey"
_FIND = f"{_COLUMNS} WHERE organisation = %s AND key_id = %s"
_OF_KEY = f"{_COLUMNS} WHERE public_key = %s"
_INSERT = (
    "INSERT INTO gateway.witness"
    " (vkey, public_key, key_id, name, organisation, registered_us) VALUES (%s, %s, %s, %s, %s, %s)"
    " ON CONFLICT DO NOTHING"
)
_END = "UPDATE gateway.witness SET ended_us = %s WHERE vkey = %s AND ended_us IS NULL"


@dataclass(frozen=True, slots=True)
class Witness:
    """An organisation's witness; times in microseconds, `ended_us` None while it counts."""

    organisation: str
    key: WitnessKey
    registered_us: int = 0
    ended_us: int | None = None


async def every(tx: Transaction) -> list[Witness]:
    """Return all witnesses there ever were, by organisation, name and age."""
    return [_witness(row) for row in await tx.fetch(_ALL)]


async def counting(tx: Transaction) -> list[Witness]:
    """Return the witnesses whose cosignatures count now."""
    return [one for one in await every(tx) if one.ended_us is None]


async def register(tx: Transaction, organisation: str, vkey: str, now_us: int) -> Witness:
    """Register a key; the same again changes nothing.

    Raises FIELD_INVALID; ALREADY_EXISTS where the key is another's, has another name, or has ended.
    """
    wrong = Wrong()
    known = await organisations.read(tx, organisation)
    wrong.unless(known, "organisation_code", "organisation-unknown")
    key = _parsed(vkey)
    named = key is not None and len(key.name) <= NAME_MAX and key.name.isprintable()
    wrong.unless(named, "vkey", "witness-key")
    wrong.refuse_if_any()
    assert key is not None  # noqa: S101  as found
    ids = (str(key), key.public, key.key_id.hex(), key.name)
    await tx.execute(_INSERT, (*ids, organisation, now_us))
    row = await tx.fetch_one(_OF_KEY, (key.public,))
    found = None if row is None else _witness(row)
    if found is None or (found.organisation, found.key, found.ended_us) != (
        organisation,
        key,
        None,
    ):
        raise refuse(Reason.ALREADY_EXISTS)
    return found


async def end(tx: Transaction, organisation: str, key_id: str, now_us: int) -> Witness:
    """Let a key count no more; one that ended stays as it is. Raises NOT_FOUND."""
    row = await tx.fetch_one(_FIND, (organisation, key_id))
    if row is None:
        raise refuse(Reason.NOT_FOUND)
    found = _witness(row)
    await tx.execute(_END, (now_us, str(found.key)))
    return found


def _parsed(vkey: str) -> WitnessKey | None:
    try:
        return parse_vkey(vkey)
    except NoteError:
        return None


def _witness(row: Sequence[Any]) -> Witness:  # Any: the columns of _COLUMNS, in their types
    vkey, organisation, registered_us, ended_us = row
    return Witness(organisation, parse_vkey(vkey), registered_us, ended_us)
