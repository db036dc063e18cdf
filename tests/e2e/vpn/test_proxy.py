"""A real Envoy before the gateway, as the document has it: whom it hands on comes in, whoever comes past it does not.

A cable stands for the proxy's tunnel: what is shown here is the gateway's side of the proxy. `wire`: 10.15.0.0/24,
with the gateway, the proxy and a thief on it; the county reaches the proxy by its device wg0, and nothing else.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.demo.province import COUNTIES
from tests.e2e.vpn import machines
from tests.e2e.vpn.blocks import block
from tests.e2e.vpn.machines import DEADLINE_S, Machine, until
from tests.e2e.vpn.province import GATEWAY, Province
from tests.e2e.vpn.visiting import CLOSED, say, shake, visited

pytestmark = [pytest.mark.needs_netns, pytest.mark.serial, pytest.mark.timeout(600)]

SECTION = "Envoy with PROXY v2"
COUNTY, OTHER = COUNTIES[:2]
ADDRESS, INSIDE = "10.14.1.5", "10.15.0.2"
# The header of a county's connection: PROXY v2, TCP over IPv4, from ADDRESS to GATEWAY.
_HEADER = "0d0a0d0a000d0a515549540a" + "2111000c" + "0a0e0105" + "0a0e0001" + "c00020fb"
# The header with which a proxy checks whether somebody is there (LOCAL).
_LOCAL = "0d0a0d0a000d0a515549540a" + "20000000"
# The beginning of a TLS handshake.
_TLS = "16030100c8010000c40303" + "00" * 16


@dataclass(frozen=True, slots=True)
class Scene:
    """The gateway that serves behind its proxy; a county; a thief on the wire between."""

    province: Province
    gateway: Machine
    proxy: Machine
    county: Machine
    thief: Machine

    @property
    def port(self) -> int:
        """Intake's."""
        return self.province.host.ports.intake

    def works(self) -> None:
        """The next good call: the county's, through the proxy."""
        said = self.province.told(self.county, self.province.members[COUNTY], "whoami")
        assert said["organisation"] == COUNTY

    def refused(self, before: int, address: str, reason: str = "ORIGIN_NOT_TUNNEL") -> None:
        """One leaf says so, of a connection from this address, and nothing else was refused."""
        leaf = self.province.leaf(before, decision="deny")
        assert (leaf["kind"], leaf["reason"]) == ("connection.refused", reason)
        assert leaf["peer"].rpartition(":")[0] == address


@pytest.fixture(scope="module")
def scene(province: Province) -> Iterator[Scene]:
    """Everything put up by the document's commands."""
    machines.require()
    if not Path(sys.executable).with_name("envoy").exists():
        pytest.skip("there is no envoy: make e2e-vpn installs it where it may")
    with machines.machines(4, own=("/run", "/etc/envoy")) as (gateway, proxy, county, thief):
        _cable(proxy, "wg0", f"{GATEWAY}/16", county, f"{ADDRESS}/16")
        _cable(proxy, "eth0", "10.15.0.1/24", gateway, f"{INSIDE}/24")
        _cable(proxy, "eth1", "", thief, "10.15.0.3/24")
        # Both on one wire, at which the proxy has the address that it had.
        proxy.sh(
            "ip link add wire type bridge; ip link set eth0 master wire; ip link set eth1 master wire"
            "; ip address del 10.15.0.1/24 dev eth0; ip address add 10.15.0.1/24 dev wire"
            "; ip link set wire up; echo 1 > /proc/sys/net/ipv4/ip_forward"
        )
        made = Scene(province, gateway, proxy, county, thief)
        origin = block(SECTION, "HOME/settings.toml").partition("[origin]\n")[2]
        province.settle(origin, INSIDE)
        with province.serving(gateway), envoy(made, proxy):
            province.log_in(county, province.members[COUNTY])
            yield made


def _cable(one: Machine, device: str, address: str, other: Machine, far: str) -> None:
    """Join two machines: by `device` at one, by eth0 at the other."""
    subprocess.run(
        [
            *f"ip link add {device} netns {one.first} type veth peer name eth0 netns".split(),
            other.first,
        ],
        check=True,
        timeout=DEADLINE_S,
    )
    other.sh(f"ip address add {far} dev eth0; ip link set eth0 up")
    one.sh(
        f"ip link set {device} up" + (f"; ip address add {address} dev {device}" if address else "")
    )


@contextmanager
def envoy(scene: Scene, machine: Machine) -> Iterator[None]:
    """Envoy on a machine, until the block ends."""
    ports = scene.province.host.ports
    numbers = ports.intake, ports.disclosure, ports.administration, ports.identity, ports.enrolment
    written = block(SECTION, "At the proxy: the doors")
    mine = written.replace("8443 8444 8445 8446 8448", " ".join(map(str, numbers)))
    assert mine != written
    machine.sh(mine)
    said = scene.province.host.home.root / "envoy.out"
    begun = machine.start("bash", "-c", block(SECTION, "At the proxy, at each start"), out=said)
    listening = ("ss", "-Htln", f"sport = :{ports.enrolment}")
    try:
        until(lambda: machine.run(*listening).stdout or begun.poll() is not None, "an Envoy")
        assert begun.poll() is None, said.read_text()[-2000:]
        yield
    finally:
        machine.end(begun)


def test_a_county_comes_in_through_the_proxy_with_its_own_address(scene: Scene) -> None:
    before = scene.province.size()
    scene.works()
    leaf = scene.province.leaf(before, kind="identity.whoami")
    assert leaf["peer"].startswith(f"{ADDRESS}:")
    assert leaf["listener"] == f"{GATEWAY}:{scene.province.host.ports.identity}"
    assert (leaf["organisation"], leaf["strength"]) == (COUNTY, "weak")
    assert not scene.province.leaves(before, decision="deny")


def test_another_certificate_through_the_proxy_is_not_its_addresss(scene: Scene) -> None:
    before = scene.province.size()
    assert shake(scene.county, GATEWAY, scene.port, scene.province.members[OTHER]) == CLOSED
    leaf = scene.province.leaf(before, decision="deny")
    assert (leaf["reason"], leaf["organisation"]) == ("ORIGIN_MISMATCH", OTHER)
    assert leaf["peer"].startswith(f"{ADDRESS}:")
    scene.works()


@pytest.mark.parametrize("text", [_TLS, _HEADER + _TLS], ids=["bare", "with a header"])
def test_68_the_county_past_the_proxy(scene: Scene, text: str) -> None:
    """Routed to the gateway itself, in its own name: only the proxy may say whose connection it is."""
    scene.county.sh(f"ip route add {INSIDE} via {GATEWAY}")
    scene.gateway.sh(f"ip route add {ADDRESS} via 10.15.0.1")
    before = scene.province.size()
    try:
        assert say(scene.county, INSIDE, scene.port, text) == CLOSED
        scene.refused(before, ADDRESS)
    finally:
        scene.county.sh(f"ip route del {INSIDE}")
        scene.gateway.sh(f"ip route del {ADDRESS}")
    scene.works()


@pytest.mark.parametrize("text", [_TLS, _LOCAL, _HEADER[:20] + _TLS], ids=["bare", "local", "cut"])
def test_68_the_proxy_itself_without_a_header(scene: Scene, text: str) -> None:
    before = scene.province.size()
    assert say(scene.proxy, INSIDE, scene.port, text) == CLOSED
    scene.refused(before, "10.15.0.1")
    scene.works()


def test_68_a_proxy_that_is_not_listed(scene: Scene) -> None:
    """The same Envoy, with the same configuration, on another host: it says what the county's would."""
    thief = scene.thief
    thief.sh(
        "ip netns add county; ip link add wg0 type veth peer name eth0 netns county"
        f"; ip address add {GATEWAY}/16 dev wg0; ip link set wg0 up"
        f"; ip -n county address add {ADDRESS}/16 dev eth0; ip -n county link set eth0 up"
    )
    try:
        with envoy(scene, thief):
            before = scene.province.size()
            within = ("ip", "netns", "exec", "county")
            assert visited(thief, GATEWAY, scene.port, _TLS, within=within) == CLOSED
            scene.refused(before, "10.15.0.3")
    finally:
        thief.sh("ip link del wg0; ip netns del county")
    scene.works()
