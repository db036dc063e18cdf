"""What cannot be sent again is proven by its receipts: each once, in portions, a bad one alone is refused."""

import asyncio

from gateway.client import delimited, resending, sending
from gateway.client import profile as profiles
from gateway.client.client import Client
from gateway.client.losses import Presented
from gateway.client.secret import Secret
from gateway.client.upload import Upload
from gateway.errors import Reason
from tests.client.restoring import statement
from tests.client.small_gateway import PASSWORD
from tests.client.test_journal import file_of, order
from tests.client.test_restored import Lost, records


def missing(tmp_path) -> Lost:
    """Of six lost batches two are not held any more: one of each file."""
    lost = Lost(tmp_path)
    for batch in (lost.folder / "sent").glob("*/00000001.batch"):
        batch.unlink()
    lost.say(statement(lost.papers, lost.now.log, lost.kept))
    return lost


def opening(lost: Lost, file=None) -> Presented:
    """Open an upload of this file, or of another; what became of the receipts."""
    told: list[Presented] = []

    async def scenario():
        async with lost.now:
            profiles.write_remote(lost.folder, lost.now.remote())
            profile = profiles.load(lost.folder)
            async with Client(profile, password=lambda: Secret(PASSWORD)) as client:
                wanted = order(file or file_of(lost.folder.parent, 7, "other.jsonl"))
                async with sending.opened(client, wanted, presented=told.append) as journal:
                    if file is not None:
                        await Upload(client, journal.batches(), journal).run()
                await client.settle()

    asyncio.run(asyncio.wait_for(scenario(), 60))
    [found] = told
    return found


def lost_ids(lost: Lost) -> list[str]:
    """The ids of the two: the second batch of each file."""
    files = sorted((lost.folder / "receipts").glob("*.lost"))
    return [list(delimited.read(one))[1].request_id for one in files]


def test_what_is_not_held_is_proven_once(tmp_path):
    lost = missing(tmp_path)
    assert opening(lost) == Presented(2)
    assert sorted(lost.now.presented) == sorted(lost_ids(lost))
    assert opening(lost) == Presented()
    assert lost.now.calls.count("present") == 2
    for file in lost.later:
        assert opening(lost, file) == Presented()
    assert records(lost.now) == records(lost.before)


def test_nothing_is_presented_where_all_was_sent_again(tmp_path):
    lost = Lost(tmp_path)
    lost.say(statement(lost.papers, lost.now.log, lost.kept))
    assert opening(lost) == Presented()
    assert "present" not in lost.now.calls


def test_a_refused_receipt_spoils_no_other(tmp_path):
    lost = Lost(tmp_path)
    for batch in (lost.folder / "sent").glob("*/*.batch"):
        batch.unlink()
    lost.say(statement(lost.papers, lost.now.log, lost.kept))
    files = sorted((lost.folder / "receipts").glob("*.receipts"))
    ids = [each.request_id for one in files for each in delimited.read(one)]
    bad = next(each for each in ids if each not in lost.now.stored)
    lost.now.unprovable = {bad}
    assert opening(lost) == Presented(5, {"RECEIPT_INVALID": 1})
    assert bad not in lost.now.presented
    assert opening(lost) == Presented()


def test_what_could_not_be_presented_now_is_next_time(tmp_path):
    """A gateway that does not know the call, or is away, stops no upload."""
    lost = missing(tmp_path)
    for reason in (Reason.METHOD_UNKNOWN, Reason.RATE_LIMITED, Reason.STORE_AWAY):
        lost.now.presenting = reason
        assert opening(lost, lost.later[0] if reason is Reason.STORE_AWAY else None) == Presented(later=reason.value)  # fmt: skip
    lost.now.presenting = None
    assert opening(lost) == Presented(1)  # the other one was uploaded again meanwhile


def test_after_another_restore_they_are_presented_anew(tmp_path):
    lost = missing(tmp_path)
    opening(lost)
    assert resending.take_back(profiles.load(lost.folder), 10**6) == (0, 2)
    assert opening(lost) == Presented(2)
    assert len(lost.now.presented) == 4
