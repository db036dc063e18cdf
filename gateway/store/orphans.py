"""Ends what a foreign program started and left behind, however it left its family.

Whoever is a child subreaper becomes the parent of what its descendants leave behind: no new session
and no second fork gets away (prctl(2), PR_SET_CHILD_SUBREAPER).
"""

import contextlib
import os
import signal
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from gateway.config import confinement


@dataclass(frozen=True, slots=True)
class Child:
    """A process of ours: its pid, and the moment it began, for pids come again."""

    pid: int
    began: int


def adopt() -> AbstractSet[Child]:
    """Take over what descendants leave behind from now on; return the children there are now."""
    confinement.adopt_orphans(wanted=True)
    return _children()


def end(before: AbstractSet[Child]) -> None:
    """Kill every child that was not there before, and what it leaves behind; then adopt no more.

    For a process that has no other business meanwhile: each child since then is taken for one.
    """
    try:
        while left := _children() - before:
            for one in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one.pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(one.pid, 0)
    finally:
        confinement.adopt_orphans(wanted=False)


def _children() -> AbstractSet[Child]:
    own, found = os.getpid(), set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                # The name in parentheses may hold anything (proc(5)).
                words = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if int(words[1]) == own:
                    found.add(Child(int(folder.name), int(words[19])))
    return found
