"""A client follows a log that was put back by what its key and two officers say, sends again what was lost; else the alarm."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.client import alarm, sending
from gateway.client import profile as profiles
from gateway.client.checkpoints import LogError
from gateway.client.client import Client
from gateway.client.journal import FileJournal
from gateway.client.secret import Secret
from gateway.client.upload import Upload
from gateway.client.witness import Witness
from gateway.tlog import merkle
from tests.client.restoring import Copy, consent, statement
from tests.client.small_gateway import PASSWORD, Log, SmallGateway, make_papers
from tests.client.test_journal import file_of, order


def at_work(gateway: SmallGateway, folder: Path, work: Callable, *, new: bool = False):
    async def scenario():
        async with gateway:
            profile = gateway.profile(folder) if new else profiles.load(folder)
            async with Client(profile, password=lambda: Secret(PASSWORD)) as client:
                return await work(client)

    return asyncio.run(asyncio.wait_for(scenario(), 60))


def uploading(*files: Path) -> Callable:
    """As whoever uses the library uploads: opens each, sends it."""

    async def work(client: Client) -> Client:
        for file in files:
            async with sending.opened(client, order(file)) as journal:
                await Upload(client, journal.batches(), journal).run()
        if not files:
            await sending.send_again(client)
        await client.settle()
        return client

    return work


class Lost:
    """A gateway that took two files after its backup, and one before; then it was lost and put back."""

    def __init__(self, folder: Path, *, witness: bool = False) -> None:
        self.folder, self.before = folder / "p", SmallGateway()
        at_work(self.before, self.folder, uploading(file_of(folder, 20, "a.jsonl")), new=True)
        if witness:
            Witness.create(profiles.load(self.folder))
        copied = Copy.of(self.before)
        self.kept = len(copied.leaves)
        self.later = [file_of(folder, count, f"{count}.jsonl") for count in (31, 12)]
        at_work(self.before, self.folder, uploading(*self.later))
        self.now = copied.restored(self.before)
        # A port that is still closing is not taken again: the profile is told of the new one.
        self.now.port = 0
        self.papers = self.before.papers

    def say(self, made, *signers) -> None:
        self.now.log.restores.append(made.signed(*(signers or self.now.log.signers)))

    def work(self, *files: Path) -> Client:
        async def scenario():
            async with self.now:
                profiles.write_remote(self.folder, self.now.remote())
                profile = profiles.load(self.folder)
                async with Client(profile, password=lambda: Secret(PASSWORD)) as client:
                    return await uploading(*files)(client)

        return asyncio.run(asyncio.wait_for(scenario(), 60))

    def refused(self) -> str:
        """The alarm's code; the proof lies there, and not one batch was sent."""
        with pytest.raises(LogError) as raised:
            self.work(self.later[0])
        assert self.now.streams == 0
        profile = profiles.load(self.folder)
        proof = alarm.standing(profile)
        assert proof is not None
        assert str(proof) in str(raised.value)
        proof.unlink()
        return raised.value.code


def records(gateway: SmallGateway) -> list[str]:
    return sorted(
        f"{len(one.items)}/{item.vaccination.record_id}"
        for one in gateway.batches
        for item in one.items
    )


def test_what_was_lost_is_sent_again_by_itself_and_is_there_once(tmp_path):
    lost = Lost(tmp_path)
    whole, checkpoint = records(lost.before), (lost.folder / "checkpoint").read_bytes()
    assert len(records(lost.now)) < len(whole)
    lost.say(statement(lost.papers, lost.now.log, lost.kept))
    client = lost.work(*lost.later)
    assert records(lost.now) == whole
    [done] = client.followed
    assert (done.statement.size, done.batches, done.missing) == (lost.kept, 6, 0)
    assert (lost.folder / "restores" / "1").read_text() == lost.now.log.restores[0]
    assert (lost.folder / "restores" / "1.checkpoint").read_bytes() == checkpoint
    # Once more: nothing is left to do, and it is not told again.
    again = lost.work(*lost.later)
    assert (again.followed, records(lost.now)) == ([], whole)


def test_two_restores_one_after_the_other_are_followed(tmp_path):
    """The second is of a backup that was made after the first: it shows both statements, one of them is new."""
    lost = Lost(tmp_path)
    whole = records(lost.before)
    lost.say(statement(lost.papers, lost.now.log, lost.kept))
    lost.work()
    assert records(lost.now) == whole
    between = Copy.of(lost.now)
    last = file_of(tmp_path, 9, "last.jsonl")
    lost.work(last)
    said = lost.now.log.restores
    whole, lost.before = records(lost.now), lost.now
    lost.now = between.restored(lost.before)
    lost.now.port, lost.now.log.restores = 0, list(said)
    lost.say(statement(lost.papers, lost.now.log, len(between.leaves), later_s=1))
    assert len(records(lost.now)) < len(whole)
    client = lost.work()
    assert records(lost.now) == whole
    assert len(client.followed) == 1
    # Both were followed: they lie beside what was held before each, and the log is uploaded to as any other.
    kept = profiles.load(lost.folder).folder / "restores"
    assert {"1", "2"} <= {one.name for one in kept.iterdir()}
    assert lost.work(last).followed == []


def test_a_city_that_has_its_files_no_more_sends_again_what_it_keeps(tmp_path):
    lost = Lost(tmp_path)
    for file in lost.later:
        file.unlink()
    lost.say(statement(lost.papers, lost.now.log, lost.kept))
    lost.work()
    assert records(lost.now) == records(lost.before)


def test_what_is_not_kept_any_more_is_told_and_the_same_files_send_it(tmp_path):
    lost = Lost(tmp_path)
    for batch in (lost.folder / "sent").glob("*/*"):
        batch.unlink()
    lost.say(statement(lost.papers, lost.now.log, lost.kept))
    [done] = lost.work().followed
    assert (done.batches, done.missing) == (0, 6)
    lost.work(*lost.later)
    assert records(lost.now) == records(lost.before)


def test_of_what_is_held_in_part_every_record_is_there_once(tmp_path):
    """The middle of a file is not held any more: its own records are read anew, no others."""
    lost = Lost(tmp_path)
    for batch in (lost.folder / "sent").glob("*/00000001.batch"):
        batch.unlink()
    lost.say(statement(lost.papers, lost.now.log, lost.kept))
    [done] = lost.work().followed
    assert (done.batches, done.missing) == (4, 2)
    before = records(lost.now)
    assert len(before) < len(records(lost.before))
    for _ in range(2):
        lost.work(*lost.later)
        assert records(lost.now) == records(lost.before)


def test_whoever_opens_a_journal_by_himself_sends_again_what_was_of_it(tmp_path):
    """Without `sending`: the stream asks first, and the journal takes up what came back to it."""
    lost = Lost(tmp_path)
    lost.say(statement(lost.papers, lost.now.log, lost.kept))

    async def alone(client: Client) -> None:
        for file in lost.later:
            journal = FileJournal(client.profile, order(file))
            try:
                await Upload(client, journal.batches(), journal).run()
            finally:
                journal.close()
        await client.settle()

    async def scenario():
        async with lost.now:
            profiles.write_remote(lost.folder, lost.now.remote())
            profile = profiles.load(lost.folder)
            async with Client(profile, password=lambda: Secret(PASSWORD)) as client:
                await alone(client)

    asyncio.run(asyncio.wait_for(scenario(), 60))
    assert records(lost.now) == records(lost.before)


def test_a_witness_that_vouched_for_more_vouches_no_more(tmp_path):
    lost = Lost(tmp_path, witness=True)
    key = (lost.folder / "witness" / "key").read_bytes()
    lost.say(statement(lost.papers, lost.now.log, lost.kept))
    assert lost.work().witness is None
    assert not (lost.folder / "witness").exists()
    assert (lost.folder / "restores" / "1.witness" / "key").read_bytes() == key
    assert lost.now.cosignatures == []


def test_a_log_of_the_very_size_that_was_seen_is_asked_before_the_alarm(tmp_path):
    """What the first reply shows is a fork by itself: same size, another root."""
    lost = Lost(tmp_path)
    seen = int((lost.folder / "checkpoint").read_text().splitlines()[1])
    while len(lost.now.log.hashes) < seen:
        lost.now.log.append(b"more")
    lost.say(statement(lost.papers, lost.now.log, lost.kept))
    assert len(lost.work(*lost.later).followed) == 1
    assert records(lost.now) == records(lost.before)
    assert alarm.standing(profiles.load(lost.folder)) is None


def test_a_statement_is_not_needed_where_nothing_is_missing(tmp_path):
    gateway, folder = SmallGateway(), tmp_path / "p"
    at_work(gateway, folder, uploading(file_of(tmp_path, 20)), new=True)
    gateway.log.restores.append(
        statement(gateway.papers, gateway.log, 3).signed(*gateway.log.signers)
    )
    lost = Lost.__new__(Lost)
    lost.folder, lost.now, lost.papers, lost.later = (
        folder,
        gateway,
        gateway.papers,
        [file_of(tmp_path, 9, "b.jsonl")],
    )
    gateway.port = 0
    assert lost.work().followed == []
    # It is remembered: the same one explains nothing later, however short the log is then.
    lost.now = Copy(gateway.log.leaves[:4], {}, []).restored(gateway)
    lost.now.port, lost.now.log.restores = 0, gateway.log.restores
    with pytest.raises(LogError) as raised:
        lost.work()
    assert raised.value.code in {"LOG_SHRANK", "LOG_FORKED", "LOG_INCONSISTENT"}


def test_a_stolen_log_key_without_officers_restores_nothing(tmp_path):
    """[attack] The key signs whatever its thief likes; officers' certificates are under the root that the client holds."""
    lost = Lost(tmp_path)
    thieves = make_papers()
    lost.say(statement(thieves, lost.now.log, lost.kept))
    assert lost.refused() == "RESTORE_OFFICERS"
    lost.now.log.restores.clear()
    good = statement(lost.papers, lost.now.log, lost.kept)
    forged = replace(good, consents=tuple(replace(one, signature=b"none") for one in good.consents))
    lost.say(forged)
    assert lost.refused() == "RESTORE_OFFICERS"
    lost.now.log.restores.clear()
    lost.say(good)
    assert len(lost.work().followed) == 1


@pytest.mark.parametrize(
    "two",
    [
        ("zhao", "zhao"),
        ("zhao", {"name": "qian", "organisation": "140105"}),
        ("zhao", {"name": "qian", "organisation": "110000"}),
        ("zhao", {"name": "qian", "manifest": "cd" * 32}),
        ("zhao", {"name": "qian", "ago_s": 90_000}),
    ],
)
def test_one_officer_restores_nothing(tmp_path, two):
    """[attack] The same person twice, a county's officer, another province's, another backup's approval, one of long ago."""
    lost = Lost(tmp_path)
    signed = [{"name": one} if isinstance(one, str) else one for one in two]
    lost.say(
        statement(
            lost.papers,
            lost.now.log,
            lost.kept,
            consents=tuple(consent(lost.papers, **one) for one in signed),
        )
    )
    assert lost.refused() == "RESTORE_OFFICERS"


def test_a_statement_that_was_followed_explains_no_second_loss(tmp_path):
    """[attack] The thief of the key shows an old statement, or the officers' old approvals in a new one."""
    lost = Lost(tmp_path)
    lost.say(statement(lost.papers, lost.now.log, lost.kept))
    lost.work(*lost.later)
    said = lost.now.log.restores
    lost.before, lost.now = (
        lost.now,
        Copy(lost.now.log.leaves[: lost.kept], {}, []).restored(lost.now),
    )
    lost.now.port, lost.now.log.restores = 0, list(said)
    with pytest.raises(LogError) as raised:
        lost.work()
    assert raised.value.code in {"LOG_SHRANK", "LOG_FORKED", "LOG_INCONSISTENT"}
    alarm_file = lost.folder / alarm.FILE
    alarm_file.unlink(missing_ok=True)
    lost.now.log.restores = []
    lost.say(
        statement(
            lost.papers,
            lost.now.log,
            lost.kept,
            later_s=-600,
            consents=tuple(consent(lost.papers, one, ago_s=700) for one in ("zhao", "qian")),
        )
    )
    # Its officers signed before the restore that was followed: it is no newer.
    assert lost.refused() == "RESTORE_REPLAYED"


def test_approvals_of_before_what_was_seen_explain_nothing(tmp_path):
    """[attack] Two officers once signed; a day later the log was seen longer than what the thief of its key shows."""
    lost = Lost(tmp_path)
    two = tuple(consent(lost.papers, one) for one in ("zhao", "qian"))
    file = lost.folder / "checkpoint"
    later = file.stat().st_mtime + 90_000
    os.utime(file, (later, later))
    lost.say(statement(lost.papers, lost.now.log, lost.kept, consents=two))
    assert lost.refused() == "RESTORE_REPLAYED"


def test_a_kept_part_that_is_larger_than_true_is_refused(tmp_path):
    """[attack] The statement names entries that the log does not have, or not so."""
    lost = Lost(tmp_path)
    lost.say(statement(lost.papers, lost.before.log, lost.kept + 4))
    assert lost.refused() == "RESTORE_SIZE"
    lost.now.log.restores.clear()
    lost.say(statement(lost.papers, lost.now.log, lost.kept, root=merkle.leaf_hash(b"x")))
    assert lost.refused() == "RESTORE_SIZE"
    lost.now.log.restores.clear()
    far = len(lost.now.log.hashes) + 1000
    lost.say(replace(statement(lost.papers, lost.now.log, lost.kept), size=far))
    assert lost.refused() == "RESTORE_SIZE"


def test_a_statement_of_another_gateway_is_refused(tmp_path):
    """[attack] Another log's statement, by its own key; and our log's by a key that is not ours."""
    lost = Lost(tmp_path)
    other = Log(name="other.test/audit")
    lost.say(
        statement(lost.papers, lost.now.log, lost.kept, origin="other.test/audit"), other.signer
    )
    assert lost.refused() == "RESTORE_ORIGIN"
    lost.now.log.restores.clear()
    lost.say(statement(lost.papers, lost.now.log, lost.kept), Log().signer)
    assert lost.refused() == "SIGNATURE_MISSING"


def test_what_the_client_saw_of_the_kept_part_must_be_in_it(tmp_path):
    """[attack] Two officers and the key, and a log whose beginning was rewritten: our receipts know another."""
    lost = Lost(tmp_path)
    leaves = [b"rewritten", *lost.now.log.leaves[1 : lost.kept]]
    lost.now = Copy(leaves, lost.now.stored, lost.now.batches).restored(lost.now)
    lost.now.port = 0
    lost.say(statement(lost.papers, lost.now.log, lost.kept))
    assert lost.refused() == "RESTORE_CONTRARY"
