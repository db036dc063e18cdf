import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

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
def test_two_who_make_users_at_once_lose_none(monkeypatch) -> None:
    """The race of two test workers on a fresh machine: `useradd` at once loses one of two users."""
    at_work = [0, 0]
    names = {"front": "gateway-t-one", "signer": "gateway-t-two"}
    monkeypatch.setattr(users, "user_name", lambda process: names[process])

    def run(*parts):
        at_work[0] += 1
        at_work[1] = max(at_work)
        real(*parts)
        at_work[0] -= 1

    real = users._run
    monkeypatch.setattr(users, "_run", run)
    try:
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(users.make_users, (one,)) for one in names]:
                done.result()
        assert all(users._exists(name) for name in names.values())
        assert at_work[1] == 1
    finally:
        for name in names.values():
            real(["userdel", name])


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
