"""A backup's process, and what it starts, is of low priority and of the supervisor's session."""

import asyncio
import os
import subprocess
import sys

from gateway.config.home import Home
from gateway.supervise import backups, yielding

CHILD = (
    "import os, subprocess, sys; sys.stdin.read();"
    "subprocess.run([sys.executable, '-c', 'import os; print(os.nice(0), os.getsid(0))'])"
)


def test_what_it_starts_gives_way_too() -> None:
    command = [sys.executable, "-c", CHILD]
    with subprocess.Popen(command, process_group=0, stdin=-1, stdout=-1, text=True) as process:
        yielding.give_way(process.pid)
        told, _ = process.communicate("")
    nice, session = map(int, told.split())
    assert nice == max(yielding.NICE, os.nice(0))
    assert session == os.getsid(0)


def test_one_that_ended_is_no_trouble() -> None:
    with subprocess.Popen(["/bin/true"], process_group=0) as process:
        pass
    yielding.give_way(process.pid)


def test_a_backups_process_gives_way(founded: Home, monkeypatch) -> None:
    groups: list[int] = []
    monkeypatch.setattr(backups, "give_way", groups.append)
    assert asyncio.run(backups._run(founded, "--help")) == 0
    assert len(groups) == 1
