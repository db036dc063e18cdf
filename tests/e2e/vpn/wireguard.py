"""WireGuard between the machines of the suite: real devices of wireguard-go, one per machine.

The gateway's device is `wg0`, made by the document's own commands where a test is about a deployment.
A member's is made from what `gateway tunnel invite` printed, by `wg-quick` as at a county.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.e2e.vpn.machines import OUTSIDE, Machine, until
from tests.e2e.vpn.province import GATEWAY

PROGRAMS = ("wireguard-go", "wg", "wg-quick", "bash", "iperf3")
DEVICE = "wg0"
PORT = 51820
IPERF_PORT = 5201
ENDPOINT = f"{OUTSIDE}.1:{PORT}"
# A member's device, and so the name of its configuration.
LINE = "gateway"


@dataclass(frozen=True, slots=True)
class Line:
    """A member's end of its tunnel: machine, public key, address inside."""

    machine: Machine
    key: str
    address: str

    def configure(self, text: str) -> None:
        """Write the configuration that `gateway tunnel invite` printed; the key file is there."""
        self.machine.sh(f"umask 077; cat > /etc/wireguard/{LINE}.conf <<'END'\n{text}\nEND")

    def up(self) -> None:
        """Bring the tunnel up."""
        self.machine.sh(f"wg-quick up {LINE}")

    def down(self) -> None:
        """Take the tunnel down."""
        self.machine.sh(f"wg-quick down {LINE}")


def line(machine: Machine, address: str) -> Line:
    """Make a member's key on its own machine, as docs/operations.md tells the county."""
    path = f"/etc/wireguard/{LINE}.key"
    key = machine.sh(f"umask 077; wg genkey > {path}; wg pubkey < {path}").strip()
    return Line(machine, key, address)


def configuration(one: Line, server_key: str, gateway: str) -> str:
    """Return a configuration for whom nobody invited."""
    return (
        f"[Interface]\nPostUp = wg set %i private-key /etc/wireguard/%i.key\n"
        f"Address = {one.address}/32\n\n[Peer]\nPublicKey = {server_key}\nEndpoint = {ENDPOINT}\n"
        f"AllowedIPs = {gateway}/32\nPersistentKeepalive = 25\n"
    )


def admit(gateway: Machine, one: Line) -> None:
    """Tell the gateway's WireGuard of a peer."""
    gateway.run("wg", "set", DEVICE, "peer", one.key, "allowed-ips", f"{one.address}/32")


def expel(gateway: Machine, one: Line) -> None:
    """Have the gateway's WireGuard forget a peer."""
    gateway.run("wg", "set", DEVICE, "peer", one.key, "remove")


def server_key(gateway: Machine) -> str:
    """Return the public key of the gateway's device."""
    return gateway.run("wg", "show", DEVICE, "public-key").stdout.strip()


def received(gateway: Machine, one: Line) -> int:
    """Return the bytes that the gateway's device has received from a peer."""
    return int(_of(gateway, "transfer", one)[0])


def handshake_age_s(gateway: Machine, one: Line) -> float:
    """Return how long ago the gateway's last handshake with a peer was."""
    return time.time() - int(_of(gateway, "latest-handshakes", one)[0])


def _of(gateway: Machine, what: str, one: Line) -> list[str]:
    lines = gateway.run("wg", "show", DEVICE, what).stdout.splitlines()
    (found,) = (line.split("\t")[1:] for line in lines if line.startswith(one.key))
    return found


def end(gateway: Machine) -> None:
    """End the gateway's device, as a crash of wireguard-go would."""
    gateway.run("rm", f"/run/wireguard/{DEVICE}.sock")
    until(lambda: gateway.run("ip", "link", "show", DEVICE, check=False).returncode, "no device")


def speed(gateway: Machine, one: Line, inside: Sequence[str] = ()) -> float:
    """Return what iperf3 carries from a member to the gateway in five seconds, in MB/s received."""
    server = gateway.start(*inside, "iperf3", "--server", "--bind", GATEWAY, "--port", IPERF_PORT)
    ask = ["iperf3", "--client", GATEWAY, "--port", IPERF_PORT, "--time", "5", "--json"]
    told: list[dict[str, Any]] = [{}]

    def carried() -> bool:
        # Until its server listens it says an error, as JSON too.
        told[0] = json.loads(one.machine.run(*ask, check=False).stdout or "{}")
        return bool(told[0].get("end", {}).get("sum_received"))

    try:
        until(carried, "iperf3 through the tunnel")
        return float(told[0]["end"]["sum_received"]["bits_per_second"]) / 8e6
    finally:
        gateway.end(server)
