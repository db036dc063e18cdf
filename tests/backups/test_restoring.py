"""The whole HOME is lost and put back from one backup: its log verifies, nobody's session lives; or nothing stands at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from gateway.audit.verify import verify_folder
from gateway.backups import checking, lists, manifest, recipients, restoring
from gateway.backups.elsewhere import Elsewhere
from gateway.backups.errors import BackupError
from gateway.backups.making import Made
from gateway.backups.restoring import Wanted
from gateway.clock import SYSTEM
from gateway.config import log_keys
from gateway.config.home import Home
from gateway.signer import Memory
from gateway.store import versions
from gateway.store.embedded import Cluster, ClusterError
from gateway.tlog import checkpoint, note, restored
from tests.backups.stand import IDENTITY, Stand, code

import pyrage  # isort: skip


@pytest.fixture
def target() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="gw-"))
    root.chmod(0o711)
    yield root / "home"
    shutil.rmtree(root)


def wanted(stand: Stand, made: Made | None = None, **other) -> Wanted:
    of = made or stand.kept
    two = (stand.approved(of, "zhao"), stand.approved(of, "qian"))
    return replace(Wanted(of.folder, stand.keys, IDENTITY, two), **other)


def refused(stand: Stand, target: Path, asked: Wanted) -> str:
    """The reason; nothing stands there, and no server runs."""
    reason = code(lambda: restoring.restore(asked, target, SYSTEM))
    assert not target.exists()
    assert list(target.parent.iterdir()) == []
    return reason


def tree(home: Home) -> dict[str, tuple]:
    """Every file of a HOME that a backup holds, with content, mode and owner."""
    return {
        str(path.relative_to(home.root)): (path.read_bytes(), path.stat().st_mode, path.owner())
        for path in sorted(home.root.rglob("*"))
        if path.is_file() and path.relative_to(home.root).parts[0] not in
        {"database", "exports", "logs", "offline", "run"}
    }  # fmt: skip


def test_what_was_is_again(stand: Stand, target: Path, tmp_path: Path) -> None:
    """Keys with owners and modes, the log from its first leaf, the signer's memory; sessions end, by one leaf more."""
    made = stand.make(tmp_path / "place")
    before, log = tree(stand.home), stand.leaves("backup.create")
    done = restoring.restore(wanted(stand, made), target, SYSTEM)
    other, cluster = Stand(Home(target), target), Cluster(Home(target))
    assert (done.home.root, done.cause, done.sessions) == (target, "disk-lost", 1)
    assert not target.with_name("home.restoring").exists()
    now = tree(done.home)
    assert {name for name in before if before[name] != now.get(name)} <= {"secrets/signer/state"}
    signed = checkpoint.parse(note.split(made.manifest.checkpoint)[0])
    assert Memory.load(done.home).growth.size <= done.log_size
    cluster.start(mortal=True)
    try:
        # The signer goes on from its memory, the recorder from the log: the next acts are signed.
        other.add("safe-9", recipients.new()[1])
        last = other.leaves("backup.restore")
        assert len(last) == 1
        assert last[0]["detail"]["manifest_sha256"] == manifest.sha256(made.manifest.encode())
        [raw] = log_keys.read(done.home.restores)
        said = restored.read(raw, stand.keys)
        assert last[0]["detail"]["statement_sha256"] == restored.digest(raw)
        assert said.size == last[0]["detail"]["size"]
        assert last[0]["detail"]["size"] == done.log_size - 1 >= signed.size
        assert other.leaves("backup.create") == log[:-1]  # its own leaf came after its copy
        assert other.sql("SELECT count(*) FROM gateway.session WHERE ended_us IS NULL") == [(0,)]
        assert stand.sql("SELECT count(*) FROM gateway.session WHERE ended_us IS NULL") == [(1,)]
        assert verified(other, tmp_path / "export", made.manifest.checkpoint) == signed.size
    finally:
        cluster.stop()


def test_a_restored_gateway_is_lost_again_and_put_back(
    stand: Stand, target: Path, tmp_path: Path
) -> None:
    """Its own backup, of after the first restore: both statements are shown, both leaves are in one log."""
    restoring.restore(wanted(stand), target, SYSTEM)
    first, cluster = Stand(Home(target), target), Cluster(Home(target))
    first.officers = stand.officers
    cluster.start(mortal=True)
    try:
        first.add("safe-8", recipients.new()[1])
        made = first.make(tmp_path / "place")
        asked = wanted(first, made)
    finally:
        cluster.stop()
    shutil.rmtree(target)
    done = restoring.restore(asked, target, SYSTEM)
    raws = log_keys.read(done.home.restores)
    said = [restored.read(raw, stand.keys) for raw in raws]
    assert len(said) == 2
    assert said[0].size < said[1].size == done.log_size - 1
    assert said[0].restored_us < said[1].restored_us
    again, cluster = Stand(done.home, target), Cluster(done.home)
    cluster.start(mortal=True)
    try:
        again.add("safe-9", recipients.new()[1])
        told = [one["detail"]["statement_sha256"] for one in again.leaves("backup.restore")]
        assert told == [restored.digest(raw) for raw in raws]
    finally:
        cluster.stop()


def verified(stand: Stand, folder: Path, older: str) -> int:
    """Export the log and verify it offline; return the size of the older checkpoint that it continues."""
    from gateway.audit import archive
    from gateway.backups.making import Source

    async def work(source: Source):
        vkey = str(stand.keys.newest)
        return await archive.export(source.database, source.checkpoint, vkey, folder)

    stand.run(work)
    report = verify_folder(folder, stand.keys, older=[older])
    assert report.failures == ()
    [signed] = report.older
    return signed.checkpoint.size


def test_one_officer_restores_nothing(stand: Stand, target: Path) -> None:
    asked = wanted(stand, approvals=(stand.approved(stand.kept, "zhao"),) * 2)
    assert refused(stand, target, asked) == "BACKUP_NOT_APPROVED"


def test_an_older_one_is_refused_while_a_good_one_knows_later_revocations(
    stand: Stand, target: Path, tmp_path: Path
) -> None:
    """Once the newer one is of no use, it is in nobody's way."""
    old = stand.make(tmp_path / "place")
    [(epoch,)] = stand.sql("SELECT value FROM gateway.epoch WHERE name = 'revocation'")
    stand.sql("SELECT gateway.revocation_epoch_next()")
    new = stand.make(tmp_path / "place")
    assert new.manifest.epoch > epoch == old.manifest.epoch
    assert refused(stand, target, wanted(stand, old)) == "BACKUP_OLDER"
    (new.folder / manifest.HOME_PART).write_bytes(b"spoilt")
    assert restoring.restore(wanted(stand, old), target, SYSTEM).home.root == target


def test_what_is_not_good_is_refused_before_anything_is_placed(
    stand: Stand, target: Path, backup: Path
) -> None:
    other = pyrage.x25519.Identity.from_str(recipients.new()[0])
    assert refused(stand, target, wanted(stand, key=other)) == "BACKUP_KEY_WRONG"
    (backup / manifest.CLUSTER_PART).unlink()
    assert refused(stand, target, wanted(stand, folder=backup)) == "BACKUP_PART_MISSING"


def test_a_home_that_is_there_is_left_alone(stand: Stand, target: Path) -> None:
    target.mkdir()
    (target / "x").touch()
    assert code(lambda: restoring.restore(wanted(stand), target, SYSTEM)) == "BACKUP_HOME_TAKEN"
    assert [path.name for path in target.iterdir()] == ["x"]
    shutil.rmtree(target)
    # Killed between its names: another server's files have theirs, HOME has not.
    data = target.with_name("data")
    for folder in (data / "base", target.with_name("home.restoring")):
        folder.mkdir(parents=True)
    asked = replace(wanted(stand), elsewhere=Elsewhere(data, None))
    with pytest.raises(BackupError, match="killed") as raised:
        restoring.restore(asked, target, SYSTEM)
    assert raised.value.code == "BACKUP_HOME_TAKEN"


def test_what_this_code_or_machine_cannot_serve_is_refused(
    stand: Stand, target: Path, monkeypatch
) -> None:
    monkeypatch.setattr(versions, "newest", lambda: "0001")
    assert refused(stand, target, wanted(stand)) == "BACKUP_VERSION"
    monkeypatch.undo()
    monkeypatch.setattr(
        "gateway.config.users.separate", lambda: not stand.kept.manifest.separate_users
    )
    assert refused(stand, target, wanted(stand)) == "BACKUP_USERS"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server is another user")
def test_a_place_that_the_server_cannot_enter_is_told_before_anything_is_opened(
    stand: Stand, target: Path
) -> None:
    target.parent.chmod(0o700)
    with pytest.raises(ClusterError, match="cannot enter it"):
        restoring.restore(wanted(stand), target, SYSTEM)
    assert list(target.parent.iterdir()) == []


def test_a_log_that_is_not_the_signed_one_is_not_restored(
    stand: Stand, target: Path, tmp_path: Path
) -> None:
    """Attack: whoever owns the database rewrites a leaf before the backup is made; its signature is good."""
    change = (
        "ALTER TABLE gateway.audit_entry DISABLE TRIGGER USER;"
        "UPDATE gateway.audit_entry SET leaf = convert_to(replace(convert_from(leaf, 'UTF8'), '{}', '{}'), 'UTF8')"
        " WHERE idx = 0;"
        "ALTER TABLE gateway.audit_entry ENABLE TRIGGER USER"
    )

    def rewrite(before: str, after: str) -> None:
        with psycopg.connect(
            Cluster(stand.home).superuser("gateway"), autocommit=True
        ) as connection:
            connection.execute(change.format(before, after))

    rewrite('"version":1', '"version":2')
    try:
        made = stand.make(tmp_path)
    finally:
        rewrite('"version":2', '"version":1')
    assert refused(stand, target, wanted(stand, made)) == "BACKUP_LOG_DIFFERS"
    again = stand.make(tmp_path / "good")
    assert restoring.restore(wanted(stand, again), target, SYSTEM).log_size > 0


def test_a_chain_is_put_back_with_the_rows_of_each_part(
    stand: Stand, chained, target: Path
) -> None:
    """Both incremental ones and the base backup; its officers signed for the last alone. Its next backup is a whole one."""
    made = chained[-1]
    done = restoring.restore(wanted(stand, made), target, SYSTEM)
    assert not [one for one in done.home.database.iterdir() if one.name.startswith("data.")]
    cluster = Cluster(done.home)
    cluster.start(mortal=True)
    try:
        other = Stand(done.home, target)
        names = other.sql("SELECT subject_name FROM gateway.certificate WHERE state = %s", 1)
        assert {("row-1",), ("row-2",)} <= set(names)
        [leaf] = other.leaves("backup.restore")
        assert leaf["detail"]["manifest_sha256"] == manifest.sha256(made.manifest.encode())
        own = lists.choose(done.home, checking.check(made.folder, stand.keys), SYSTEM.now_us(), 31)
        assert own == (None, "unlisted")
    finally:
        cluster.stop()


def test_a_chain_with_a_parent_away_or_spoilt_restores_nothing(
    stand: Stand, chained, target: Path, tmp_path: Path
) -> None:
    base, first, second = chained
    aside = base.folder.rename(tmp_path / "aside")
    assert refused(stand, target, wanted(stand, second)) == "BACKUP_PARENT_MISSING"
    aside.rename(base.folder)
    part = first.folder / manifest.CLUSTER_PART
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    assert refused(stand, target, wanted(stand, second)) == "BACKUP_PART_CHANGED"
    one = wanted(stand, second, approvals=(stand.approved(base, "zhao"),) * 2)
    assert refused(stand, target, one) == "BACKUP_PART_CHANGED"
    shutil.copytree(base.folder, tmp_path / "alone" / base.folder.name)
    alone = replace(base, folder=tmp_path / "alone" / base.folder.name)
    assert restoring.restore(wanted(stand, alone), target, SYSTEM).home.root == target
