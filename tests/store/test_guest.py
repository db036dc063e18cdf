"""Another server's files are started beside us whatever its own configuration wants, and none of it is changed."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from gateway.config import folders, users
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.store import guest, roles
from gateway.store.embedded import Cluster, ClusterError
from gateway.store.guest import Guest
from gateway.store.tools import MAJOR, Tools

# What a server may have that is gone: addresses, libraries, standbys, an archive, files elsewhere.
HOSTILE = """
listen_addresses = '*'
port = 1
shared_preload_libraries = 'no_such_library'
session_preload_libraries = 'no_such_library'
synchronous_standby_names = 'a_standby_that_is_gone'
archive_mode = on
archive_command = 'false'
shared_buffers = '900GB'
ssl = on
ssl_cert_file = '/nowhere'
log_min_error_statement = 'debug5'
"""


@pytest.fixture
def left() -> Iterator[tuple[Home, Path]]:
    """A HOME with the passwords of a cluster, and that cluster's files elsewhere."""
    root = Path(tempfile.mkdtemp(prefix="gw-"))
    root.chmod(0o711)
    home = Home(root / "home")
    if users.separate():
        users.make_users()
    folders.make_folders(home)
    own = Cluster(home)
    own.create()
    own.start(mortal=True)
    own.provision()
    own.stop()
    data = root / "data"
    own.data.rename(data)
    for name in ("postgresql.conf", "postgresql.auto.conf"):
        (data / name).write_text(HOSTILE)
    yield home, data
    shutil.rmtree(root)


def programs(home: Home) -> Path:
    return Tools(home, users.user_of("postgres")).folder


def test_it_runs_by_our_settings_and_its_own_stay_as_they_are(left) -> None:
    home, data = left
    before = {
        name: (data / name).read_bytes()
        for name in ("postgresql.conf", "postgresql.auto.conf", "pg_hba.conf")
    }
    put = Guest(home, data, programs(home))
    own = guest.inside(
        home, Settings(dsn="host=db.example port=5433 dbname=gateway sslmode=require")
    )
    put.start(mortal=True)
    try:
        with psycopg.connect(roles.conninfo(home, own, "owner")) as connection:
            connection.execute("CREATE TABLE gateway.of_a_test (a int)")
            connection.commit()  # no standby is waited for
            told = connection.execute("SHOW listen_addresses").fetchone()
        assert told == ("",)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(roles.conninfo(home, own, "owner"), password="guess")
    finally:
        put.stop()
    assert {name: (data / name).read_bytes() for name in before} == before
    assert not list(home.database.glob("guest*"))
    assert not list(data.glob("*.aside"))
    assert put.pid() is None


def test_how_it_is_reached_is_by_its_socket_alone(tmp_path) -> None:
    home = Home(tmp_path)
    own = guest.inside(
        home, Settings(dsn="host=db.example port=5433 dbname=vaccines sslmode=require")
    )
    assert conninfo_to_dict(own.dsn) == {
        "host": str(home.run("postgres")),
        "port": "5432",
        "dbname": "vaccines",
    }


def test_programs_that_are_not_there_are_told(left) -> None:
    home, data = left
    assert Guest(home, data, programs(home)).major() == MAJOR
    with pytest.raises(ClusterError, match="nowhere"):
        Guest(home, data, data.parent / "nowhere").major()
    with pytest.raises(ClusterError, match="postgres"):
        Guest(home, data, Path("/usr/lib")).major()
