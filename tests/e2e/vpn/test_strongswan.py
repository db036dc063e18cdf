"""strongSwan for real: counties come in by IPsec tunnels that the document's commands made, and by nothing else.

The machines' kernel has no ESP: charon carries the tunnels itself (kernel-libipsec), as the document has it.
What comes past the tunnel is counted by the packet filter, and told from there.
"""

import asyncio
import re
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.clock import SYSTEM
from gateway.demo.province import COUNTIES, Member
from gateway.vpn import strongswan, vici
from gateway.vpn.table import Peer
from tests.e2e.vpn import charon, machines, walls
from tests.e2e.vpn.blocks import block
from tests.e2e.vpn.charon import DEVICE, SECTION, SOCKET, Charon, Line
from tests.e2e.vpn.knocking import IN, NO_ANSWER, REFUSED, knock, listening
from tests.e2e.vpn.machines import OUTSIDE, Machine, until
from tests.e2e.vpn.province import GATEWAY, NOW, Province, cut
from tests.e2e.vpn.uploading import sample, uploaded_once, uploading
from tests.e2e.vpn.visiting import CLOSED, SERVED, shake
from tests.e2e.vpn.walls import BYPASS, SPOOFED, Wall
from tests.e2e.vpn.walls import OUTSIDE as BEYOND

pytestmark = [pytest.mark.needs_netns, pytest.mark.serial, pytest.mark.timeout(600)]

CHILDREN = 1_500


@dataclass(frozen=True, slots=True)
class Scene:
    """The gateway that serves behind its charon, and three counties: two registered, one not."""

    province: Province
    gateway: Charon
    county: Line
    other: Line
    stranger: Line

    @property
    def wall(self) -> Wall:
        """The packet filter in front of it."""
        return Wall(self.gateway.machine, self.province, DEVICE)

    @property
    def port(self) -> int:
        """Intake's."""
        return self.province.host.ports.intake

    def member(self, code: str) -> Member:
        """An organisation's uploading system."""
        return self.province.members[code]

    def unit(self, code: str) -> str:
        """Return one of a member's units."""
        return self.member(code).units[0].unit_code

    def works(self) -> None:
        """The next good call: through the county's own tunnel, with its own certificate."""
        said = self.province.told(self.county.machine, self.member(self.county.code), "whoami")
        assert said["organisation"] == self.county.code

    def recovers(self) -> None:
        """Come in again: for up to a second the front believes what the VPN said before."""
        until(self.comes_in, "the county in its tunnel again")
        self.works()

    def comes_in(self) -> bool:
        """Return whether the county is let in now."""
        words = self.province.words(self.member(self.county.code), "whoami")
        return self.county.machine.run(*words, check=False).returncode == 0

    def visit(self, line: Line, code: str) -> str:
        """Come in by a line with an organisation's certificate, once: SERVED or CLOSED."""
        return shake(line.machine, GATEWAY, self.port, self.member(code))

    def nobody_came(self, since: int) -> bool:
        """Return whether no connection has a leaf; what the supervisor tells may be late."""
        told = {leaf["kind"].partition(".")[0] for leaf in self.province.leaves(since)}
        return told <= {"process", "origin"}

    def cuts(self, since: int) -> list[dict[str, object]]:
        """Return the leaves of the county's connections that were cut."""
        return self.province.leaves(since, kind="connection.cut", organisation=self.county.code)

    def seen(self) -> dict[str, Peer]:
        """What charon says of its peers, as the provider reads it, by identity."""
        path = f"/proc/{self.gateway.machine.first}/root{SOCKET}"
        listed = asyncio.run(vici.list_sas(path))
        return {one.name: one for one in strongswan.peers(listed, SYSTEM.now_us())}


@pytest.fixture(scope="module")
def scene(province: Province) -> Iterator[Scene]:
    """Everything put up by the document's commands."""
    charon.require()
    with machines.machines(4) as (machine, *counties):
        machines.wire(machine, *counties)
        gateway = Charon(machine)
        gateway.typed(block(SECTION, "At the gateway, once"))
        lines = [
            charon.join(gateway, one, code, f"10.14.1.{last}")
            for one, code, last in zip(counties, COUNTIES, (5, 6, 7), strict=True)
        ]
        made = Scene(province, gateway, *lines)
        _register(made)
        origin = block(SECTION, "HOME/settings.toml").partition("[origin]\n")[2]
        province.settle(origin + block(walls.SECTION, "HOME/settings.toml"))
        made.wall.load()
        with province.serving(machine):
            for line in lines[:2]:
                province.log_in(line.machine, made.member(line.code))
            yield made


def _register(scene: Scene) -> None:
    """Register two tunnels on the first day, as the admin on the gateway's own machine."""
    province, machine = scene.province, scene.gateway.machine
    first_day = block("WireGuard", "HOME/settings.toml, the first day")
    province.settle(first_day.partition("[origin]\n")[2])
    with province.serving(machine):
        province.log_in(machine, province.admin)
        for line in (scene.county, scene.other):
            words = shlex.split(line.written("By an admin"), comments=True)
            assert (words[0], words[-2:]) == ("gateway", ["-p", "admin"])
            province.told(machine, province.admin, *words[1:-2])


@pytest.fixture(autouse=True)
def no_secret_is_logged(scene: Scene) -> Iterator[None]:
    """Whatever a test does, no log of the gateway's holds a password."""
    yield
    root = scene.province.host.home.root
    said = b"".join(path.read_bytes() for path in [*root.glob("logs/*.log"), root / "serve.out"])
    assert said
    for member in (scene.province.admin, *scene.province.members.values()):
        assert member.password.value.encode() not in said


def test_a_county_uploads_and_the_leaf_names_interface_peer_and_organisation(
    scene: Scene, tmp_path: Path
) -> None:
    before = scene.province.size()
    words = ("upload", *sample(tmp_path, 60), "--unit", scene.unit(scene.county.code))
    said = scene.province.told(scene.county.machine, scene.member(scene.county.code), *words)
    assert said["records"] > 100
    leaves = scene.province.leaves(before, organisation=scene.county.code)
    assert "upload" in {leaf["kind"] for leaf in leaves}
    told = {(leaf["ingress"], leaf["tunnel"], leaf["strength"]) for leaf in leaves}
    assert told == {(DEVICE, "county@140105.example", "proven")}
    assert {leaf["peer"].split(":")[0] for leaf in leaves} == {scene.county.address}
    assert not scene.province.leaves(before, decision="deny")


def test_58_59_the_same_certificate_outside_the_tunnel(scene: Scene) -> None:
    """Packets for a door, and for the gateway's tunnel address, by the outer interface."""
    machine, before = scene.county.machine, scene.province.size()
    outside = f"{OUTSIDE}.2"
    with scene.wall.attempt(BYPASS):
        assert knock(machine, f"{OUTSIDE}.1", scene.port, outside) == REFUSED
    try:
        machine.sh(f"ip rule add from {outside} lookup main pref 100")
        machine.sh(f"ip route add {GATEWAY} via {OUTSIDE}.1")
        with scene.wall.attempt(BEYOND):
            assert knock(machine, GATEWAY, scene.port, outside) == NO_ANSWER
        before = scene.province.size()
        with scene.wall.away():
            _would_work(scene, machine, outside)
            assert knock(machine, GATEWAY, scene.port, outside) == REFUSED
    finally:
        machine.sh(f"ip rule del from {outside}; ip route del {GATEWAY}")
    assert scene.nobody_came(before)
    scene.works()


def test_60_a_tunnel_address_that_is_spoofed_while_the_tunnel_is_down(scene: Scene) -> None:
    """With a way back to the thief and no filter of the kernel's, the address itself would do."""
    county, gateway = scene.county, scene.gateway.machine
    charon.shut_out(scene.gateway, county)
    until(lambda: not county.stands(), "a tunnel that is down")
    own, route = f"{county.address}/32 dev lo", f"{GATEWAY} via {OUTSIDE}.1"
    try:
        county.machine.sh(f"ip address add {own}; ip route add {route}")
        gateway.sh(
            f"ip route add {county.address} via {OUTSIDE}.2"
            "; for one in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $one; done"
        )
        with scene.wall.attempt(SPOOFED):
            assert knock(county.machine, GATEWAY, scene.port, county.address) == NO_ANSWER
        before = scene.province.size()
        with scene.wall.away():
            _would_work(scene, county.machine, county.address)
            assert knock(county.machine, GATEWAY, scene.port, county.address) == REFUSED
        assert scene.nobody_came(before)
    finally:
        gateway.sh(f"ip route del {county.address}")
        county.machine.sh(f"ip address del {own}; ip route del {route}")
        charon.take_in(scene.gateway, county)
    scene.recovers()


def _would_work(scene: Scene, machine: Machine, source: str) -> None:
    """The attack reaches who listens at the same address and is bound to no device."""
    port = scene.province.host.ports.enrolment + 1
    with listening(scene.gateway.machine, GATEWAY, port) as heard:
        assert knock(machine, GATEWAY, port, source) == IN
        until(heard, "whose connection it was")
        assert heard() == [source]


def test_61_who_asks_charon_for_anothers_address_gets_its_own(scene: Scene) -> None:
    county, before = scene.county, scene.province.size()
    vips = f"s/vips = .*/vips = {scene.other.address}/"
    everything = r"s|remote_ts = .*|&\n                local_ts = 0.0.0.0/0|"
    own = "/etc/swanctl/conf.d/gateway.conf"
    try:
        county.machine.sh(f"sed -i -e '{vips}' -e '{everything}' {own}; swanctl --load-conns")
        county.charon.asked("--terminate", "--ike", "gateway")
        county.up()
        assert county.charon.asked("--list-conns").count("0.0.0.0/0") == 1
        found = scene.seen()
        assert list(map(str, found[county.identity].networks)) == [f"{county.address}/32"]
        assert list(map(str, found[scene.other.identity].networks)) == [f"{scene.other.address}/32"]
        assert scene.nobody_came(before)
    finally:
        county.charon.typed(county.written("At the county, when"))
        until(county.stands, "the tunnel")
    scene.recovers()


def test_62_a_certificate_in_anothers_tunnel(scene: Scene) -> None:
    before, thief = scene.province.size(), scene.other
    assert scene.visit(thief, thief.code) == SERVED
    assert scene.visit(thief, scene.county.code) == CLOSED
    leaf = scene.province.leaf(before, decision="deny")
    assert leaf["reason"] == "ORIGIN_MISMATCH"
    assert (leaf["ingress"], leaf["tunnel"]) == (DEVICE, thief.identity)
    assert leaf["organisation"] == scene.county.code
    assert leaf["detail"] == {"alert": "origin-mismatch", "target_organisation": thief.code}
    scene.works()


def test_63_a_peer_that_is_not_registered(scene: Scene) -> None:
    before = scene.province.size()
    assert scene.visit(scene.stranger, scene.stranger.code) == CLOSED
    leaf = scene.province.leaf(before, decision="deny")
    assert leaf["reason"] == "ORIGIN_UNREGISTERED"
    assert (leaf["ingress"], leaf["tunnel"]) == (DEVICE, scene.stranger.identity)
    assert leaf["detail"] == {"alert": "origin-unregistered"}
    scene.works()


def test_64_an_upload_is_cut_with_its_tunnel_and_goes_on_with_it(
    scene: Scene, tmp_path: Path
) -> None:
    with uploading(scene, sample(tmp_path, CHILDREN)) as upload:
        before, began = scene.province.size(), NOW()
        try:
            charon.shut_out(scene.gateway, scene.county)
            until(lambda: scene.cuts(before), "a cut")
            leaf = cut(scene.province, before, "ORIGIN_NOT_TUNNEL", began)
            assert (leaf["ingress"], leaf["tunnel"]) == (DEVICE, scene.county.identity)
            assert upload.process.poll() is None, "the upload was over before"
        finally:
            charon.take_in(scene.gateway, scene.county)
        uploaded_once(scene, upload)
    scene.works()


def test_keys_that_are_made_anew_cut_nobody(scene: Scene, tmp_path: Path) -> None:
    before = scene.province.size()
    with uploading(scene, sample(tmp_path, CHILDREN)) as upload:
        for what in (("--child", "gateway"), ("--ike", "c140105"), ("--child", "gateway")):
            scene.gateway.asked("--rekey", *what)
        assert upload.process.poll() is None, "the upload was over before"
        took = uploaded_once(scene, upload)
    print(f"\nupload through strongSwan: {upload.records / took:,.0f} records/s")
    assert scene.cuts(before) == []


@pytest.mark.parametrize("what", [("--child", "gateway"), ("--ike", "c140105")])
def test_what_is_made_anew_stands_while_the_county_does_not_answer(
    scene: Scene, what: tuple[str, str]
) -> None:
    county = scene.county
    before = scene.seen()[county.identity]
    with county.charon.halted():
        scene.gateway.asked("--rekey", *what)
        until(lambda: "REKEYING" in scene.gateway.asked("--list-sas"), "keys being made anew")
        found = scene.seen()[county.identity]
        assert (found.networks, found.endpoint) == (before.networks, before.endpoint)
    until(lambda: "REKEYING" not in scene.gateway.asked("--list-sas"), "new keys")
    scene.works()


@contextmanager
def stolen_key(scene: Scene, more: str) -> Iterator[Charon]:
    """The stranger has the county's key and would be the county, with these lines in its connection."""
    thief, county = scene.stranger.charon, scene.county
    for kind in ("private", "pubkey"):
        path = f"/etc/swanctl/{kind}/{county.code}.pem"
        text = county.machine.run("cat", path).stdout
        thief.machine.sh(f"cat > {path} <<'END'\n{text}END")
    opening = "At the county, when the gateway knows its key"
    written = county.written(opening).partition("connections {")[2].partition("END\n")[0]
    connection = re.sub(r"gateway \{", "thief {", written).replace("start_action = start", "")
    connection = connection.replace("version = 2", f"version = 2\n{more}")
    conf = "/etc/swanctl/conf.d/thief.conf"
    try:
        thief.machine.sh(f"cat > {conf} <<'END'\nconnections {{{connection}END")
        thief.asked("--load-all", "--noprompt")
        yield thief
    finally:
        thief.machine.sh(f"rm -f {conf} /etc/swanctl/p*/{county.code}.pem")
        thief.asked("--load-all", "--noprompt")
        thief.asked("--terminate", "--force", "--ike", "thief", check=False)


def test_70_a_second_host_with_the_same_key_moves_nobody(scene: Scene, tmp_path: Path) -> None:
    """charon has no second address for it; its SA must not speak for the county's."""
    before, identity = scene.province.size(), scene.county.identity
    with (
        uploading(scene, sample(tmp_path, CHILDREN)) as upload,
        # Without this line its greeting (INITIAL_CONTACT) would end the county's.
        stolen_key(scene, "unique = never") as thief,
    ):
        said = thief.asked("--initiate", "--child", "thief", "--timeout", "10", check=False)
        assert "INTERNAL_ADDRESS_FAILURE" in said
        assert scene.gateway.asked("--list-sas").count(identity) == 2
        assert scene.seen()[identity].endpoint.startswith(f"{OUTSIDE}.2:")
        uploaded_once(scene, upload)
        assert scene.cuts(before) == []
    scene.works()


def test_70_a_second_host_that_takes_the_countys_place_is_noticed(
    scene: Scene, tmp_path: Path
) -> None:
    county, before = scene.county, scene.province.size()
    with uploading(scene, sample(tmp_path, CHILDREN)) as upload, stolen_key(scene, "") as thief:
        # Its kernel would end a connection that it does not know.
        thief.machine.sh(f"ip rule add pref 50 from {county.address} blackhole")
        try:
            with county.charon.halted():
                thief.asked("--initiate", "--child", "thief", "--timeout", "20")
                assert scene.seen()[county.identity].endpoint.startswith(f"{OUTSIDE}.4:")
                assert upload.process.poll() is None, "the upload was over before"
                leaf = scene.province.leaf(before, kind="connection.cut")
                assert (leaf["organisation"], leaf["tunnel"]) == (county.code, county.identity)
                # Between the two hosts there is a moment when the address is nobody's.
                moved = leaf["reason"] == "ORIGIN_MOVED"
                assert moved or leaf["reason"] == "ORIGIN_NOT_TUNNEL"
                assert leaf.get("detail") == ({"alert": "origin-moved"} if moved else None)
        finally:
            thief.machine.sh("ip rule del pref 50")
            thief.asked("--terminate", "--force", "--ike", "thief")
            county.charon.asked("--terminate", "--force", "--ike", "gateway", check=False)
            county.up()
        uploaded_once(scene, upload)
    scene.recovers()


def test_69_charons_socket_gone(scene: Scene) -> None:
    machine, before = scene.gateway.machine, scene.province.size()
    machine.run("mv", SOCKET, "/run/away")
    try:
        # What was told a moment ago may still count for one.
        until(lambda: scene.visit(scene.county, scene.county.code) == CLOSED, "a refusal")
        leaf = scene.province.leaf(before, decision="deny")
        assert (leaf["reason"], leaf["detail"]) == ("ORIGIN_AWAY", {"alert": "origin-away"})
    finally:
        machine.run("mv", "/run/away", SOCKET)
    scene.recovers()


def test_69_charon_killed_takes_its_device_along_and_both_come_back(scene: Scene) -> None:
    before = scene.province.size()
    scene.gateway.stop(signal.SIGKILL)
    until(lambda: DEVICE not in scene.gateway.machine.run("ip", "link").stdout, "no device")
    scene.province.refused(scene.county.machine, scene.member(scene.county.code), "whoami")
    assert scene.province.leaves(before, organisation=scene.county.code) == []
    scene.gateway.restart()
    for line in (scene.county, scene.other, scene.stranger):
        line.charon.asked("--terminate", "--force", "--ike", "gateway", check=False)
        line.up()
    scene.recovers()
