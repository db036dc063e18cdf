"""A dump comes back into a cluster of our own or an empty database of another's server, with all proofs; or nothing stands."""

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
    counting,
    drilling,
    loading,
    manifest,
    proving,
    recipients,
    restoring,
)
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
from tests.backups.stand import IDENTITY, Stand, code


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
    with pytest.raises(BackupError, match="only the roles gateway_") as caught:
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
    assert code(lambda: restoring.restore(asked, target, SYSTEM)) == "BACKUP_WAL_MISSING"


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
    there = loading.Hosted(hosted.home, hosted.empty())
    assert there.start()
    there.stop()
    assert hosted.server.pid() is not None
    assert loading.take_back(there) == loading.take_back(None) == ""
