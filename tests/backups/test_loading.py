"""A dump comes back into a cluster of our own or an empty database of another's server, with all proofs; or nothing stands."""

import errno
import io
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from gateway.backups import (
    checking,
    counting,
    drilling,
    loading,
    manifest,
    pointing,
    proving,
    recipients,
    restoring,
    sealing,
)
from gateway.backups.checking import Checked
from gateway.backups.elsewhere import Elsewhere
from gateway.backups.errors import BackupError
from gateway.backups.restoring import Wanted
from gateway.clock import SYSTEM
from gateway.config import settings
from gateway.config.home import Home
from gateway.store import external, roles
from gateway.store.embedded import Cluster
from gateway.store.errors import StoreError
from gateway.store.external import Empty
from tests.backups.hosted import NAME, OTHER, Hosted, hosted_once  # noqa: F401
from tests.backups.stand import IDENTITY, RECIPIENT, Stand, code


@pytest.fixture
def target() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="gw-"))
    root.chmod(0o711)
    yield root / "home"
    shutil.rmtree(root)


def wanted(stand: Stand, empty: Empty | None = None, **other) -> Wanted:
    of = stand.kept
    two = (stand.approved(of, "zhao"), stand.approved(of, "qian"))
    there = None if empty is None else Elsewhere(None, None, empty)
    return replace(Wanted(of.folder, stand.keys, IDENTITY, two, "", there), **other)


def stood(target: Path) -> list[str]:
    return [path.name for path in target.parent.iterdir()]


def proven(other: Stand) -> None:
    """It goes on: the next act is signed, sessions are void, the restore is on the log, once."""
    other.add("safe-9", recipients.new()[1])
    assert len(other.leaves("backup.restore")) == 1
    assert other.sql("SELECT count(*) FROM gateway.session WHERE ended_us IS NULL") == [(0,)]


def test_it_comes_back_on_another_server_and_its_doors_get_in(hosted: Hosted, target: Path) -> None:
    done = restoring.restore(wanted(hosted, hosted.empty()), target, SYSTEM)
    own = settings.load(target / "settings.toml")
    assert f"dbname={OTHER}" in own.dsn
    assert "password" not in own.dsn
    assert done.sessions == 1
    assert not (target / "database/data").exists()
    proven(Stand(Home(target), target))
    for role in roles.ROLES:
        with psycopg.connect(roles.conninfo(Home(target), own, role)) as connection:
            connection.execute("SELECT 1")
    with (
        psycopg.connect(roles.conninfo(Home(target), own, "owner")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("CREATE SCHEMA another")


def test_it_comes_back_without_any_other_server(hosted: Hosted, target: Path) -> None:
    """Their server is lost as well: HOME has a database of its own from now on."""
    done = restoring.restore(wanted(hosted), target, SYSTEM)
    home, cluster = Home(target), Cluster(Home(target))
    assert settings.load(home.settings).dsn == ""
    assert done.log_size == hosted.kept.entry.index + 1
    cluster.start(mortal=True)
    try:
        proven(Stand(home, target))
    finally:
        cluster.stop()
    # The lost one's sessions were not touched.
    assert hosted.sql("SELECT count(*) FROM gateway.session WHERE ended_us IS NULL") == [(1,)]


def test_a_database_that_is_not_empty_is_left_alone(hosted: Hosted, target: Path) -> None:
    """Attack: the restore is pointed at what somebody else, or a gateway, has. The next empty one is taken."""
    empty = hosted.empty()
    with psycopg.connect(hosted.server.superuser(OTHER), autocommit=True) as connection:
        connection.execute("CREATE TABLE public.theirs AS SELECT 1 AS one")
    living = replace(empty, dsn=empty.dsn.replace(OTHER, NAME))
    for place in (empty, living):
        asked = wanted(hosted, place)
        assert code(lambda asked=asked: restoring.restore(asked, target, SYSTEM)) == "BACKUP_DATABASE_TAKEN"  # fmt: skip
        assert stood(target) == []
    assert hosted.schemas() == 0
    assert hosted.schemas(NAME) == 1
    assert hosted.sql("SELECT count(*) FROM gateway.session WHERE ended_us IS NULL") == [(1,)]
    restoring.restore(wanted(hosted, hosted.empty()), target, SYSTEM)


def test_one_officer_leaves_nothing_on_the_other_server(hosted: Hosted, target: Path) -> None:
    """Attack: one officer signs twice. What was loaded to read the register is dropped again, and it is said what is left."""
    asked = wanted(hosted, hosted.empty(), approvals=(hosted.approved(hosted.kept, "zhao"),) * 2)
    with pytest.raises(BackupError, match="the roles gateway_") as caught:
        restoring.restore(asked, target, SYSTEM)
    assert caught.value.code == "BACKUP_NOT_APPROVED"
    assert stood(target) == []
    assert hosted.schemas() == 0


def test_a_server_that_refuses_after_the_load_keeps_nothing(
    hosted: Hosted, target: Path, monkeypatch
) -> None:
    def away(_: Empty) -> None:
        raise StoreError("gone")

    monkeypatch.setattr(external, "finish", away)
    with pytest.raises(StoreError):
        restoring.restore(wanted(hosted, hosted.empty()), target, SYSTEM)
    assert hosted.schemas() == 0
    assert stood(target) == []


def test_what_cannot_be_dropped_is_said(hosted: Hosted, target: Path, monkeypatch) -> None:
    monkeypatch.setattr(external, "clear", lambda *_: False)
    asked = wanted(hosted, hosted.empty(), approvals=())
    with pytest.raises(BackupError, match="DROP DATABASE"):
        restoring.restore(asked, target, SYSTEM)
    assert hosted.schemas() == 1
    assert stood(target) == []


def test_a_dump_with_a_flipped_bit_is_not_loaded(
    hosted: Hosted, target: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(hosted.kept.folder, tmp_path / "x"))
    path = folder / manifest.DUMP_PART
    raw = path.read_bytes()
    path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    asked = wanted(hosted, hosted.empty(), folder=folder)
    assert code(lambda: restoring.restore(asked, target, SYSTEM)) == "BACKUP_PART_CHANGED"
    assert hosted.schemas() == 0


def test_what_is_no_whole_dump_is_not_committed(hosted: Hosted, target: Path, monkeypatch) -> None:
    """What came out is not what went in, told when all was sent already: the server has none of it."""
    real = counting.unseal

    def late(*given) -> None:
        real(*given)
        raise BackupError("BACKUP_DAMAGED", "it holds something else than was put in")

    monkeypatch.setattr(counting, "unseal", late)
    asked = wanted(hosted, hosted.empty())
    with pytest.raises(BackupError, match="something else") as caught:
        restoring.restore(asked, target, SYSTEM)
    assert caught.value.code == "BACKUP_DAMAGED"
    assert hosted.schemas() == 0
    assert stood(target) == []


def evil(hosted: Hosted, folder: Path) -> None:
    """In the place of the dump: one that a thief made of his own, sealed to the public recipient."""
    plain, path = bytearray(), folder / manifest.DUMP_PART
    sealing.unseal(path, IDENTITY, plain.extend)
    at = plain.find(b"CREATE FUNCTION gateway.")
    length = int.from_bytes(plain[at - 4 : at], "little")
    plain[at : at + length] = b"CREATE TABLE gateway.evil (); COMMIT;".ljust(length)
    path.unlink()
    sealing.seal(io.BytesIO(bytes(plain)), path, (RECIPIENT,), lambda _: None)


def test_what_is_exchanged_after_it_was_judged_is_not_opened(
    hosted: Hosted, target: Path, tmp_path: Path, monkeypatch
) -> None:
    """Attack: who writes to the place waits until the bytes were judged, and has a COMMIT of his own run."""
    folder = Path(shutil.copytree(hosted.kept.folder, tmp_path / "x"))
    real = checking.check

    def exchanged(*given) -> Checked:
        found = real(*given)
        evil(hosted, folder)
        return found

    monkeypatch.setattr(checking, "check", exchanged)
    empty = hosted.empty()
    asked = wanted(hosted, empty, folder=folder)
    assert code(lambda: restoring.restore(asked, target, SYSTEM)) == "BACKUP_PART_CHANGED"
    monkeypatch.undo()
    assert stood(target) == []
    assert hosted.schemas() == 0
    # Nothing was touched there: the same database takes the next good one.
    restoring.restore(wanted(hosted, empty), target, SYSTEM)
    assert not list(target.glob("*.age"))


def test_rights_of_their_own_roles_are_left_out_and_told(
    hosted: Hosted, target: Path, tmp_path: Path
) -> None:
    """They let their monitoring read. Where it is restored nobody has such a role; ours have what they had."""
    with psycopg.connect(hosted.server.superuser(NAME), autocommit=True) as connection:
        connection.execute("CREATE ROLE monitoring; CREATE ROLE watch")
        connection.execute("GRANT USAGE ON SCHEMA gateway TO monitoring")
        connection.execute("GRANT SELECT ON gateway.audit_head TO monitoring WITH GRANT OPTION")
        connection.execute(
            "SET ROLE monitoring; GRANT SELECT ON gateway.audit_head TO watch; RESET ROLE"
        )
        connection.execute("ALTER DEFAULT PRIVILEGES FOR ROLE gateway_owner IN SCHEMA gateway GRANT SELECT ON TABLES TO monitoring")  # fmt: skip
        try:
            made = hosted.make(tmp_path)
        finally:
            connection.execute(
                "DROP OWNED BY watch, monitoring CASCADE; DROP ROLE watch, monitoring"
            )
    two = (hosted.approved(made, "zhao"), hosted.approved(made, "qian"))
    asked = Wanted(made.folder, hosted.keys, IDENTITY, two)
    done = restoring.restore(asked, target, SYSTEM)
    assert done.left_out == ("monitoring", "watch")
    cluster = Cluster(Home(target))
    cluster.start(mortal=True)
    try:
        proven(Stand(Home(target), target))
        own = settings.load(target / "settings.toml")
        with psycopg.connect(roles.conninfo(Home(target), own, "intake")) as connection:
            connection.execute("SELECT size FROM gateway.audit_head")
    finally:
        cluster.stop()


def test_settings_that_cannot_be_written_leave_nothing_there(
    hosted: Hosted, target: Path, monkeypatch
) -> None:
    """The disk is full before HOME names that database: nothing is loaded, and the one that lives is not touched."""

    def full(path: Path, _: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(pointing.folders, "replace_public", full)
    asked = wanted(hosted, hosted.empty())
    assert code(lambda: restoring.restore(asked, target, SYSTEM)) == "BACKUP_NOT_WRITTEN"
    monkeypatch.undo()
    assert (hosted.schemas(), hosted.schemas(NAME), stood(target)) == (0, 1, [])
    restoring.restore(wanted(hosted, hosted.empty()), target, SYSTEM)


def test_what_is_dropped_is_what_was_loaded_never_what_the_settings_name(
    hosted: Hosted, target: Path, monkeypatch
) -> None:
    """Settings that still name the one that lives: it is neither loaded into nor dropped."""

    def away(_: Empty) -> None:
        raise StoreError("gone")

    monkeypatch.setattr(pointing, "point", lambda *_: None)
    monkeypatch.setattr(external, "finish", away)
    with pytest.raises(StoreError, match="the roles gateway_"):
        restoring.restore(wanted(hosted, hosted.empty()), target, SYSTEM)
    assert (hosted.schemas(), hosted.schemas(NAME), stood(target)) == (0, 1, [])


def test_rows_that_are_missing_are_told_before_the_commit(
    hosted: Hosted, target: Path, monkeypatch
) -> None:
    """What is dropped afterwards would not tell: nothing can be dropped here."""

    def missing(*_: object) -> None:
        raise BackupError("BACKUP_DAMAGED", "7 rows are missing")

    monkeypatch.setattr(counting, "require_rows", missing)
    monkeypatch.setattr(external, "clear", lambda *_: False)
    with pytest.raises(BackupError, match="7 rows") as caught:
        restoring.restore(wanted(hosted, hosted.empty()), target, SYSTEM)
    assert caught.value.code == "BACKUP_DAMAGED"
    assert "with HOME's passwords" in str(caught.value)
    assert hosted.schemas() == 0


def _restore(asked: Wanted, target: Path, at: str) -> None:
    """In a process of its own, which is killed at this point."""
    room, name = {"load": (counting, "unseal"), "proof": (proving, "compare")}[at]
    real = getattr(room, name)

    def killed(*given):
        if at == "load":
            real(*given)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(room, name, killed)
    restoring.restore(asked, target, SYSTEM)


@pytest.mark.parametrize(("at", "left"), [("load", 0), ("proof", 1)])
def test_a_restore_that_is_killed_leaves_no_home_and_the_next_one_is_told(
    hosted: Hosted, target: Path, at: str, left: int
) -> None:
    """Before the commit the server has nothing of it; after it, the next restore wants an empty one, and takes it."""
    asked = wanted(hosted, hosted.empty())
    process = multiprocessing.get_context("fork").Process(target=_restore, args=(asked, target, at))
    process.start()
    process.join(100)
    assert process.exitcode == -signal.SIGKILL
    assert stood(target) == ["home.restoring"]
    assert hosted.schemas() == left
    again = lambda: restoring.restore(asked, target, SYSTEM)  # noqa: E731
    assert code(again) == ("BACKUP_DATABASE_TAKEN" if left else "")
    if left:
        restoring.restore(wanted(hosted, hosted.empty()), target, SYSTEM)
    proven(Stand(Home(target), target))


def test_an_older_server_is_refused_before_anything_is_done(
    hosted: Hosted, target: Path, monkeypatch
) -> None:
    monkeypatch.setattr(external, "server", lambda _: 17)
    asked = wanted(hosted, hosted.empty())
    assert code(lambda: restoring.restore(asked, target, SYSTEM)) == "BACKUP_SERVER_OLDER"
    assert hosted.schemas() == 0


def test_a_clusters_files_go_into_no_database(stand: Stand, hosted: Hosted, target: Path) -> None:
    asked = wanted(stand, hosted.empty())
    assert code(lambda: restoring.restore(asked, target, SYSTEM)) == "BACKUP_TARGET"
    assert stood(target) == []


def test_no_second_after_a_dump_is_reached(hosted: Hosted, target: Path) -> None:
    asked = wanted(hosted, hosted.empty(), until="end")
    assert code(lambda: restoring.restore(asked, target, SYSTEM)) == "BACKUP_NO_JOURNAL"
    assert hosted.schemas() == 0


def test_a_drill_loads_it_into_a_scratch_cluster_and_their_server_is_not_asked(
    hosted: Hosted, target: Path
) -> None:
    asked = drilling.Wanted(hosted.kept.folder, hosted.keys, IDENTITY)
    before = hosted.sql("SELECT count(*) FROM gateway.audit_entry")
    done = drilling.drill(asked, hosted.home, target, SYSTEM)
    assert done.rows == sum(hosted.kept.manifest.rows.values())
    assert done.entries == hosted.kept.manifest.rows["audit_entry"]
    assert stood(target) == []
    assert hosted.sql("SELECT count(*) FROM gateway.audit_entry") == before


def test_a_server_that_is_there_is_neither_started_nor_stopped(hosted: Hosted) -> None:
    there, error = loading.Hosted(hosted.home, hosted.empty()), ZeroDivisionError()
    assert there.start()
    there.stop()
    assert hosted.server.pid() is not None
    # Nothing was prepared: nothing is taken back, though the settings name the one that lives.
    there.loaded = True
    assert loading.take_back(there, error) is loading.take_back(None, error) is error
    assert hosted.schemas(NAME) == 1
