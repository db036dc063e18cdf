"""A process that has been confined, looked at from inside: each case in a process of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import gateway
from gateway.config import folders, users
from gateway.config.confinement import ConfinementError, check_runner, users_separate
from gateway.config.home import Home

INSIDE = """
import ctypes, json, os, pathlib, resource, sys
from gateway.config import confinement
from gateway.config.home import Home
home = Home(pathlib.Path(sys.argv[1]))
confinement.confine(home, "intake")
confinement.confine(home, "intake")
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
def readable(path):
    try:
        open(path).close()
    except OSError:
        return False
    return True
print(json.dumps({
    "uid": os.getuid(), "uids": status["Uid"].split(), "groups": os.getgroups(),
    "no_new_privs": status["NoNewPrivs"].strip(), "core": resource.getrlimit(resource.RLIMIT_CORE),
    "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), "umask": os.umask(0),
    "capabilities": status["CapEff"].strip(),
    "own": readable(home.secrets("intake") / "key"),
    "other": readable(home.secrets("identity") / "key"),
}), flush=True)
if len(sys.argv) > 2:
    import time
    time.sleep(60)
"""


@pytest.fixture
def home() -> Iterator[Home]:
    root = Path(tempfile.mkdtemp(prefix="gw-"))
    root.chmod(0o711)
    made = Home(root / "home")
    if users.separate():
        users.make_users()
    folders.make_folders(made)
    for process in ("intake", "identity"):
        folders.write_private(made.secrets(process) / "key", b"", process)
    yield made
    shutil.rmtree(root)


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def run(home: Home, *words: str, **environment: str) -> subprocess.Popen[str]:
    package = str(Path(gateway.__file__).parent.parent)
    return subprocess.Popen(
        [sys.executable, "-c", INSIDE, str(home.root), *words],
        env={"PYTHONPATH": package, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_confined_process_has_given_up_everything(home: Home) -> None:
    out, err = run(home).communicate(timeout=30)
    told = json.loads(out or err)
    user = users.user_of("intake")
    assert told["uid"] == user.uid
    assert set(told["uids"]) == {str(user.uid)}
    assert told["no_new_privs"] == "1"
    assert told["core"] == [0, 0]
    assert told["dumpable"] == 0
    assert told["own"] is True
    if users.separate():
        assert told["groups"] == list(user.groups)
        assert int(told["capabilities"], 16) == 0
        assert told["other"] is False
        assert told["umask"] == 0o007
    else:
        assert told["umask"] == 0o077


def test_it_dies_with_its_parent(home: Home) -> None:
    """The supervisor's kill -9 leaves no child behind."""
    package = str(Path(gateway.__file__).parent.parent)
    between = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', *sys.argv[1:]], stdout=subprocess.PIPE,"
        " env=os.environ | {'GATEWAY_PARENT_PID': str(os.getpid())})\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", between, INSIDE, str(home.root), "stay"],
        env={"PYTHONPATH": package},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while runs(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_orphan_does_not_serve(home: Home) -> None:
    _, err = run(home, GATEWAY_PARENT_PID="1").communicate(timeout=30)
    assert "the supervisor is gone" in err


def test_another_users_home_is_refused(home: Home, monkeypatch) -> None:
    check_runner(home)
    assert users_separate(home) is (os.geteuid() == 0)
    monkeypatch.setattr(os, "geteuid", lambda: 65_533)
    with pytest.raises(ConfinementError, match="run as that user"):
        check_runner(home)
