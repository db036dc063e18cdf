"""The wheel's programs, and their copy where the server's user cannot reach the wheel."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from gateway.config.home import Home
from gateway.config.users import SystemUser, user_of
from gateway.store import tools
from gateway.store.tools import ToolError, Tools


def test_programs_run_without_our_environment(cluster, monkeypatch) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    run = Tools(cluster.home, user_of("postgres")).run
    assert run("postgres", "--version").startswith("postgres (PostgreSQL) 18")
    with pytest.raises(ToolError, match="pg_controldata failed"):
        run("pg_controldata", "/nonexistent")


def test_what_a_program_prints_is_read_while_it_runs_and_its_complaint_is_told(
    cluster, tmp_path
) -> None:
    stream = Tools(cluster.home, user_of("postgres")).stream
    with stream("postgres", "--version", passwords=tmp_path) as printed:
        assert printed.read().startswith(b"postgres (PostgreSQL) 18")
    with (
        pytest.raises(ToolError, match=r"pg_basebackup failed: .*nowhere"),
        stream("pg_basebackup", "--pgdata=-", "--format=tar", "--wal-method=fetch",
               "--dbname=host=/nowhere", passwords=tmp_path) as printed,
    ):  # fmt: skip
        assert printed.read() == b""


def test_a_program_is_fed_while_what_it_prints_is_taken(cluster) -> None:
    fed, taken = Tools(cluster.home, user_of("postgres")).fed, bytearray()

    def feed_one_that_ends() -> None:
        with fed("postgres", "--single", "-D", "/nonexistent") as sink:
            while True:
                sink.write(b"x" * 100_000)

    with pytest.raises(ToolError, match=r"postgres failed: .*/nonexistent"):
        feed_one_that_ends()
    with fed("postgres", "--version", take=taken.extend):
        pass
    assert taken.startswith(b"postgres (PostgreSQL) 18")


def test_who_cannot_take_what_a_program_prints_ends_it(cluster) -> None:
    def refuse(_: bytes) -> None:
        raise ZeroDivisionError

    fed = Tools(cluster.home, user_of("postgres")).fed
    with pytest.raises(ZeroDivisionError), fed("postgres", "--version", take=refuse):
        pass

    def break_off() -> None:
        with fed("pg_restore", "--file=-") as sink:
            sink.write(b"some")  # nobody reads it any more
            raise KeyError

    with pytest.raises(KeyError):
        break_off()


def test_an_absent_wheel_is_said(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(tools, "_PACKAGE", "no_such_wheel")
    with pytest.raises(ToolError, match="make venv"):
        Tools(Home(tmp_path), user_of("postgres"))


def test_a_wheel_without_our_version_is_said(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(tools, "_INSTALL", "pginstall99")
    with pytest.raises(ToolError, match="no PostgreSQL 18"):
        Tools(Home(tmp_path), user_of("postgres"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server is another user")
def test_programs_out_of_reach_are_copied_once(monkeypatch) -> None:
    root = Path(tempfile.mkdtemp(prefix="gw-"))
    root.chmod(0o711)
    try:
        home = Home(root)
        home.database.mkdir(mode=0o711)
        user = user_of("postgres")
        seen: list[SystemUser] = []

        def unreachable(path: Path, asked: SystemUser) -> Path | None:
            seen.append(asked)
            return path

        monkeypatch.setattr(tools, "unreachable", unreachable)
        copied = Tools(home, user)
        assert copied.folder.is_relative_to(home.database)
        assert copied.run("postgres", "--version").startswith("postgres (PostgreSQL) 18")
        made = copied.folder.stat().st_ino
        assert Tools(home, user).folder.stat().st_ino == made
        assert seen == [user, user]
    finally:
        shutil.rmtree(root)
