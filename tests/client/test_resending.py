"""What was lost leaves the receipts and goes back to the spool; done twice it is done once."""

from gateway.client import delimited, resending
from gateway.client.resending import Resending, Waiting
from gateway.tlog import proof
from tests.client.small_gateway import SmallGateway
from tests.client.test_journal import file_of, order, upload


def test_receipts_past_the_kept_part_are_taken_out(tmp_path):
    gateway, folder = SmallGateway(), tmp_path / "p"
    journal = upload(gateway, folder, order(file_of(tmp_path, 35)))
    profile = journal._profile
    every = list(delimited.read(journal.receipts))
    cut = proof.parse(every[2].proof).index
    assert resending.take_back(profile, cut) == (2, 0)
    assert list(delimited.read(journal.receipts)) == every[:2]
    assert list(delimited.read(journal.receipts.with_suffix(".lost"))) == every[2:]
    assert resending.take_back(profile, cut) == (2, 0)
    assert resending.waiting_ids(profile) == [journal.id]
    assert resending.checkpoints(profile) == {
        proof.parse(each.proof).checkpoint for each in every[:2]
    }
    again = Resending(profile, journal.id)
    with again.alone() as batches:
        for sent, receipt in zip(list(batches), every[2:], strict=True):
            assert sent.request_id == receipt.request_id
            again.answered(sent, receipt, None)
    assert (again.count, again.missing) == (2, 0)
    assert list(delimited.read(journal.receipts)) == every
    assert resending.waiting_ids(profile) == []
    assert len(list((folder / "sent" / journal.id).glob("*"))) == 4


def test_what_is_not_held_is_missing(tmp_path):
    gateway, folder = SmallGateway(), tmp_path / "p"
    journal = upload(gateway, folder, order(file_of(tmp_path, 35)))
    next((folder / "sent" / journal.id).glob("*3.batch")).unlink()
    assert resending.take_back(journal._profile, 0) == (3, 1)
    waiting = Waiting(journal._profile, journal.id)
    assert (len(waiting.files), len(waiting.missing)) == (3, 1)
