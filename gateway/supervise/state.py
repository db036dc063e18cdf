"""What a supervisor leaves on disk for others: its lock, and what it last knew of its children."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from gateway.config.folders import PUBLIC_FILE
from gateway.config.home import Home


class AlreadyServedError(Exception):
    """Another supervisor serves this HOME."""


@contextmanager
def sole(home: Home) -> Iterator[None]:
    """Be the only supervisor of this HOME, as long as we live; raises AlreadyServedError."""
    descriptor = os.open(home.supervisor_pid, os.O_RDWR | os.O_CREAT, PUBLIC_FILE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            other = os.read(descriptor, 32).decode().strip()
            raise AlreadyServedError(f"{home.root} is served by process {other}") from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def is_served(home: Home) -> bool:
    """Return whether a supervisor serves this HOME now."""
    try:
        with home.supervisor_pid.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def write(home: Home, document: Mapping[str, object]) -> None:
    """Replace the status file in one step."""
    partial = home.supervisor_status.with_suffix(".partial")
    partial.write_text(json.dumps(document) + "\n", encoding="utf-8")
    partial.chmod(PUBLIC_FILE)
    partial.replace(home.supervisor_status)


def read(home: Home) -> dict[str, object] | None:
    """Return what a supervisor last wrote, or None; `is_served` tells whether it still runs."""
    try:
        document = json.loads(home.supervisor_status.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return document if isinstance(document, dict) else None
