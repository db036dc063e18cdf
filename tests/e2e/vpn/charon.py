"""strongSwan on the machines of the suite: Debian's charon, configured by the document's own commands.

systemd does not run there: what Debian's unit and the document's drop-in have it start, `Charon` starts.
"""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.vpn import machines
from tests.e2e.vpn.blocks import block
from tests.e2e.vpn.machines import DEADLINE_S, Machine, until

SECTION = "strongSwan"
DEVICE = "ipsec0"
SOCKET = "/run/charon.vici"
SWANCTL_S = 30
# The document's county, whose code and address the other lines put in the place of.
WRITTEN, WRITTEN_ADDRESS = "140105", "10.14.1.5"
_OWN = ("/etc/swanctl", "/etc/strongswan.d", "/etc/systemd/system")
_UNIT = Path("/lib/systemd/system/strongswan.service")
_DROP_IN = "/etc/systemd/system/strongswan.service.d/gateway.conf"
_LIBIPSEC = Path("/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so")


def require() -> None:
    """Skip, with a line that says why, where machines or strongSwan cannot be had."""
    machines.require("charon-systemd", "swanctl", "openssl")
    for path in (_LIBIPSEC, _UNIT):
        if not path.exists():
            pytest.skip(f"there is no {path}: make e2e-vpn installs it where it may")


class Charon:
    """One machine's strongSwan, with folders of its own under /etc."""

    def __init__(self, machine: Machine) -> None:
        """Lay Debian's folders over with copies that are this machine's."""
        self.machine = machine
        self._running: subprocess.Popen[bytes] | None = None
        for at in _OWN:
            own = f"/run/own{at}"
            machine.sh(f"mkdir -p {own} && cp -a {at}/. {own} && mount --bind {own} {at}")

    def typed(self, text: str) -> None:
        """Run a block as a person would type it; systemctl's lines are ours."""
        for line in re.split(r"^(systemctl .*)\n", text, flags=re.MULTILINE):
            if line == "systemctl restart strongswan":
                self.restart()
            elif line.strip() and line != "systemctl daemon-reload":
                self.machine.sh(line)

    def restart(self) -> None:
        """Start as the unit says, after an end."""
        self.stop()
        drop_in = self.machine.run("cat", _DROP_IN, check=False).stdout
        unit = _UNIT.read_text(encoding="utf-8") + drop_in
        (start,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
        self._running = self.machine.start(*start.split())
        self._answers()
        for after in re.findall(r"^ExecStartPost=(.*)$", unit, re.MULTILINE):
            self.machine.run(*after.split())

    def _answers(self) -> None:
        answered = ("swanctl", "--stats")
        until(lambda: self.machine.run(*answered, check=False).returncode == 0, "charon's answer")

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> None:
        """End charon, if it runs."""
        if self._running is not None:
            self.machine.end(self._running, sign)
        self._running = None

    @contextmanager
    def halted(self) -> Iterator[None]:
        """charon stands still, as if the line were dead, until the block ends."""
        assert self._running is not None
        self.machine.send(self._running, signal.SIGSTOP)
        try:
            yield
        finally:
            # nsenter stops itself with what it started, and wakes it when it is woken.
            self._running.send_signal(signal.SIGCONT)
            self.machine.send(self._running, signal.SIGCONT)

    def asked(self, *words: str, check: bool = True) -> str:
        """Run swanctl, which itself would wait for ever."""
        bounded = ("timeout", str(SWANCTL_S), "swanctl")
        done = self.machine.run(*bounded, *words, check=check, timeout_s=DEADLINE_S)
        return done.stdout + done.stderr


@dataclass(frozen=True, slots=True)
class Line:
    """A county's strongSwan: its organisation, its address in the tunnel."""

    charon: Charon
    code: str
    address: str

    @property
    def machine(self) -> Machine:
        """The county's machine."""
        return self.charon.machine

    @property
    def identity(self) -> str:
        """Its name towards the gateway, and so in leaves."""
        return f"county@{self.code}.example"

    def written(self, opening: str) -> str:
        """Return the document's block for this county."""
        text = block(SECTION, opening)
        return text.replace(WRITTEN_ADDRESS, self.address).replace(WRITTEN, self.code)

    def up(self) -> None:
        """Bring the tunnel up, and wait for it."""
        self.charon.asked("--initiate", "--child", "gateway", "--timeout", "20")

    def stands(self) -> bool:
        """Return whether the tunnel stands, as the county sees it."""
        return "INSTALLED" in self.charon.asked("--list-sas")


def join(gateway: Charon, machine: Machine, code: str, address: str) -> Line:
    """Make a county's tunnel by the document, and bring it up."""
    line = Line(Charon(machine), code, address)
    line.charon.typed(line.written("At the county: its key"))
    _carry(gateway.machine, machine, "gateway.pem")
    _carry(machine, gateway.machine, f"{code}.pem")
    gateway.typed(line.written("At the gateway, for each county"))
    line.charon.typed(line.written("At the county, when"))
    until(line.stands, f"{code}'s tunnel")
    return line


def shut_out(gateway: Charon, line: Line) -> None:
    """Have the gateway's VPN take a county in no more."""
    gateway.typed(line.written("At the gateway: the VPN takes"))


def take_in(gateway: Charon, line: Line) -> None:
    """Take it in again, and bring its tunnel up."""
    gateway.typed(line.written("At the gateway, for each county"))
    line.up()


def _carry(giving: Machine, taking: Machine, name: str) -> None:
    path = f"/etc/swanctl/pubkey/{name}"
    taking.sh(f"cat > {path} <<'END'\n{giving.run('cat', path).stdout}END")
