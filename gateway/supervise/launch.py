"""How a child is started as its own user, also where that user cannot reach interpreter and code.

A virtual environment in root's private home is closed to everybody else. Its folders are then
opened by the supervisor and handed over as descriptors: behind /proc/self/fd/N a process needs
rights on the folder itself, not on those above it (proc_pid_fd(5)). So nothing outside HOME changes
its mode, no process imports as root, and what is imported late is found.
"""

import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import gateway
from gateway.config.confinement import DESCRIPTOR_FOLDER
from gateway.config.users import SystemUser, unreachable


@dataclass(frozen=True, slots=True)
class Launch:
    """The interpreter to run, what its environment gets, and the descriptors it needs for ever."""

    interpreter: str
    environment: dict[str, str]
    descriptors: tuple[int, ...] = ()


@contextmanager
def launch(user: SystemUser) -> Iterator[Launch]:
    """Give the way for this user; the descriptors are closed on our side at the end."""
    folders = _folders()
    needed = [Path(sys.executable).parent, Path(sys.executable).resolve().parent, *folders]
    needed.append(Path(sysconfig.get_path("stdlib")))
    if all(unreachable(folder, user) is None for folder in needed):
        yield Launch(sys.executable, {"PYTHONPATH": os.pathsep.join(map(str, folders))})
        return
    descriptors = [_open(folder) for folder in [Path(sys.base_prefix), *folders]]
    try:
        base, *paths = [f"{DESCRIPTOR_FOLDER}{descriptor}" for descriptor in descriptors]
        inside = Path(sys.executable).resolve().relative_to(Path(sys.base_prefix).resolve())
        environment = {
            "PYTHONHOME": base,
            "PYTHONPATH": os.pathsep.join(paths),
            # An interpreter built with a shared libpython would else load the system's.
            "LD_LIBRARY_PATH": f"{base}/lib",
        }
        yield Launch(f"{base}/{inside}", environment, tuple(descriptors))
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _folders() -> list[Path]:
    """Return where modules that are not the standard library's come from, ours first."""
    ours = Path(gateway.__file__).parent.parent
    library = Path(sysconfig.get_path("stdlib"))
    found = [Path(entry) for entry in sys.path if entry and Path(entry).is_dir()]
    others = [
        path
        for path in found
        if path != ours and not (path.is_relative_to(library) and "site-packages" not in path.parts)
    ]
    return [ours, *others]


def _open(folder: Path) -> int:
    return os.open(folder, os.O_PATH | os.O_DIRECTORY)
