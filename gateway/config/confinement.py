"""What a process gives up before it serves: it dies with its parent, as its own user, for good.

The supervisor starts a child as its own system user already; one that root starts by hand changes
to it here, after it has imported everything.
"""

import ctypes
import importlib
import os
import resource
import signal
import sys

from gateway.config.home import Home, Process
from gateway.config.users import UserError, separate, user_of

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
# The parent's pid, so that a child whose parent died before PR_SET_PDEATHSIG took hold notices.
PARENT_VARIABLE = "GATEWAY_PARENT_PID"
# Where a child's code lies that its user cannot reach by path (see supervise.launch).
DESCRIPTOR_FOLDER = "/proc/self/fd/"
# Sockets are opened by their folder's group; every file with a secret is written with mode 0600 by
# itself.
_UMASK_SEPARATE = 0o007
_UMASK_ALONE = 0o077
# What the standard library imports at first use; after the change of user it could be out of reach.
_LATE_IMPORTS = (
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.unicode_escape",
    "traceback",
    "tracemalloc",
    "_strptime",
    "stringprep",
)


class ConfinementError(Exception):
    """The process could not give up what it must; it does not serve."""


def users_separate(home: Home) -> bool:
    """Return whether this HOME's processes have users of their own: root made it."""
    return home.root.stat().st_uid == 0


def check_runner(home: Home) -> None:
    """Raise ConfinementError when another user than HOME's owner runs this."""
    owner = home.root.stat().st_uid
    if owner != os.geteuid():
        msg = f"{home.root} belongs to uid {owner}: run as that user"
        raise ConfinementError(msg)


def confine(home: Home, process: Process) -> None:
    """Confine this process for good; raises ConfinementError. Doing it twice does nothing more."""
    for name in _LATE_IMPORTS:
        importlib.import_module(name)
    if separate() and users_separate(home):
        _become(process)
    os.umask(_UMASK_SEPARATE if users_separate(home) else _UMASK_ALONE)
    harden()
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    # After the change of user: changing credentials clears the parent-death signal.
    bind_to_parent()


def harden() -> None:
    """Leave no core dump, and let no other process of the same user look into this one."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # It would close our own /proc/self/fd too. Who reads its code through that has a user of its
    # own, so there is no other process of the same user.
    if not any(entry.startswith(DESCRIPTOR_FOLDER) for entry in sys.path):
        _prctl(_PR_SET_DUMPABLE, 0)


def bind_to_parent() -> None:
    """Die when the supervisor dies, also when it has died already."""
    parent = os.environ.get(PARENT_VARIABLE)
    if parent is None:
        return
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        msg = "the supervisor is gone"
        raise ConfinementError(msg)


def adopt_orphans(*, wanted: bool) -> None:
    """Become the parent of what descendants leave behind, or no more; raises ConfinementError."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(wanted))


def _become(process: Process) -> None:
    try:
        user = user_of(process)
    except UserError as error:
        raise ConfinementError(str(error)) from error
    os.setgroups(user.groups)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    if os.geteuid() == 0 or os.getegid() == 0:
        msg = "still root after the change of user"
        raise ConfinementError(msg)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    unused = ctypes.c_ulong(0)
    if libc.prctl(option, ctypes.c_ulong(value), unused, unused, unused) != 0:
        msg = f"prctl {option}: {os.strerror(ctypes.get_errno())}"
        raise ConfinementError(msg)
