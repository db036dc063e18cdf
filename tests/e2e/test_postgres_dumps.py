"""A gateway on Debian's PostgreSQL, whose operator gives it no base backups, is lost with the server and comes back from a dump."""

from pathlib import Path

import pytest

from gateway.backups import manifest
from gateway.config import settings
from gateway.demo.host import Host
from tests import debian
from tests.e2e import losing
from tests.e2e.losing import founded, told
from tests.e2e.test_backup import lost_and_found
from tests.e2e.test_backup_to_a_second import until
from tests.e2e.test_postgres_physical import Outside

pytestmark = [
    pytest.mark.slow,
    pytest.mark.serial,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(debian.NONE), reason=debian.NONE),
]
DATABASE, OPERATOR, SECRET = "vaccines", "operator", "operators-own"


class Modest(Outside):
    """Made by who may make roles in a database of his, and no more."""

    def run(self, *arguments: str) -> str:
        if arguments[0] == "init":
            secret = self.server.folder / "operator"
            secret.write_text(SECRET)
            dsn = self.server.dsn(DATABASE, OPERATOR)
            arguments += ("--dsn", dsn, "--password-file", str(secret))
        return Host.run(self, *arguments)

    def start(self) -> None:
        Host.start(self)


def prepared(server: debian.Server) -> None:
    server.sql(
        f"CREATE ROLE {OPERATOR} LOGIN CREATEROLE PASSWORD '{SECRET}'",
        f"CREATE DATABASE {DATABASE} OWNER {OPERATOR}",
    )


@pytest.mark.parametrize("alone", [False, True])
def test_a_province_on_anothers_server_comes_back_from_a_dump(
    capsys, monkeypatch, alone: bool
) -> None:
    """HOME and their server are lost: an empty database of a new server takes its place; or, alone, one of our own."""
    monkeypatch.setattr("gateway.demo.host.START_TIMEOUT_S", 240.0)  # a busy machine is no fault
    monkeypatch.setattr(losing, "Host", Modest)
    with debian.served() as server:
        prepared(server)
        monkeypatch.setattr(Modest, "server", server, raising=False)
        with founded() as (host, folder):
            lacking = told(f"    gateway backup advise {host.home.root}")
            assert lacking["form"] == "dump"

            def lost() -> str:
                [made] = (folder / "place").glob("2*/manifest.json")
                assert manifest.parse(made.read_bytes()).form == manifest.DUMP
                if alone:
                    server.stop()
                    return ""
                server.lose()
                prepared(server)
                at = f"postgresql://{OPERATOR}@127.0.0.1:{server.port}/{DATABASE}"
                return f" --dsn {at} --password-file {server.folder / 'operator'}"

            lost_and_found(host, folder, capsys, lost)
            assert bool(settings.load(host.home.settings).dsn) is not alone
            if not alone:
                mended(server, host.home.root, lacking)
            # The pools are closed before their server is.
            host.stop()


def mended(server: debian.Server, home: Path, lacking: dict) -> None:
    """The lines that are told are all that is missing."""
    fixes = {one["offer"]: one["fix"] for one in lacking["offers"] if one["state"] == "lacking"}
    assert list(fixes) == ["replication", "slot-size"]
    server.sql(*(line for fix in fixes.values() for line in fix))
    # A reload is on its way when it is answered.
    until(lambda: told(f"    gateway backup advise {home}")["form"] == "base")
