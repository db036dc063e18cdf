"""Machines of a test's own: network, mount and process namespaces that vanish with whoever made them.

Each `Machine` has its own /run (so its own WireGuard sockets, charon, `ip netns`) and its own empty
/etc/wireguard. Its first process reads our end of a pipe: when the test is over, or killed, that ends,
and with it everything that runs inside.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

# Far above what anything takes, also on a machine that is busy with other suites.
DEADLINE_S = 120.0
POLL_S = 0.05
PROGRAMS = ("ip", "nsenter", "unshare", "mount")
# Folders of the host that a machine has of its own, empty.
OWN_FOLDERS = ("/run", "/etc/wireguard")
# TEST-NET-1 (RFC 5737): what lies outside the tunnels.
OUTSIDE = "192.0.2"
_UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
_ADD, _NETNS = ("ip", "link", "add"), ("netns",)
_VETH = ("type", "veth", "peer", "name", "eth0")
_INSIDE = "mount --make-rprivate / && for at in {folders}; do mount -t tmpfs none $at; done && ip link set lo up && echo up && exec cat"


def require(*programs: str) -> None:
    """Skip, with a line that says why, where machines cannot be made or a program is missing."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    if not Path("/dev/net/tun").exists():
        pytest.skip("there is no /dev/net/tun")
    for program in (*PROGRAMS, *programs):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program}: make e2e-vpn installs it where it may")
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "true"],
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    if tried.returncode:
        pytest.skip("this machine gives no network namespaces")


def until(holds: Callable[[], object], what: str, within_s: float = DEADLINE_S) -> None:
    """Return when it holds; fails with `what` when it does not in time."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(POLL_S)


def _environment() -> dict[str, str]:
    """Ours, with the project's own commands in reach (`gateway`)."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


class Machine:
    """One host: `run` and `start` commands on it, `wire` it to others."""

    def __init__(self, holder: subprocess.Popen[bytes], first: int) -> None:
        """Take over a holder, and its first process's id as we see it."""
        self._holder, self._first = holder, first
        self._started: list[subprocess.Popen[bytes]] = []

    def _words(self, command: Sequence[object]) -> list[str]:
        enter = ["nsenter", "--target", str(self._first), "--net", "--mount", "--pid"]
        # nsenter goes to the mount namespace's root: the project's folder is said anew.
        return [*enter, f"--wd={Path.cwd()}", "--", *map(str, command)]

    def run(
        self, *command: object, check: bool = True, timeout_s: float = DEADLINE_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; a failure is an assertion with what it said."""
        done = subprocess.run(
            self._words(command),
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def sh(self, script: str, timeout_s: float = DEADLINE_S) -> str:
        """Run a script as a person would type it, stopping at its first failure; its output."""
        return self.run("bash", "-euo", "pipefail", "-c", script, timeout_s=timeout_s).stdout

    def start(self, *command: object, out: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a command that goes on; it ends with `end`, or with the machine.

        The returned process is nsenter: it ends when the command does, with its status.
        """
        with (out or Path(os.devnull)).open("ab") as written:
            begun = subprocess.Popen(
                self._words(command),
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
            )
        self._started.append(begun)
        return begun

    def send(self, begun: subprocess.Popen[bytes], sign: signal.Signals) -> None:
        """Send a signal to what was started, not to nsenter before it."""
        listed = Path(f"/proc/{begun.pid}/task/{begun.pid}/children").read_text()
        for pid in map(int, listed.split()):
            os.kill(pid, sign)

    def end(self, begun: subprocess.Popen[bytes], sign: signal.Signals = signal.SIGTERM) -> int:
        """End what was started and return its status."""
        if begun.poll() is None:
            self.send(begun, sign)
        return begun.wait(DEADLINE_S)

    def close(self) -> None:
        """End everything that runs here."""
        if self._holder.stdin is not None:
            self._holder.stdin.close()
        self._holder.wait(DEADLINE_S)
        for begun in self._started:
            begun.wait(DEADLINE_S)
        if self._holder.stdout is not None:
            self._holder.stdout.close()

    @property
    def first(self) -> str:
        """The process id, as seen from outside, whose namespaces are this machine's."""
        return str(self._first)


@contextmanager
def machine(own: Sequence[str] = OWN_FOLDERS) -> Iterator[Machine]:
    """A machine without cables, for as long as the block lasts."""
    for folder in own:
        Path(folder).mkdir(mode=0o700, exist_ok=True)
    inside = _INSIDE.format(folders=" ".join(own))
    holder = subprocess.Popen(
        [*_UNSHARE, "sh", "-c", inside],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    said = holder.stdout.readline()
    first = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
    made = Machine(holder, int(first[0]) if first else 0)
    try:
        assert said == b"up\n", "the machine did not start"
        yield made
    finally:
        made.close()


@contextmanager
def machines(count: int, own: Sequence[str] = OWN_FOLDERS) -> Iterator[list[Machine]]:
    """Several machines; `wire` joins them."""
    with ExitStack() as stack:
        yield [stack.enter_context(machine(own)) for _ in range(count)]


def wire(middle: Machine, *others: Machine) -> None:
    """Join machines by one network: eth0 at each; `middle` has OUTSIDE.1, the others .2, .3 and on."""
    middle.run("ip", "link", "add", "eth0", "type", "bridge")
    middle.run("ip", "address", "add", f"{OUTSIDE}.1/24", "dev", "eth0")
    middle.run("ip", "link", "set", "eth0", "up")
    for number, other in enumerate(others, 2):
        port = f"port{number}"
        # Made from outside both, where both first processes have their numbers.
        subprocess.run(
            [*_ADD, port, *_NETNS, middle.first, *_VETH, *_NETNS, other.first],
            check=True,
            timeout=DEADLINE_S,
        )
        middle.run("ip", "link", "set", port, "master", "eth0", "up")
        other.run("ip", "address", "add", f"{OUTSIDE}.{number}/24", "dev", "eth0")
        other.run("ip", "link", "set", "eth0", "up")


@contextmanager
def folder() -> Iterator[Path]:
    """A fresh folder on a short path, passable for the processes' own users."""
    made = Path(tempfile.mkdtemp(prefix="gateway-vpn-", dir="/tmp"))
    made.chmod(0o711)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
