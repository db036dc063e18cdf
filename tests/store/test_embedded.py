"""The embedded cluster: made, started, adopted, stopped; closed to strangers; refused where it cannot be."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from gateway.config import folders, users
from gateway.config.home import Home
from gateway.store import embedded
from gateway.store.embedded import Cluster, ClusterError

SHOWN = {
    "listen_addresses": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_level": "replica",
    "jit": "off",
    "data_checksums": "on",
    "unix_socket_permissions": "0770",
    "password_encryption": "scram-sha-256",
}


def make(root: Path) -> Home:
    """An empty HOME with its folders."""
    home = Home(root)
    if users.separate():
        users.make_users()
    folders.make_folders(home)
    return home


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that the server's user can reach, unlike pytest's."""
    root = Path(tempfile.mkdtemp(prefix="gw-"))
    root.chmod(0o711)
    yield root
    shutil.rmtree(root)


@pytest.fixture
def own(reachable: Path) -> Iterator[Cluster]:
    """A cluster of this test's own, made and not started; stopped at the end."""
    cluster = Cluster(make(reachable / "home"))
    cluster.create()
    yield cluster
    cluster.stop()


def reachable_python(user: users.SystemUser) -> str:
    """A Python of our version that this user can run: root's own may lie in root's private home."""
    wanted = Path(f"/usr/bin/python3.{sys.version_info.minor}")
    for path in (Path(sys.executable).resolve(), wanted):
        if path.exists() and users.unreachable(path.parent, user) is None:
            return str(path)
    pytest.skip(f"no Python that {user.name} can reach")


def answers(cluster: Cluster) -> bool:
    with psycopg.connect(cluster.superuser()) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_life_of_a_server(own: Cluster) -> None:
    assert own.pid() is None
    assert own.start(mortal=True) is False
    first = own.pid()
    assert first is not None
    assert answers(own)
    # Another supervisor finds it by its pid file and takes it over.
    other = Cluster(own.home)
    assert other.start() is True
    assert other.pid() == first
    other.stop()
    assert own.pid() is None
    # After kill -9 of the postmaster a new one recovers.
    own.start(mortal=True)
    second = own.pid()
    assert second is not None
    os.kill(second, signal.SIGKILL)
    wait_until(lambda: own.pid() is None)
    own.start(mortal=True)
    assert answers(own)
    own.stop()
    own.stop()


def test_a_server_on_its_way_out_is_waited_for(own: Cluster) -> None:
    own.start(mortal=True)
    pid = own.pid()
    assert pid is not None
    with psycopg.connect(own.superuser()):
        os.kill(pid, signal.SIGTERM)  # it waits for this session to end
        wait_until(lambda: "stopping" in (own.data / "postmaster.pid").read_text())
    assert own.start(mortal=True) is False
    assert own.pid() not in (pid, None)
    assert answers(own)


def test_a_stale_pid_file_is_nobody(own: Cluster) -> None:
    """After a power cut the pid in the file may be another program's."""
    (own.data / "postmaster.pid").write_text(f"{os.getpid()}\n/x\n0\n5432\n\n\n0\nready\n")
    assert own.pid() is None
    (own.data / "postmaster.pid").unlink()


def test_no_network_and_nobody_trusted(cluster: Cluster) -> None:
    with psycopg.connect(cluster.superuser()) as connection:
        shown = {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in SHOWN}
        rules = connection.execute("SELECT type, auth_method FROM pg_hba_file_rules").fetchall()
    assert shown == SHOWN
    assert set(rules) == {("local", "scram-sha-256")}


def test_the_server_log_holds_no_values(cluster: Cluster) -> None:
    with psycopg.connect(cluster.superuser()) as connection:
        for statement in ("SELECT 'canary-1'::int", "SELECT canary_2", "SELECT 1/0 -- canary-3"):
            with pytest.raises(psycopg.Error):
                connection.execute(statement)
            connection.rollback()
        connection.execute("CREATE TEMPORARY TABLE t (a text PRIMARY KEY)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO t VALUES ('canary-4'), ('canary-4')")
    assert b"duplicate key" in cluster.log.read_bytes()
    assert b"canary-4" not in cluster.log.read_bytes()
    assert b"canary-3" not in cluster.log.read_bytes()


def test_socket_and_data_are_closed_to_others(cluster: Cluster) -> None:
    run = cluster.home.run("postgres").stat()
    data = cluster.data.stat()
    assert stat.S_IMODE(data.st_mode) == 0o700
    assert stat.S_IMODE(run.st_mode) & 0o007 == 0
    assert stat.S_IMODE(cluster.home.database.stat().st_mode) == 0o700
    if users.separate():
        assert data.st_uid == users.user_of("postgres").uid
        assert (stat.S_IMODE(run.st_mode), run.st_gid) == (0o2710, users.user_of("front").groups[0])
    else:
        assert stat.S_IMODE(run.st_mode) == 0o700


def test_too_long_a_path_is_refused(reachable: Path) -> None:
    home = make(reachable / ("long" * 20))
    with pytest.raises(ClusterError, match="choose a shorter HOME"):
        Cluster(home).create()
    assert not Cluster(home).data.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server is another user")
def test_a_home_out_of_reach_is_refused_and_nothing_above_it_changed(reachable: Path) -> None:
    closed = reachable / "private"
    closed.mkdir(mode=0o700)
    home = make(closed / "home")
    with pytest.raises(ClusterError, match="chmod o\\+x") as caught:
        Cluster(home).create()
    assert str(closed) in str(caught.value)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert stat.S_IMODE(reachable.stat().st_mode) == 0o711


def test_a_server_that_cannot_start_says_why(own: Cluster) -> None:
    (own.data / "local.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(ClusterError, match="no_such_setting"):
        own.start(mortal=True)


def test_provision_makes_a_database_for_the_roles(own: Cluster) -> None:
    own.start(mortal=True)
    own.provision()
    with psycopg.connect(own.superuser("gateway")) as connection:
        row = connection.execute(
            "SELECT has_database_privilege('gateway_intake', 'gateway', 'CONNECT'),"
            " has_schema_privilege('gateway_intake', 'public', 'USAGE'),"
            " pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'gateway'"
        ).fetchone()
    assert row == (True, False, "gateway_owner")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_an_ordinary_user_runs_it_all_as_himself(reachable: Path) -> None:
    """The same steps in a process that has given up root: one user, every folder 0700."""
    user = users.user_of("signer")
    os.chown(reachable, user.uid, user.gid)
    done = subprocess.run(
        [reachable_python(user), "-c", ORDINARY, str(reachable / "home")],
        cwd="/",
        env={"PYTHONPATH": os.pathsep.join(path for path in IMPORT_PATH if path)},
        user=user.uid,
        group=user.gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["ready", "1", "700"], done.stderr


ORDINARY = """
import stat, sys
from pathlib import Path
import psycopg
from gateway.config import folders
from gateway.config.home import Home
from gateway.store.embedded import Cluster
home = Home(Path(sys.argv[1]))
folders.make_folders(home)
cluster = Cluster(home)
cluster.create()
cluster.start()
print("ready")
with psycopg.connect(cluster.superuser()) as connection:
    print(connection.execute("SELECT 1").fetchone()[0])
print(oct(stat.S_IMODE(home.run("postgres").stat().st_mode))[2:])
cluster.stop()
"""
IMPORT_PATH = [str(Path(embedded.__file__).parents[2]), str(Path(psycopg.__file__).parents[1])]
