import os
import subprocess

import pytest

from gateway.config import users
from gateway.config.home import PROCESSES
from gateway.config.users import SystemUser, UserError, unreachable

STRANGER = SystemUser("stranger", 4242, 4242, (4343,))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes users")
def test_every_process_has_its_own_user() -> None:
    users.make_users()
    users.make_users()
    made = [users.user_of(process) for process in PROCESSES]
    assert len({user.uid for user in made}) == len(PROCESSES)
    assert 0 not in {user.uid for user in made}
    assert {user.groups for user in made} == {made[0].groups}
    shells = subprocess.run(
        ["getent", "passwd", *(user.name for user in made)], capture_output=True
    )
    assert shells.stdout.count(b"/nonexistent:/usr/sbin/nologin") == len(PROCESSES)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes users")
def test_a_missing_user_and_a_missing_tool_are_said(monkeypatch) -> None:
    monkeypatch.setattr(users, "user_name", lambda process: "gateway-none-such")
    with pytest.raises(UserError, match="run `gateway init` as root"):
        users.user_of("front")
    monkeypatch.setattr(users.shutil, "which", lambda *_, **__: None)
    with pytest.raises(UserError, match="no useradd"):
        users.make_users(("front",))


def test_without_root_all_are_who_runs_this(monkeypatch) -> None:
    monkeypatch.setattr(users.os, "geteuid", lambda: 65_533)
    assert users.separate() is False
    assert users.user_of("signer") == users.user_of("front") == users.current()
    assert users.current().name == "65533"


@pytest.mark.parametrize(
    ("mode", "owner", "group", "may"),
    [
        (0o700, 4242, 0, True),
        (0o077, 4242, 4242, False),
        (0o710, 0, 4343, True),
        (0o710, 0, 4242, True),
        (0o701, 0, 4242, False),
        (0o701, 0, 0, True),
        (0o710, 0, 0, False),
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs chown")
def test_who_can_enter_a_folder(tmp_path, mode, owner, group, may) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    inner.chmod(mode)
    os.chown(inner, owner, group)
    assert users._may_enter(inner.stat(), STRANGER) is may


def test_the_first_closed_folder_is_named(tmp_path) -> None:
    tmp_path.chmod(0o711)
    closed = tmp_path / "closed"
    (closed / "open").mkdir(parents=True)
    closed.chmod(0o700)
    blocked = unreachable(closed / "open", STRANGER)
    assert blocked is not None
    assert closed.is_relative_to(blocked)
    assert unreachable(closed, SystemUser("root", 0, 0, ())) is None
