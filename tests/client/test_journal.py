import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from gateway.client import delimited
from gateway.client.client import Client
from gateway.client.journal import BusyError, FileJournal, Order
from gateway.client.secret import Secret
from gateway.client.upload import Upload
from gateway.errors import Reason, refuse
from gateway.v1 import upload_service_pb2 as up
from tests.client.small_gateway import PASSWORD, SmallGateway

UNIT, LANE = "1401050003", up.UploadBatchesRequest.LANE_BACKFILL
ROOT = Path(__file__).parents[2]


def file_of(folder, count, name="doses.jsonl"):
    path = folder / name
    path.write_text(
        "".join(json.dumps({"vaccination": {"recordId": f"r{n}"}}) + "\n" for n in range(count))
    )
    return path


def order(*files):
    return Order(files, UNIT, LANE, 10)


def upload(gateway, folder, wanted, *, answers=None):
    """Upload and return the journal; break off without ceremony after so many answers."""

    class BrokenOff(Exception):  # noqa: N818
        pass

    async def scenario():
        async with gateway:
            profile = gateway.profile(folder)
            async with Client(profile, password=lambda: Secret(PASSWORD)) as client:
                journal = FileJournal(profile, wanted)
                try:
                    await Upload(client, journal.batches(), Counted(journal)).run()
                except BrokenOff:
                    pass
                finally:
                    journal.close()
                return journal

    class Counted:
        def __init__(self, journal):
            self.journal, self.left = journal, answers

        def answered(self, sent, receipt, evidence, /):
            if self.left == 0:
                raise BrokenOff
            self.journal.answered(sent, receipt, evidence)
            if self.left is not None:
                self.left -= 1

        def refused(self, sent, refusal):
            self.journal.refused(sent, refusal)

    return asyncio.run(asyncio.wait_for(scenario(), 30))


def test_an_upload_leaves_its_receipts_and_nothing_else(tmp_path):
    gateway, folder = SmallGateway(), tmp_path / "p"
    journal = upload(gateway, folder, order(file_of(tmp_path, 95)))
    receipts = list(delimited.read(journal.receipts))
    assert [len(receipt.items) for receipt in receipts] == [10] * 9 + [5]
    assert journal.tally.states == {"accepted": 95}
    assert [path.name for path in (folder / "spool").iterdir()] == [f"{UNIT}.lock"]
    assert json.loads((folder / "sequences.json").read_text()) == {UNIT: 10}


def test_the_same_command_again_sends_nothing_and_tells_the_same(tmp_path):
    gateway, folder, file = SmallGateway(), tmp_path / "p", file_of(tmp_path, 35)
    upload(gateway, folder, order(file))
    again = upload(gateway, folder, order(file))
    assert again.tally.states == {"accepted": 35}
    assert again.sent_before == 35
    assert gateway.streams == 2
    assert len(gateway.batches) == 4


def test_a_renamed_file_is_the_same_upload_and_a_changed_one_is_not(tmp_path):
    file = file_of(tmp_path, 5)
    same = file_of(tmp_path, 5, "renamed.jsonl")
    other = file_of(tmp_path, 6, "other.jsonl")
    assert order(file).identity() == order(same).identity() != order(other).identity()
    assert order(file, other).identity() != order(other, file).identity()


def test_what_was_cut_off_goes_on_without_loss_or_repetition(tmp_path):
    gateway, folder, file = SmallGateway(), tmp_path / "p", file_of(tmp_path, 200)
    for answers in (0, 3, 1, 7):
        upload(gateway, folder, order(file), answers=answers)
    journal = upload(gateway, folder, order(file))
    assert sorted(gateway.records()) == sorted(f"r{n}" for n in range(200))
    assert journal.tally.states == {"accepted": 200}
    sequences = sorted(batch.sequence for batch in gateway.batches)
    assert sequences == list(range(1, 21))


def test_a_receipt_cut_off_by_a_crash_is_asked_for_again(tmp_path):
    gateway, folder, file = SmallGateway(), tmp_path / "p", file_of(tmp_path, 40)
    journal = upload(gateway, folder, order(file), answers=2)
    journal.receipts.write_bytes(journal.receipts.read_bytes() + b"\xff\x01half")
    upload(gateway, folder, order(file))
    assert len(list(delimited.read(journal.receipts))) == 4
    assert sorted(gateway.records()) == sorted(f"r{n}" for n in range(40))


def test_a_refused_batch_is_tried_again_by_the_same_command(tmp_path):
    gateway, folder, file = SmallGateway(), tmp_path / "p", file_of(tmp_path, 30)
    gateway.faults = [lambda _: None, lambda _: refuse(Reason.BATCH_MALFORMED)]
    journal = upload(gateway, folder, order(file))
    assert journal.tally.refused == {"BATCH_MALFORMED": 10}
    journal = upload(gateway, folder, order(file))
    assert journal.tally.refused == {}
    assert sorted(gateway.records()) == sorted(f"r{n}" for n in range(30))


def test_one_upload_per_unit_at_a_time(tmp_path):
    gateway = SmallGateway(port=1)
    profile = gateway.profile(tmp_path / "p")
    wanted = order(file_of(tmp_path, 3))
    first = FileJournal(profile, wanted)
    with pytest.raises(BusyError):
        FileJournal(profile, wanted)
    first.close()
    FileJournal(profile, wanted).close()


def test_batches_are_numbered_on_from_the_last_upload(tmp_path):
    gateway, folder = SmallGateway(), tmp_path / "p"
    upload(gateway, folder, order(file_of(tmp_path, 20)))
    upload(gateway, folder, order(file_of(tmp_path, 30, "more.jsonl")))
    assert [batch.sequence for batch in gateway.batches] == [1, 2, 3, 4, 5]


def test_a_client_killed_again_and_again_stores_every_record_once(tmp_path):
    """kill -9 of the uploading process at six moments; the last one is left to finish."""
    gateway, folder, file = SmallGateway(), tmp_path / "p", file_of(tmp_path, 3000)

    async def scenario():
        async with gateway:
            gateway.profile(folder)
            for moment in range(6):
                room = asyncio.Semaphore(0)
                gateway.committed = room.release
                process = await start()
                for _ in range(5 + moment):
                    await room.acquire()
                os.kill(process.pid, signal.SIGKILL)
                await process.wait()
            process = await start()
            return await process.wait()

    async def start():
        command = (sys.executable, "-m", "tests.client.uploader", str(folder), str(file))
        return await asyncio.create_subprocess_exec(*command, cwd=ROOT)

    assert asyncio.run(asyncio.wait_for(scenario(), 100)) == 0
    stored = gateway.records()
    assert len(stored) == len(set(stored)) == 3000
    (receipts,) = (folder / "receipts").glob("*.receipts")
    held = {receipt.request_id for receipt in delimited.read(receipts)}
    assert held == set(gateway.stored)
