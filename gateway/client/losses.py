"""What was lost and cannot be sent again is proven to the gateway by its receipts, once.

A batch whose bytes are not held here any more has its receipt among those of the lost part: it
proves what was acknowledged, and the province has it on record as missing (decision 0033). Uploaded
again by a person, it is missing no more.

In the profile's folder: `receipts/<id>.presented`, the request ids that were presented of an
upload, and why the gateway refused one ("" where it did not). After another restore they are
presented anew: the record may be lost as well.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from gateway.client import delimited
from gateway.client.client import Client
from gateway.client.files import write_private
from gateway.client.journal import LOST
from gateway.client.profile import Profile
from gateway.client.resending import PRESENTED, Waiting, waiting_ids
from gateway.errors import Reason, Refusal
from gateway.v1 import upload_service_pb2 as v1

# What the gateway takes at a time, and as many bytes as leave room in its 4 MiB.
_RECEIPTS_MAX, _BYTES_MAX = 64, 3 * 1024 * 1024
_OF_THE_RECEIPT = frozenset(
    {
        Reason.RECEIPT_INVALID,
        Reason.RECEIPT_FOREIGN,
        Reason.RECEIPT_KEPT,
        Reason.MESSAGE_TOO_LARGE,
    }
)


@dataclass(slots=True)
class Presented:
    """What became of it: so many batches are on record now, so many receipts refused, by reason.

    `later`: why the rest waits for the next time, "" where nothing does.
    """

    batches: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    later: str = ""


async def present(
    client: Client, moved: Callable[[int, int], object] = lambda *_: None
) -> Presented:
    """Present what was not yet; `moved` is told how many of how many are through.

    A refusal that is of no receipt leaves the rest for the next time. Raises LogError,
    DelimitedError.
    """
    work = [(each, _unpresented(client.profile, each)) for each in waiting_ids(client.profile)]
    done, total, result = 0, sum(len(names) for _, names in work), Presented()
    for upload_id, names in work:
        for some in _portions(_receipts(client.profile, upload_id, names)):
            try:
                found = await _given(client, some)
            except Refusal as refusal:
                result.later = refusal.reason.value
                return result
            _remember(client.profile, upload_id, found)
            for reason in found.values():
                if reason:
                    result.refused[reason] = result.refused.get(reason, 0) + 1
                else:
                    result.batches += 1
            done += len(some)
            moved(done, total)
    return result


async def _given(client: Client, some: list[v1.BatchReceipt]) -> dict[str, str]:
    """Return by request id why the gateway refused a receipt, "" where it has it on record.

    One that is refused spoils its set: it is looked for by halves.
    """
    request = v1.PresentLostReceiptsRequest(request_id=str(uuid.uuid4()), receipts=some)
    try:
        await client.call(client.uploads.PresentLostReceipts, request)
    except Refusal as refusal:
        if refusal.reason not in _OF_THE_RECEIPT:
            raise
        if len(some) == 1:
            return {some[0].request_id: refusal.reason.value}
        half = len(some) // 2
        return {**await _given(client, some[:half]), **await _given(client, some[half:])}
    return {each.request_id: "" for each in some}


def _unpresented(profile: Profile, upload_id: str) -> set[str]:
    return Waiting(profile, upload_id).missing - _presented(profile, upload_id).keys()


def _presented(profile: Profile, upload_id: str) -> dict[str, str]:
    try:
        content = (profile.receipts / f"{upload_id}{PRESENTED}").read_bytes()
    except FileNotFoundError:
        return {}
    return dict(json.loads(content))


def _remember(profile: Profile, upload_id: str, found: Mapping[str, str]) -> None:
    told = {**_presented(profile, upload_id), **found}
    write_private(profile.receipts / f"{upload_id}{PRESENTED}", json.dumps(told).encode())


def _receipts(profile: Profile, upload_id: str, names: set[str]) -> Iterator[v1.BatchReceipt]:
    """Yield the receipts of these batches, of each the newest, without findings."""
    every = delimited.recover(profile.receipts / f"{upload_id}{LOST}")
    newest = {each.request_id: each for each in every if each.request_id in names}
    for each in newest.values():
        for item in each.items:
            del item.findings[:]
        yield each


def _portions(receipts: Iterator[v1.BatchReceipt]) -> Iterator[list[v1.BatchReceipt]]:
    portion: list[v1.BatchReceipt] = []
    room = _BYTES_MAX
    for each in receipts:
        size = each.ByteSize()
        if portion and (len(portion) == _RECEIPTS_MAX or size > room):
            yield portion
            portion, room = [], _BYTES_MAX
        portion.append(each)
        room -= size
    if portion:
        yield portion
