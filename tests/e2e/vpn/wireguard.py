"""WireGuard between the machines of the suite: real devices of wireguard-go, one per machine.

The gateway's device is `wg0`, made by the document's own commands where a test is about a deployment.
A member's is made from what `gateway tunnel invite` printed, by `wg-quick` as at a county.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.e2e.vpn.machines import OUTSIDE, Machine

PROGRAMS = ("wireguard-go", "wg", "wg-quick", "bash")
DEVICE = "wg0"
PORT = 51820
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


@contextmanager
def killed(gateway: Machine) -> Iterator[None]:
    """End the gateway's device, as a crash would; the block may make it anew."""
    gateway.sh(
        f"rm /run/wireguard/{DEVICE}.sock; while ip link show {DEVICE}; do sleep 0.05; done 2>/dev/null"
    )
    yield
