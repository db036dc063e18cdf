"""An upload of files, opened so that what a restored log lost goes first: nobody need think of it.

1. The log is asked whether it was restored; a statement that is not good is the alarm, and nothing
   is sent.
2. Every batch whose receipt is of the lost part is sent again with the same bytes, of
   whatever upload of this profile it was.
3. What cannot be sent again, for its bytes are gone, is proven by its receipts (`losses`), once.
4. Then the journal of this upload is taken up; its batches are for an `Upload`.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.client import losses, resending
from gateway.client.client import Client
from gateway.client.journal import FileJournal, Order
from gateway.client.losses import Presented
from gateway.client.refusals import outcome_unknown
from gateway.client.resending import Resending
from gateway.client.upload import PATIENCE_S, Upload
from gateway.errors import Refusal


@dataclass(frozen=True, slots=True)
class Again:
    """What of one upload was sent again: so many batches.

    Of `missing` ones the bytes are not held here any more: its `files` are to be uploaded again.
    """

    batches: int
    missing: int
    files: tuple[str, ...]


async def send_again(client: Client, patience_s: float = PATIENCE_S) -> list[Again]:
    """Do 1 and 2; raises Refusal, LogError, BusyError, DelimitedError."""
    try:
        await client.look_back()
    except Refusal as refusal:
        if not outcome_unknown(refusal):
            raise  # that door is away: what is to be sent again waits, the upload does not
    done = []
    for upload_id in resending.waiting_ids(client.profile):
        again = Resending(client.profile, upload_id)
        with again.alone() as batches:
            await Upload(client, batches, again, patience_s=patience_s).run()
        done.append(Again(again.count, again.missing, tuple(map(str, again.about["files"]))))
    return done


@asynccontextmanager
async def opened(
    client: Client,
    order: Order,
    *,
    patience_s: float = PATIENCE_S,
    told: Callable[[Again], object] = lambda _: None,
    moved: Callable[[int, int], object] = lambda *_: None,
    presented: Callable[[Presented], object] = lambda _: None,
) -> AsyncIterator[FileJournal]:
    """Give the journal of an upload once nothing lost waits any more; `told` of each that did.

    `moved` is told how many of how many receipts are presented, `presented` what became of them.
    Raises as `send_again`.
    """
    for one in await send_again(client, patience_s):
        told(one)
    presented(await losses.present(client, moved))
    journal = FileJournal(client.profile, order, clock=client.clock)
    try:
        yield journal
    finally:
        journal.close()
