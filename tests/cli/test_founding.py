"""Founding a gateway in a database that somebody else runs."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from gateway.cli.founding import Founding
from gateway.config import settings
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.policy import bundle
from gateway.store import roles
from gateway.store.embedded import Cluster


@pytest.fixture
def outside(cluster: Cluster) -> Iterator[str]:
    """The DSN of an empty database on the test cluster, whose role passwords are given back."""
    known = {role: cluster.home.password_file(role).read_text() for role in roles.ROLES}
    with psycopg.connect(cluster.superuser(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE founding")
        yield make_conninfo(roles.server(cluster.home, Settings()), dbname="founding")
        connection.execute("DROP DATABASE founding WITH (FORCE)")
        roles.create_roles(connection, known)


def test_a_gateway_on_an_external_database(cluster: Cluster, outside: str) -> None:
    said: list[str] = []
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        Path(folder).chmod(0o711)
        home = Home(Path(folder) / "home")
        founding = Founding(
            home=home,
            province="140000",
            trust_domain="sx.example",
            dsn=make_conninfo(outside, user=roles.SUPERUSER),
            password=cluster.home.password_file("superuser").read_text(),
            base_port=18_000,
            listen=("127.0.0.1", "::1"),
        )
        password = asyncio.run(founding.found(lambda msgid, **_: said.append(msgid)))
        own = settings.load(home.settings)
        assert founding.password not in home.settings.read_text()
        assert own.dsn
        assert not Cluster(home).data.exists()
        with psycopg.connect(roles.conninfo(home, own, "administration")) as connection:
            names = connection.execute("SELECT name FROM account").fetchall()
            activated = connection.execute(
                "SELECT number, encode(sha256, 'hex') FROM policy_activation"
            ).fetchall()
            [(started,)] = connection.execute(
                "SELECT convert_from(leaf, 'UTF8')::jsonb ->> 'bundle' FROM audit_entry"
            ).fetchall()
        assert names == [("admin",)]
        # What ships is in force by itself, and the first leaf says what that is.
        shipped = bundle.load(home.policies / "cedar").sha256
        assert (activated, started) == ([(1, shipped)], shipped)
        assert len(password) == 23
    assert said == ["init.folders", "init.keys", "init.database", "init.register"]
