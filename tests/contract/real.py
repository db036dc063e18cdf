"""Real VPNs on machines of their own, told of two peers as the fakes are: wireguard-go, and Debian's charon."""

import contextlib
import ipaddress
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

from gateway.clock import US_PER_S
from tests.e2e.vpn import charon, machines
from tests.e2e.vpn.charon import Charon
from tests.e2e.vpn.machines import OUTSIDE, Machine

# The suite's device, which the providers are told that all comes in by.
DEVICE = "tun7"
GATEWAY, GATEWAY_ID = "10.66.0.1", "gateway@peers.example"
_OTHER_KEY = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="


class WireguardGo:
    """A device whose first peer is another device there, and shakes hands; the second never speaks."""

    endpoint = "127.0.0.1:"

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        # Seen from here, where the machine's /run is another.
        self.path = Path(f"/proc/{machine.first}/root/run/wireguard/{DEVICE}.sock")
        machine.sh(
            f"umask 077; for one in {DEVICE} peer; do wireguard-go $one; wg genkey > /run/$one;"
            f" wg set $one private-key /run/$one; ip link set $one up; done;"
            f" wg set {DEVICE} listen-port 51820"
        )
        first = machine.run("wg", "show", "peer", "public-key").stdout.strip()
        ours = machine.run("wg", "show", DEVICE, "public-key").stdout.strip()
        machine.sh(f"wg set peer peer {ours} endpoint 127.0.0.1:51820 persistent-keepalive 1")
        self.peers = first, _OTHER_KEY

    def tell(self, *peers: tuple[str, str]) -> None:
        for key, network in peers:
            self._machine.run("wg", "set", DEVICE, "peer", key, "allowed-ips", network)
        if self.peers[0] in dict(peers):
            machines.until(self._handshake_s, "a handshake")

    def shook(self, handshake_us: int) -> bool:
        """Whether that was the first peer's handshake: to the second, as `wg` prints it."""
        return handshake_us // US_PER_S == self._handshake_s()

    def _handshake_s(self) -> int:
        said = self._machine.run("wg", "show", DEVICE, "latest-handshakes").stdout
        return int(dict(line.split("\t") for line in said.splitlines())[self.peers[0]])

    def gone(self) -> None:
        # Whereupon wireguard-go ends.
        self.path.unlink()


@contextlib.asynccontextmanager
async def wireguard_go(_now_s: int) -> AsyncIterator[WireguardGo]:
    """Give one, with the programs that it takes; skips without."""
    machines.require("wireguard-go", "wg")
    with machines.machine() as made:
        yield WireguardGo(made)


class RealCharon:
    """A charon, and another that is both peers of it, each with its IKE identity and networks behind."""

    endpoint = f"{OUTSIDE}.2:"
    peers = ("one@peers.example", "two@peers.example")

    def __init__(self, here: Charon, there: Charon, now_s: int) -> None:
        self._here, self._there, self._now_s = here, there, now_s
        self.path = Path(f"/proc/{here.machine.first}/root{charon.SOCKET}")
        self._secret = secrets.token_hex(16)
        self._told: list[str] = []
        self._began = 0.0
        for one in (here, there):
            one.machine.sh(
                "printf 'kernel-libipsec {\\n load = yes\\n}\\n'"
                " > /etc/strongswan.d/charon/kernel-libipsec.conf"
            )
            one.restart()
        here.machine.run("ip", "address", "add", f"{GATEWAY}/32", "dev", "lo")

    def tell(self, *peers: tuple[str, str]) -> None:
        """Have only these stand, each with its network: what stood before is ended."""
        for name in self._told:
            self._there.asked("--terminate", "--ike", name)
        self._told = [f"c{number}" for number, _ in enumerate(peers)]
        for one, near in ((self._here, True), (self._there, False)):
            text = "\n".join(
                self._connection(name, *peer, near=near)
                for name, peer in zip(self._told, peers, strict=True)
            )
            path = "/etc/swanctl/conf.d/peers.conf"
            one.machine.sh(f"umask 077; cat > {path} <<'END'\n{text}\nEND")
            one.asked("--load-all", "--noprompt")
        for _, network in peers:
            # charon makes no route without an address of its own at its end.
            inside = ipaddress.ip_network(network)
            own = inside[min(2, inside.num_addresses - 1)]
            self._there.machine.run("ip", "address", "replace", f"{own}/32", "dev", "lo")
        self._began = time.monotonic()
        for name in self._told:
            self._there.asked("--initiate", "--ike", name, "--child", name, "--timeout", "20")

    def _connection(self, name: str, identity: str, network: str, *, near: bool) -> str:
        ours, theirs = (GATEWAY_ID, identity) if near else (identity, GATEWAY_ID)
        behind = (f"{GATEWAY}/32", network) if near else (network, f"{GATEWAY}/32")
        where = "" if near else f"remote_addrs = {OUTSIDE}.1"
        return (
            f"connections {{\n {name} {{\n version = 2\n {where}\n"
            f" local {{\n auth = psk\n id = {ours}\n }}\n remote {{\n auth = psk\n id = {theirs}\n }}\n"
            f" children {{\n {name} {{\n local_ts = {behind[0]}\n remote_ts = {behind[1]}\n }}\n }}\n }}\n}}\n"
            f"secrets {{\n ike-{name} {{\n id = {identity}\n secret = {self._secret}\n }}\n}}"
        )

    def shook(self, handshake_us: int) -> bool:
        """Whether that was since they were told: charon tells ages in whole seconds."""
        age_s = self._now_s - handshake_us / US_PER_S
        return 0 <= age_s <= time.monotonic() - self._began + 1

    def gone(self) -> None:
        self.path.unlink()


@contextlib.asynccontextmanager
async def real_charon(now_s: int) -> AsyncIterator[RealCharon]:
    """Give one, on two machines with a wire between; skips without strongSwan."""
    charon.require()
    with machines.machines(2) as (here, there):
        machines.wire(here, there)
        yield RealCharon(Charon(here), Charon(there), now_s)
