"""Whoever opens an upload sends again what was lost, and need not know that a log can be restored."""

import asyncio

from gateway.client import profile as profiles
from gateway.client import sending
from gateway.client.client import Client
from gateway.client.secret import Secret
from gateway.client.sending import Again
from gateway.client.upload import Upload
from tests.client.restoring import statement
from tests.client.small_gateway import PASSWORD
from tests.client.test_journal import file_of, order
from tests.client.test_restored import Lost, records


def opening(lost: Lost, file) -> tuple[list[Again], int]:
    """Open an upload of another file; what was told, and what was sent before it began."""
    told: list[Again] = []

    async def scenario():
        async with lost.now:
            profiles.write_remote(lost.folder, lost.now.remote())
            profile = profiles.load(lost.folder)
            async with Client(profile, password=lambda: Secret(PASSWORD)) as client:
                async with sending.opened(client, order(file), told=told.append) as journal:
                    before = len(lost.now.batches)
                    await Upload(client, journal.batches(), journal).run()
                await client.settle()
                return before

    return told, asyncio.run(asyncio.wait_for(scenario(), 60))


def test_what_was_lost_goes_before_the_first_batch_of_another_file(tmp_path):
    lost = Lost(tmp_path)
    lost.say(statement(lost.papers, lost.now.log, lost.kept))
    other = file_of(tmp_path, 7, "other.jsonl")
    told, before = opening(lost, other)
    assert before == len(lost.before.batches)
    assert sorted((one.batches, one.missing) for one in told) == [(2, 0), (4, 0)]
    assert {name for one in told for name in one.files} == {str(one) for one in lost.later}
    assert len(lost.now.batches) == before + 1
    assert opening(lost, other) == ([], before + 1)


def test_what_is_not_held_is_told_with_its_files(tmp_path):
    lost = Lost(tmp_path)
    for batch in (lost.folder / "sent").glob("*/*"):
        batch.unlink()
    lost.say(statement(lost.papers, lost.now.log, lost.kept))
    told, _ = opening(lost, lost.later[0])
    assert sorted((one.batches, one.missing) for one in told) == [(0, 2), (0, 4)]
    opening(lost, lost.later[1])
    assert records(lost.now) == records(lost.before)
