"""What every test gets: no network but loopback, and a real PostgreSQL, one cluster per test worker.

`conninfo("intake")` is a role's connection string to a fresh, migrated database of this test's own; `database_home` and
`database_settings` are the same as a HOME and its settings. Nothing is shared between tests but the cluster.
"""

import asyncio
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from gateway import log
from gateway.cli.founding import Founding
from gateway.config import folders, users
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.store import roles
from gateway.store.embedded import Cluster
from gateway.store.migrate import migrate

TEMPLATE = "gateway_template"
# Each worker's gateway has ten ports from here on, apart from those of tests/world.py.
BASE_PORT = 18_443
# A busy machine is no fault of a property or its strategy; speed is measured by `make bench`.
hypothesis.settings.register_profile(
    "gateway", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("gateway")


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            assert isinstance(address, tuple)
            assert ip_address(address[0]).is_loopback, f"a test may not connect to {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def _log_to_standard_error() -> Iterator[None]:
    """The log is the process's: a test that sends it elsewhere must not take it from the others."""
    log._LINES.process, log._LINES.stream, log._LINES._lost = "", None, 0
    yield
    log._LINES.process, log._LINES.stream, log._LINES._lost = "", None, 0


@pytest.fixture(scope="session")
def worker_number(request: pytest.FixtureRequest) -> int:
    """0, 1, …: which of the test workers this is, so that real ports do not meet."""
    name: str = getattr(request.config, "workerinput", {}).get("workerid", "gw0")
    return int(name.removeprefix("gw"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One running embedded cluster per test worker, with every role and a migrated template database."""
    # Not pytest's tmp_path: that is closed to the user that the server runs as under root, and its path is long.
    root = Path(tempfile.mkdtemp(prefix="gw-"))
    root.chmod(0o711)
    home = Home(root / "home")
    if users.separate():
        users.make_users()
    folders.make_folders(home)
    made = Cluster(home)
    made.create()
    made.start(mortal=True)
    try:
        made.provision()
        with psycopg.connect(made.superuser(), autocommit=True) as connection:
            roles.create_database(connection, TEMPLATE)
        with psycopg.connect(made.superuser(TEMPLATE)) as connection:
            roles.create_schema(connection)
        migrate(_as(home, TEMPLATE, "owner"))
        yield made
    finally:
        made.stop()
        shutil.rmtree(root)


@pytest.fixture(scope="session")
def founded(worker_number: int) -> Iterator[Home]:
    """A whole HOME, made by the steps of `gateway init`, for real processes; not served."""
    root = Path(tempfile.mkdtemp(prefix="gw-"))
    root.chmod(0o711)
    home = Home(root / "home")
    founding = Founding(
        home=home,
        province="140000",
        trust_domain="sx.example",
        dsn="",
        password="",
        base_port=BASE_PORT + 10 * worker_number,
        listen=("127.0.0.1",),
    )
    asyncio.run(founding.found(lambda *_, **__: None))
    text = home.settings.read_text()
    text = text.replace("allow_weak_origin = false", "allow_weak_origin = true")
    # Tests count what they leave on the log: nothing comes by itself.
    home.settings.write_text(f"{text}\n[log]\nheartbeat_s = 0\n")
    yield home
    shutil.rmtree(root)


@pytest.fixture
def database(cluster: Cluster) -> Iterator[str]:
    """The name of a fresh database, a copy of the migrated template."""
    with psycopg.connect(cluster.superuser(), autocommit=True) as connection:
        name = f"test_{secrets.token_hex(8)}"
        roles.create_database(connection, name, template=TEMPLATE)
        yield name
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def database_home(cluster: Cluster, database: str) -> Home:
    """The cluster's HOME, whose password files fit; use it with `database_settings`."""
    assert database
    return cluster.home


@pytest.fixture
def database_settings(cluster: Cluster, database: str) -> Settings:
    """Settings whose DSN is this test's database."""
    return Settings(dsn=_server(cluster.home, database))


@pytest.fixture
def conninfo(database_home: Home, database_settings: Settings) -> Callable[[str], str]:
    """Return a role's connection string to this test's database."""
    return lambda role: roles.conninfo(database_home, database_settings, role)


def _server(home: Home, name: str) -> str:
    return make_conninfo(roles.server(home, Settings()), dbname=name)


def _as(home: Home, name: str, role: str) -> str:
    return roles.conninfo(home, Settings(dsn=_server(home, name)), role)
