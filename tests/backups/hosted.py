"""A gateway whose database is another's server, which is backed up by dumps: founded, with officers, a recipient, one dump."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway.cli.founding import Founding
from gateway.config import folders, users
from gateway.config.backups import FILE
from gateway.config.home import Home
from gateway.store.embedded import Cluster
from gateway.store.external import Empty
from tests.backups.stand import RECIPIENT, Stand

NAME, OTHER = "theirs", "empty"


class Hosted(Stand):
    """The same acts on it; `server` is the cluster that somebody else runs."""

    server: Cluster

    def empty(self, name: str = OTHER) -> Empty:
        """A database of that server, made anew, for its superuser."""
        with psycopg.connect(self.server.superuser(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name}")
        return entry(self.server, name)

    def schemas(self, name: str = OTHER) -> int:
        """How many schemas of ours are in it."""
        with psycopg.connect(self.server.superuser(name)) as connection:
            found = "SELECT count(*) FROM pg_namespace WHERE nspname = 'gateway'"
            return connection.execute(found).fetchone()[0]


def entry(server: Cluster, name: str) -> Empty:
    parts = conninfo_to_dict(server.superuser(name))
    return Empty(make_conninfo("", **{key: parts[key] for key in ("host", "port", "dbname", "user")}), parts["password"])  # fmt: skip


@pytest.fixture(scope="session", name="hosted")
def hosted_once() -> Iterator[Hosted]:
    root = Path(tempfile.mkdtemp(prefix="gw-"))
    root.chmod(0o711)
    server = Cluster(Home(root / "server"))
    if users.separate():
        users.make_users()
    folders.make_folders(server.home)
    server.create()
    server.start(mortal=True)
    try:
        made = Hosted(Home(root / "home"), root / "place")
        made.server = server
        place = made.empty(NAME)
        founding = Founding(
            home=made.home,
            province="140000",
            trust_domain="sx.example",
            dsn=place.dsn,
            password=place.password,
            base_port=18_853,
            listen=("127.0.0.1",),
        )
        asyncio.run(founding.found(lambda *_, **__: None))
        rules = made.home.policies / FILE
        text = rules.read_text()
        assert 'form = "offered"' in text
        rules.write_text(text.replace('form = "offered"', 'form = "dump"'))
        made.add("safe-1", RECIPIENT)
        made.enlist("admin", "zhao", "qian")
        made.kept = made.make()
        yield made
    finally:
        server.stop()
        shutil.rmtree(root)
