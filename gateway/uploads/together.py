"""Batches of one dose that stand in one commit group: read in one statement, written in one.

They are judged one after another beside one Known, as if each came alone. Where that would not be
the same, they are taken one by one: when a record comes twice, replaces a stored one or settles a
held one.
"""

from collections.abc import Sequence
from typing import Self

from gateway.audit.event import Event
from gateway.audit.group import Joint
from gateway.errors import Reason, refuse
from gateway.store.database import Transaction
from gateway.uploads import known
from gateway.uploads.batch_rows import open_singles, write_keys
from gateway.uploads.received import DOSE, Prepared
from gateway.uploads.taking import Taking


def is_single_dose(prepared: Prepared) -> bool:
    """Return whether a batch may be taken together with others."""
    return len(prepared.items) == 1 and prepared.items[0].kind == DOSE


class Single(Taking, Joint):
    """The attempt to take a batch of one dose."""

    @classmethod
    async def together(cls, tx: Transaction, singles: Sequence[Self]) -> list[Event]:
        """Take them all and return their events; raises whatever fails any of them."""
        batches = [single.prepared for single in singles]
        beside = await known.load(tx, *batches)
        for single in singles:
            single.judge(beside)
        if _meet(batches) or beside.held or beside.taken.earlier:
            return [await single(tx) for single in singles]
        answers = [single.answer for single in singles]
        ids = await open_singles(tx, batches, answers, list(beside.taken.doses.values()))
        if len(ids) < len(singles):
            # One was taken before. Which, and what is to be answered, is found out one by one.
            raise refuse(Reason.REVISION_STALE)
        await write_keys(tx, {key for one in singles for key in one.missing_keys()})
        return [await one.written(tx, beside, ids[one.prepared.name]) for one in singles]


def _meet(batches: Sequence[Prepared]) -> bool:
    """Return whether two batches bring the same record."""
    records = [key for prepared in batches if (key := prepared.items[0].record_key) is not None]
    return len(set(records)) < len(records)
