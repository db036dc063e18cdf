"""The system users of a gateway that root runs: one per process, each reading its own keys only.

Without root there is one user for all and `separate` is False.
"""

import fcntl
import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.config.home import PROCESSES, Process

# Every gateway user belongs to it; it opens the sockets that all processes need.
GROUP = "gateway"
_TOOL_TIMEOUT_S = 20.0
# Two gateways may be made at once, and two `useradd` at once lose one of their users: whoever makes
# users holds this folder's lock.
_LOCKED = Path("/etc")


class UserError(Exception):
    """A system user is missing and could not be made; the text says what to do."""


@dataclass(frozen=True, slots=True)
class SystemUser:
    """A user of this machine: name, uid, gid and further groups."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


def separate() -> bool:
    """Return whether processes get users of their own here: only root can give them."""
    return os.geteuid() == 0


def user_name(process: Process) -> str:
    """Return the name of a process's system user."""
    return f"gateway-{process}"


def user_of(process: Process) -> SystemUser:
    """Return the user that a process runs as; raises UserError when root has not made it."""
    if not separate():
        return current()
    try:
        entry = pwd.getpwnam(user_name(process))
        common = grp.getgrnam(GROUP).gr_gid
    except KeyError as error:
        name = user_name(process)
        msg = f"system user {name} does not exist: run `gateway init` as root on this host"
        raise UserError(msg) from error
    return SystemUser(entry.pw_name, entry.pw_uid, entry.pw_gid, (common,))


def make_users(processes: tuple[Process, ...] = PROCESSES) -> None:
    """Make the group and the users that are absent, as root; raises UserError."""
    with _alone():
        _make_group(GROUP)
        for process in processes:
            if not _exists(user_name(process)):
                _make_user(user_name(process))


def unreachable(path: Path, user: SystemUser) -> Path | None:
    """Return the first folder on the way to `path`, itself included, that the user cannot enter."""
    for folder in [*reversed(path.parents), path]:
        if not _may_enter(folder.stat(), user):
            return folder
    return None


def _may_enter(status: os.stat_result, user: SystemUser) -> bool:
    if user.uid == 0:
        return True
    if status.st_uid == user.uid:
        return bool(status.st_mode & 0o100)
    if status.st_gid in (user.gid, *user.groups):
        return bool(status.st_mode & 0o010)
    return bool(status.st_mode & 0o001)


def current() -> SystemUser:
    """Return who runs this."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # a container may run under a number without a name
        name = str(uid)
    return SystemUser(name, uid, os.getegid(), tuple(os.getgroups()))


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


@contextmanager
def _alone() -> Iterator[None]:
    folder = os.open(_LOCKED, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _make_user(name: str) -> None:
    _run(
        ["useradd", "--system", "--user-group", f"--groups={GROUP}", "--no-create-home"],
        ["--home-dir=/nonexistent", "--shell=/usr/sbin/nologin", name],
    )
    if not _exists(name):
        msg = f"useradd did not make {name}: make a system user of this name in group {GROUP}"
        raise UserError(msg)


def _make_group(name: str) -> None:
    try:
        grp.getgrnam(name)
    except KeyError:
        _run(["groupadd", "--system", "--force", name])


def _run(*parts: list[str]) -> None:
    command = [word for part in parts for word in part]
    tool = shutil.which(command[0], path="/usr/sbin:/sbin:/usr/bin:/bin")
    if tool is None:
        msg = f"no {command[0]} on this host: install the package `passwd`, or run without root"
        raise UserError(msg)
    try:
        subprocess.run(
            [tool, *command[1:]], check=False, capture_output=True, timeout=_TOOL_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        msg = f"{command[0]} did not finish within {_TOOL_TIMEOUT_S:.0f} s"
        raise UserError(msg) from error
