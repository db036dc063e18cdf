"""A backup is restored in a scratch folder and proven while HOME is served; what is not good is refused by its reason and nothing is left."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pyrage
import pytest

from gateway.backups import drilling, manifest, recipients
from gateway.backups.drilling import Wanted
from gateway.backups.placing import Placing
from gateway.backups.replaying import Way
from gateway.clock import SYSTEM, US_PER_S
from gateway.config import disk
from gateway.config.disk import Room
from gateway.store.embedded import Cluster
from tests.backups.stand import IDENTITY, Stand, code
from tests.backups.test_receipts import send
from tests.backups.test_restoring import tree


@pytest.fixture
def scratch() -> Iterator[Path]:
    with TemporaryDirectory(prefix="gw-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "home.drill"


def wanted(stand: Stand, folder: Path | None = None, key=IDENTITY, until: str = "") -> Wanted:
    return Wanted(folder or stand.kept.folder, stand.keys, key, until)


def refused(stand: Stand, scratch: Path, asked: Wanted) -> str:
    """The reason; no scratch folder is left, HOME is what it was and serves, and the next drill is good."""
    before = tree(stand.home)
    reason = code(lambda: drilling.drill(asked, stand.home, scratch, SYSTEM))
    assert not scratch.exists()
    assert tree(stand.home) == before
    assert stand.sql("SELECT 1") == [(1,)]
    return reason


@contextmanager
def rewritten(stand: Stand, table: str, change: str, back: str) -> Iterator[None]:
    """What the database's owner changes, past every trigger, and puts back."""

    def run(statement: str) -> None:
        way = Cluster(stand.home).superuser("gateway")
        with psycopg.connect(way, autocommit=True) as connection:
            connection.execute(f"ALTER TABLE gateway.{table} DISABLE TRIGGER USER")
            try:
                assert connection.execute(statement).rowcount == 1
            finally:
                connection.execute(f"ALTER TABLE gateway.{table} ENABLE TRIGGER USER")

    run(change)
    try:
        yield
    finally:
        run(back)


def test_a_good_one_is_proven_and_home_goes_on(stand: Stand, scratch: Path, tmp_path: Path) -> None:
    send(stand)
    made = stand.make(tmp_path / "place")
    before, pid = tree(stand.home), Cluster(stand.home).pid()
    done = drilling.drill(wanted(stand, made.folder), stand.home, scratch, SYSTEM)
    assert (tree(stand.home), Cluster(stand.home).pid()) == (before, pid)
    assert done.found.sha256 == manifest.sha256(made.manifest.encode())
    assert done.rows == sum(made.manifest.rows.values())
    assert done.entries >= int(made.manifest.checkpoint.split("\n")[1])
    [(senders,)] = stand.sql("SELECT count(DISTINCT organisation) FROM gateway.batch")
    assert done.organisations == senders >= 1
    assert 0 <= done.rpo_s <= (SYSTEM.now_us() - made.manifest.made_us) // US_PER_S
    assert done.rto_s >= 0
    assert not scratch.exists()


def test_what_is_damaged_and_who_has_another_key(stand: Stand, scratch: Path, backup: Path) -> None:
    other = pyrage.x25519.Identity.from_str(recipients.new()[0])
    assert refused(stand, scratch, wanted(stand, key=other)) == "BACKUP_KEY_WRONG"
    part = backup / manifest.CLUSTER_PART
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    assert refused(stand, scratch, wanted(stand, backup)) == "BACKUP_PART_CHANGED"
    part.unlink()
    assert refused(stand, scratch, wanted(stand, backup)) == "BACKUP_PART_MISSING"


def test_a_full_disk_before_and_in_the_middle(stand: Stand, scratch: Path, monkeypatch) -> None:
    """What would take the room of exports is not begun; what fills all the same leaves nothing."""
    total = sum(one.plain_bytes for one in stand.kept.manifest.parts)
    opened = []
    with monkeypatch.context() as patch:
        patch.setattr(disk, "look", lambda _: Room(11.0, total + 10**6))
        patch.setattr("gateway.backups.restoring.place", lambda *_: opened.append(1))
        assert refused(stand, scratch, wanted(stand)) == "BACKUP_NOT_WRITTEN"
        assert opened == []

    def full(_: Placing, piece: bytes) -> None:
        opened.append(len(piece))
        raise OSError(errno.ENOSPC, "No space left on device", "x")

    with monkeypatch.context() as patch:
        patch.setattr(Placing, "content", full)
        assert refused(stand, scratch, wanted(stand)) == "BACKUP_NOT_WRITTEN"
    assert opened


def test_a_log_that_is_not_the_signed_one(stand: Stand, scratch: Path, tmp_path: Path) -> None:
    change = (
        "UPDATE gateway.audit_entry SET leaf ="
        " convert_to(replace(convert_from(leaf, 'UTF8'), '{}', '{}'), 'UTF8') WHERE idx = 0"
    )
    one, two = '"version":1', '"version":2'
    with rewritten(stand, "audit_entry", change.format(one, two), change.format(two, one)):
        made = stand.make(tmp_path / "place")
    assert refused(stand, scratch, wanted(stand, made.folder)) == "BACKUP_LOG_DIFFERS"


def test_a_receipt_that_is_not_the_citys(stand: Stand, scratch: Path, tmp_path: Path) -> None:
    """Attack: an answer in the database is exchanged before the backup; its signature and its log are good."""
    sent = send(stand, organisation="140100")
    where = f"WHERE request_id = '{sent.request_id}'"
    good = f"UPDATE gateway.batch SET answer = '\\x{sent.answer.hex()}' {where}"
    bad = f"UPDATE gateway.batch SET answer = '\\x{sent.other.hex()}' {where}"
    with rewritten(stand, "batch", bad, good):
        made = stand.make(tmp_path / "place")
    asked = wanted(stand, made.folder)
    assert refused(stand, scratch, asked) == "BACKUP_RECEIPT_WRONG"
    again = wanted(stand, stand.make(tmp_path / "good").folder)
    assert drilling.drill(again, stand.home, scratch, SYSTEM).organisations >= 1


def test_two_at_once_and_a_folder_of_somebody_else(
    stand: Stand, scratch: Path, tmp_path: Path
) -> None:
    with drilling._scratch(scratch) as staged:
        (staged.root / "x").touch()
        asked = wanted(stand)
        assert code(lambda: drilling.drill(asked, stand.home, scratch, SYSTEM)) == "BACKUP_BUSY"
        assert (staged.root / "x").exists()
    scratch.symlink_to(tmp_path)
    assert code(lambda: drilling.drill(asked, stand.home, scratch, SYSTEM)) == "BACKUP_NOT_WRITTEN"
    scratch.unlink()


def test_a_journal_that_moves_while_it_is_read_is_read_again(stand: Stand, monkeypatch) -> None:
    tried: list[int] = []
    ahead = Way(Path("/"), (), None, 1)

    def way(*_: object) -> Way:
        tried.append(1)
        if len(tried) < 3:
            raise FileNotFoundError
        return ahead

    monkeypatch.setattr(drilling, "_way", way)
    monkeypatch.setattr("gateway.backups.replaying.put", lambda *_: None)
    assert drilling._put(None, wanted(stand), Cluster(stand.home)) is ahead
    tried.clear()
    with pytest.raises(FileNotFoundError):
        drilling._put(None, wanted(stand), Cluster(stand.home), 2)


def test_a_chain_is_drilled_as_one_backup(stand: Stand, scratch: Path, chained) -> None:
    """To the last row of its newest; without a parent it is refused, and nothing is left."""
    made = chained[-1]
    done = drilling.drill(wanted(stand, made.folder), stand.home, scratch, SYSTEM)
    assert done.found.sha256 == manifest.sha256(made.manifest.encode())
    assert len(done.found.whole) == 3
    assert done.rows == sum(made.manifest.rows.values())
    assert not scratch.exists()
    chained[1].folder.rename(made.folder.with_name(".aside"))
    assert refused(stand, scratch, wanted(stand, made.folder)) == "BACKUP_PARENT_MISSING"
