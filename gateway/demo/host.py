"""A gateway on loopback as a person starts it: `gateway init`, settings, `gateway serve`."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.config.home import Home
from gateway.config.settings import PortSettings, Settings, load
from gateway.supervise import state
from gateway.supervise.supervisor import SERVING

# Below Linux's range for outgoing connections (32768-60999), above the well-known ports.
FIRST_PORT, LAST_PORT, PORTS_EACH = 20_000, 32_000, 10
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
_POLL_S = 0.05


class HostError(Exception):
    """A command failed or the gateway did not start; the text is what it said."""


@dataclass(slots=True)
class Host:
    """A gateway's HOME and, while it runs, its supervisor."""

    home: Home
    prefix: str  # three octets of 127/8 that belong to this gateway alone
    base_port: int
    _serving: subprocess.Popen[bytes] | None = field(default=None)

    @classmethod
    def at(cls, folder: Path) -> "Host":
        """Return a host for a fresh HOME at `folder`, on addresses and ports of its own."""
        prefix = f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(250) + 1}"
        return cls(Home(folder), prefix, _free_ports(f"{prefix}.1"))

    @property
    def settings(self) -> Settings:
        """The settings as they stand in HOME."""
        return load(self.home.settings)

    @property
    def ports(self) -> PortSettings:
        """The doors' ports."""
        return self.settings.ports

    @property
    def supervisor(self) -> int:
        """The supervisor's pid."""
        if self._serving is None:
            raise HostError("the gateway is not running")
        pid: int = self._serving.pid
        return pid

    def address(self, last: int) -> str:
        """Return the loopback address of this gateway that ends in `last`."""
        return f"{self.prefix}.{last}"

    def run(self, *arguments: str) -> str:
        """Run one `gateway` command and return its standard output; raises HostError."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *arguments, "--lang", "en"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise HostError(f"gateway {arguments[0]}: {done.stdout}{done.stderr}".strip())
        return done.stdout

    def init(
        self,
        owners: Sequence[tuple[int, str]],
        unowned: Sequence[int] = (),
        policies: Path | None = None,
    ) -> None:
        """Run `gateway init`, then give each organisation a listening address (last octet, code).

        `unowned` addresses are listened on and belong to nobody; `policies` are those to found it
        with, instead of those that ship.
        """
        addresses = [self.address(last) for last in (*dict(owners), *unowned)]
        options = [part for address in addresses for part in ("--listen", address)]
        options += [] if policies is None else ["--policies", str(policies)]
        self.run("init", str(self.home.root), "--base-port", str(self.base_port), *options)
        listen = ", ".join(f'"{address}"' for address in addresses)
        tunnels = "".join(
            f'\n[[origin.static]]\norganisation = "{code}"\nlisten = "{self.address(last)}"\n'
            for last, code in owners
        )
        settings, ports = self.settings, self.settings.ports
        self.home.settings.write_text(
            f'province = "{settings.province}"\ntrust_domain = "{settings.trust_domain}"\n\n'
            f"[front]\nlisten = [{listen}]\n\n"
            f"[ports]\nidentity = {ports.identity}\nintake = {ports.intake}\n"
            f"disclosure = {ports.disclosure}\nadministration = {ports.administration}\n"
            f"enrolment = {ports.enrolment}\n\n"
            f'[origin]\nprovider = "static"\nallow_weak_origin = true\n{tunnels}',
            encoding="utf-8",
        )

    def start(self) -> None:
        """Run `gateway serve` and return when every process serves; raises HostError."""
        log = self.home.root / "serve.out"
        with log.open("ab") as out:
            self._serving = subprocess.Popen(
                [sys.executable, "-m", "gateway", "serve", str(self.home.root), "--lang", "en"],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._serves(self._serving.pid):
            if self._serving.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise HostError(f"gateway serve did not start:\n{log.read_text()[-4000:]}")
            time.sleep(_POLL_S)

    def _serves(self, supervisor: int) -> bool:
        """Return whether this supervisor's processes are all ready.

        That a port listens would prove nothing: a killed supervisor's front may not be gone yet.
        """
        known = state.read(self.home) or {}
        children = known.get("children")
        return (
            known.get("supervisor") == supervisor
            and isinstance(children, dict)
            and all(children.get(name, {}).get("state") == "ready" for name in SERVING)
        )

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> None:
        """End the supervisor and wait for it; SIGTERM drains."""
        if self._serving is None:
            return
        if self._serving.poll() is None:
            self._serving.send_signal(sign)
        try:
            self._serving.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._serving.kill()
            self._serving.wait()
        self._serving = None


def _listens(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False


def _free_ports(address: str) -> int:
    """Return the first of PORTS_EACH ports in a row that nobody listens on at `address`."""
    start = FIRST_PORT + (os.getpid() * PORTS_EACH) % (LAST_PORT - FIRST_PORT)
    for base in (*range(start, LAST_PORT, PORTS_EACH), *range(FIRST_PORT, start, PORTS_EACH)):
        if not any(_listens(address, base + offset) for offset in range(PORTS_EACH)):
            return int(base)
    raise HostError("no free ports on loopback")
