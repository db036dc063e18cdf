"""WireGuard for real: a county comes in by its own tunnel, in both deployments of the document, and by nothing else.

What comes past the tunnel never becomes a connection: the packet filter counts it, and the log tells of that.
What a layer drops that counts nothing leaves no leaf; that test says which layer it is.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.client import profile as profiles
from gateway.demo.province import Member
from gateway.supervise import state
from tests.e2e.vpn import wireguard
from tests.e2e.vpn.deployed import (
    ADDRESSES,
    NAMESPACE,
    RULE,
    Deployed,
    deployed,
)
from tests.e2e.vpn.knocking import IN, NO_ANSWER, REFUSED, knock, listening
from tests.e2e.vpn.machines import OUTSIDE, until
from tests.e2e.vpn.province import (
    COUNTY,
    GATEWAY,
    GATEWAY_COMMAND,
    OTHER,
    PROVINCE,
    Province,
)
from tests.e2e.vpn.uploading import Uploading, sample, uploaded_once, uploading
from tests.e2e.vpn.walls import BYPASS, SPOOFED
from tests.e2e.vpn.walls import OUTSIDE as BEYOND
from tests.e2e.vpn.wireguard import DEVICE

pytestmark = [pytest.mark.needs_netns, pytest.mark.serial, pytest.mark.timeout(600)]

NOT_IN = {REFUSED, NO_ANSWER}
CHILDREN = 1200


@pytest.fixture(scope="module", params=[RULE, NAMESPACE], ids=["rule", "namespace"])
def scene(request: pytest.FixtureRequest, province: Province) -> Iterator[Deployed]:
    """Both deployments, one after the other; whole again after each test."""
    with deployed(province, request.param) as made:
        yield made


@pytest.fixture
def ruled(scene: Deployed) -> Deployed:
    """The deployment where the gateway's machine has other interfaces beside the tunnel."""
    if scene.section != RULE:
        pytest.skip("in the namespace there is no other interface")
    return scene


@pytest.fixture
def alone(scene: Deployed) -> Deployed:
    """One deployment is enough for what both have in common, and this one is the strongest."""
    if scene.section != NAMESPACE:
        pytest.skip("shown in the namespace")
    return scene


@contextmanager
def undone(scene: Deployed, by: str, undo: str, at: str = "stranger") -> Iterator[None]:
    """Have a machine's commands hold within the block."""
    machine = getattr(scene, at)
    machine.sh(by)
    try:
        yield
    finally:
        machine.sh(undo)


def elsewhere(member: Member, host: str, folder: Path) -> Member:
    """Return a copy of a member's profile that reaches the gateway at another address."""
    made = folder / f"copy-{time.monotonic_ns()}"
    shutil.copytree(member.profile.folder, made)
    profiles.write_remote(made, replace(member.profile.remote, host=host))
    return replace(member, profile=profiles.load(made))


def test_a_county_uploads_and_every_leaf_names_interface_peer_and_organisation(
    scene: Deployed, tmp_path: Path
) -> None:
    begun = scene.province.size()
    files = sample(tmp_path, 60)
    said = scene.told(COUNTY, "upload", *files, "--unit", scene.unit(COUNTY))
    assert said["records"] > 100
    leaves = scene.province.leaves(begun, organisation=COUNTY)
    assert "upload" in {leaf["kind"] for leaf in leaves}
    told = {(leaf["ingress"], leaf["tunnel"], leaf["strength"]) for leaf in leaves}
    assert told == {(DEVICE, scene.county.key, "proven")}
    assert scene.county.address in leaves[0]["peer"]
    # Nothing was weak, and nothing was refused.
    assert not scene.province.leaves(begun, decision="deny")


def test_the_doctor_finds_the_origin_proven(scene: Deployed) -> None:
    """Device, binding, namespace, the VPN's answer, and that no peer of it is a stranger."""
    home = scene.province.host.home.root
    done = scene.inside.run(*GATEWAY_COMMAND, "doctor", home, "--json", check=False)
    told = {one["check"]: one["state"] for one in json.loads(done.stdout)["findings"]}
    good = {
        "origin",
        "origin-device",
        "origin-bound",
        "origin-vpn",
        "origin-strangers",
        "origin-wall",
    }
    assert {told.get(check) for check in good} == {"good"}, done.stdout
    wall = (state.read(scene.province.host.home) or {}).get("wall")
    assert isinstance(wall, dict)
    assert wall["state"] == "standing"
    # Beside the tunnel there is another interface, or nothing at all.
    assert told["origin-others"] == ("note" if scene.section == RULE else "good")


def test_58_outside_the_tunnel(scene: Deployed, tmp_path: Path) -> None:
    """The right certificate, by the way that everybody has: reset, and one leaf for each attempt."""
    begun, before = scene.province.size(), scene.wall.counted()[BYPASS]
    copy = elsewhere(scene.member(COUNTY), f"{OUTSIDE}.1", tmp_path)
    for machine in (scene.county.machine, scene.stranger):
        assert "FRONT_AWAY" in scene.province.refused(machine, copy, "whoami")
    # A client may try several times, over several looks: told to the packet all the same.
    until(
        lambda: told_packets(scene, begun, BYPASS) == scene.wall.counted()[BYPASS] - before > 0,
        "leaves of every packet",
    )
    for machine in (scene.county.machine, scene.stranger):
        with scene.wall.attempt(BYPASS):
            assert knock(machine, f"{OUTSIDE}.1", scene.port) == REFUSED
        scene.works()


def test_59_the_tunnels_address_from_outside(scene: Deployed) -> None:
    """Packets for the gateway's tunnel address by the outer interface never become a connection."""
    route = f"{GATEWAY}/32 via {OUTSIDE}.1"
    with (
        undone(scene, f"ip route add {route}", f"ip route del {route}"),
        scene.wall.attempt(BEYOND),
    ):
        assert knock(scene.stranger, GATEWAY, scene.port) == NO_ANSWER
    scene.works()


def test_60_the_countys_address_spoofed_with_its_tunnel_down(scene: Deployed) -> None:
    """A stranger takes the county's address, and the gateway even routes its answers to him."""
    with spoofed(scene), scene.wall.attempt(SPOOFED):
        assert knock(scene.stranger, GATEWAY, scene.port, scene.county.address) == NO_ANSWER
    scene.works()


def test_60_without_the_rule_the_device_alone_refuses_what_another_listener_lets_in(
    ruled: Deployed,
) -> None:
    """The packets are good: whoever listens without binding to the device is deceived (E2, E3)."""
    gateway, begun = ruled.gateway, ruled.province.size()
    with (
        ruled.wall.away(),
        spoofed(ruled),
        listening(gateway, GATEWAY, ruled.port + 50) as heard,
    ):
        assert knock(ruled.stranger, GATEWAY, ruled.port + 50, ruled.county.address) == IN
        assert heard() == [ruled.county.address]
        assert knock(ruled.stranger, GATEWAY, ruled.port, ruled.county.address) == REFUSED
    assert {leaf["kind"] for leaf in ruled.province.leaves(begun)} == {"origin.wall"}
    ruled.works()


def test_61_an_address_that_the_peer_does_not_own(scene: Deployed) -> None:
    """WireGuard itself drops it (cryptokey routing): the packet is received, and nobody sees it."""
    begun, theirs = scene.province.size(), ADDRESSES[OTHER]
    before = wireguard.received(scene.gateway, scene.county)
    address = f"{theirs}/32 dev {wireguard.LINE}"
    scene.county.machine.sh(f"ip address add {address}")
    try:
        assert knock(scene.county.machine, GATEWAY, scene.port, theirs) == NO_ANSWER
    finally:
        scene.county.machine.sh(f"ip address del {address}")
    assert wireguard.received(scene.gateway, scene.county) > before
    assert scene.province.leaves(begun) == []
    scene.works()
    scene.works(OTHER)


def test_61_an_address_that_the_vpn_was_told_wrong(scene: Deployed) -> None:
    """Where WireGuard was told to let it pass, the register and the certificate disagree."""
    theirs = ADDRESSES[OTHER]
    both = f"{scene.county.address}/32,{theirs}/32"
    scene.gateway.run("wg", "set", DEVICE, "peer", scene.county.key, "allowed-ips", both)
    address = f"{theirs}/32 dev {wireguard.LINE}"
    route = f"{GATEWAY}/32 dev {wireguard.LINE}"
    scene.county.machine.sh(f"ip address add {address}; ip route replace {route} src {theirs}")
    try:
        _mismatch(scene)
    finally:
        scene.county.machine.sh(f"ip route replace {route}; ip address del {address}")
        wireguard.admit(scene.gateway, scene.county)
        wireguard.admit(scene.gateway, scene.lines[OTHER])
    scene.works()
    scene.works(OTHER)


def test_62_another_countys_certificate_in_this_tunnel(scene: Deployed) -> None:
    _mismatch(scene)
    scene.works()
    scene.works(OTHER)


def _mismatch(scene: Deployed) -> None:
    """The other county's certificate comes by the county's peer: one leaf, for officers of both."""
    machine, other = scene.county.machine, scene.member(OTHER)
    until(
        lambda: scene.refusal(machine, other) == "ORIGIN_MISMATCH",
        "what the VPN says now, at the front",
    )
    begun = scene.province.size()
    assert "FRONT_AWAY" in scene.province.refused(machine, other, "whoami")
    leaf = scene.one_each(begun, "ORIGIN_MISMATCH")
    assert (leaf["kind"], leaf["organisation"]) == ("tls.refused", OTHER)
    assert (leaf["ingress"], leaf["tunnel"]) == (DEVICE, scene.county.key)
    assert leaf["detail"] == {"alert": "origin-mismatch", "target_organisation": COUNTY}


def test_63_a_peer_that_nobody_registered(scene: Deployed) -> None:
    line = wireguard.line(scene.stranger, "10.14.1.9")
    line.configure(wireguard.configuration(line, wireguard.server_key(scene.gateway), GATEWAY))
    wireguard.admit(scene.gateway, line)
    line.up()
    try:
        stolen = scene.member(COUNTY)
        until(
            lambda: scene.refusal(scene.stranger, stolen) == "ORIGIN_UNREGISTERED",
            "the peer, at the front",
        )
        begun = scene.province.size()
        assert "FRONT_AWAY" in scene.province.refused(scene.stranger, stolen, "whoami")
        leaf = scene.one_each(begun, "ORIGIN_UNREGISTERED")
        assert (leaf["kind"], leaf["tunnel"]) == ("connection.refused", line.key)
        assert leaf["detail"] == {"alert": "origin-unregistered"}
    finally:
        line.down()
        wireguard.expel(scene.gateway, line)
    scene.works()


def test_64_a_peer_removed_from_the_vpn_during_an_upload(scene: Deployed, tmp_path: Path) -> None:
    with uploading(scene, sample(tmp_path, CHILDREN)) as upload:
        begun, at = scene.province.size(), time.time()
        wireguard.expel(scene.gateway, scene.county)
        try:
            _cut(scene, begun, at, "ORIGIN_NOT_TUNNEL")
            assert upload.process.poll() is None, "the upload was over before"
        finally:
            wireguard.admit(scene.gateway, scene.county)
        _goes_on(scene, upload)


def test_64_a_peer_locked_in_the_register_during_an_upload(scene: Deployed, tmp_path: Path) -> None:
    key = scene.county.key
    # Who changes what weighs has given the password within five minutes.
    scene.province.log_in(scene.lines[PROVINCE].machine, scene.province.admin)
    with uploading(scene, sample(tmp_path, CHILDREN)) as upload:
        begun, at = scene.province.size(), time.time()
        scene.told(PROVINCE, "tunnel", "lock", COUNTY, key, "--reason", "laptop lost")
        try:
            # The command itself takes a while before the lock is there: counted from its leaf.
            locked = scene.province.leaf(begun, kind="admin.tunnel.state", decision="allow")
            _cut(scene, begun, max(at, locked["time_us"] / 1_000_000), "ORIGIN_LOCKED")
            assert upload.process.poll() is None, "the upload was over before"
            until(
                lambda: scene.province.leaves(
                    begun, kind="connection.refused", reason="ORIGIN_LOCKED"
                ),
                "the upload at the door again",
            )
        finally:
            scene.told(PROVINCE, "tunnel", "unlock", COUNTY, key, "--reason", "found")
        _goes_on(scene, upload)


def test_70_the_endpoint_changes_in_mid_connection(scene: Deployed, tmp_path: Path) -> None:
    with uploading(scene, sample(tmp_path, CHILDREN)) as upload:
        begun, at = scene.province.size(), time.time()
        scene.county.machine.run("wg", "set", wireguard.LINE, "listen-port", "51999")
        leaf = _cut(scene, begun, at, "ORIGIN_MOVED")
        assert leaf["detail"] == {"alert": "origin-moved"}
        _goes_on(scene, upload)


def _cut(scene: Deployed, begun: int, at: float, reason: str) -> dict[str, object]:
    """Exactly one leaf for each connection that stood, with its tunnel; how soon, `make bench` judges."""
    until(lambda: scene.province.leaves(begun, kind="connection.cut"), f"a cut: {reason}")
    cuts = scene.province.leaves(begun, kind="connection.cut")
    assert {leaf["reason"] for leaf in cuts} == {reason}
    assert len({leaf["connection"] for leaf in cuts}) == len(cuts)
    for leaf in cuts:
        told = leaf["organisation"], leaf["ingress"], leaf["tunnel"], leaf["strength"]
        assert told == (COUNTY, DEVICE, scene.county.key, "proven")
        print(f"{reason}: cut after {leaf['time_us'] / 1_000_000 - at:.2f} s")
    return dict(cuts[0])


def _goes_on(scene: Deployed, upload: Uploading) -> None:
    """The same upload, by itself, comes to its end: nothing lost, nothing twice."""
    uploaded_once(scene, upload)
    scene.works()


def test_65_a_handshake_that_is_too_old(alone: Deployed) -> None:
    """The policy's 180 seconds are made 15 for this front: WireGuard renews after 120 by itself."""
    policy = alone.province.host.home.policies / "tunnels.toml"
    whole = policy.read_text()
    policy.write_text(
        re.sub(r"^handshake_s = .*$", "handshake_s = 15.0", whole, flags=re.MULTILINE)
    )
    try:
        restart_front(alone)
        until(lambda: wireguard.handshake_age_s(alone.gateway, alone.county) > 16, "an old one")
        begun = alone.province.size()
        county = alone.member(COUNTY)
        assert "FRONT_AWAY" in alone.province.refused(alone.county.machine, county, "whoami")
        leaf = alone.one_each(begun, "ORIGIN_STALE")
        assert (leaf["ingress"], leaf["tunnel"]) == (DEVICE, alone.county.key)
        alone.county.down()
        alone.county.up()
        # A new handshake, young for fifteen seconds: long enough on any machine to come in once.
        alone.works()
    finally:
        policy.write_text(whole)
        restart_front(alone)
    alone.works()


def test_69_the_vpn_does_not_answer(ruled: Deployed) -> None:
    """Its socket is covered where the supervisor asks; packets pass as before, and prove nothing."""
    sock = f"/run/wireguard/{DEVICE}.sock"
    county = ruled.member(COUNTY)
    with undone(ruled, f"touch /run/x; mount --bind /run/x {sock}", f"umount {sock}", "gateway"):
        until(
            lambda: ruled.refusal(ruled.county.machine, county) == "ORIGIN_AWAY",
            "nobody to ask",
        )
        begun = ruled.province.size()
        assert "FRONT_AWAY" in ruled.province.refused(ruled.county.machine, county, "whoami")
        leaf = ruled.one_each(begun, "ORIGIN_AWAY")
        assert leaf["detail"] == {"alert": "origin-away"}
        assert "organisation" not in leaf
    ruled.works()


def test_69_the_device_ends_and_is_made_anew(ruled: Deployed) -> None:
    """The front ends with it, and binds the new one when that is there."""
    front = child(ruled, "front")
    ruled.gateway.sh("nft list table inet gateway > /run/saved.nft; nft delete table inet gateway")
    wireguard.end(ruled.gateway)
    until(lambda: child(ruled, "front") != front, "a front that noticed")
    assert knock(ruled.county.machine, GATEWAY, ruled.port) in NOT_IN
    # The device and the rule, by the document's own block; the peers stand in wg0.conf.
    ruled.gateway.sh(ruled.written(RULE, "At the gateway, at each start"))
    until(lambda: (child(ruled, "front") or ["", ""])[0] == "ready", "a front that serves again")
    # Each peer shakes hands anew, when it has something to say.
    for code in ADDRESSES:
        ruled.works(code)


def test_the_upload_through_the_tunnel_beside_bare_wireguard(
    alone: Deployed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Records and bytes a second, and what iperf3 gets through the same device in the same run."""
    files = sample(tmp_path, CHILDREN)
    bare = wireguard.speed(alone.gateway, alone.county, ["ip", "netns", "exec", "gateway"])
    with uploading(alone, files, batch=1000) as upload:
        took = uploaded_once(alone, upload)
    again = wireguard.speed(alone.gateway, alone.county, ["ip", "netns", "exec", "gateway"])
    most = max(bare, again)
    size = sum(path.stat().st_size for path in files)
    rate = size / took / 1e6
    with capsys.disabled():
        print(
            f"\nupload through the tunnel: {upload.records / took:,.0f} records/s, {rate:.2f} MB/s of files;"
            f" iperf3 through bare wireguard-go: {most:.1f} MB/s; ratio {rate / most:.4f}"
            f" ({os.cpu_count()} cores, client and gateway on one machine)"
        )
    assert upload.records / took > 0
    assert most > 0


def told_packets(scene: Deployed, since: int, counter: str) -> int:
    """Return how many packets of a counter the log tells of."""
    leaves = scene.province.leaves(since, kind="origin.outside")
    return sum(leaf["counts"]["packets"] for leaf in leaves if leaf["detail"]["counter"] == counter)


@contextmanager
def spoofed(scene: Deployed) -> Iterator[None]:
    """The county's tunnel is down; the stranger has its address, and the way there and back."""
    address, inside = f"{scene.county.address}/32", f"{GATEWAY}/32"
    scene.county.down()
    try:
        there = f"ip route add {inside} via {OUTSIDE}.1"
        back = f"ip route replace {address} via {OUTSIDE}.5"
        with (
            undone(
                scene, f"ip address add {address} dev eth0", f"ip address del {address} dev eth0"
            ),
            undone(scene, there, f"ip route del {inside}"),
            undone(scene, back, f"ip route del {address}", "gateway"),
        ):
            yield
    finally:
        scene.county.up()


def child(scene: Deployed, name: str) -> list[object] | None:
    """Return what the supervisor says of a process: state and pid."""
    known = (state.read(scene.province.host.home) or {}).get("children")
    one = known.get(name) if isinstance(known, dict) else None
    return None if one is None else [one["state"], one["pid"]]


def restart_front(scene: Deployed) -> None:
    """Have the supervisor start the front anew: it reads the policies at its start."""
    before = child(scene, "front")
    assert before is not None
    scene.gateway.run("kill", "-KILL", before[1])
    until(
        lambda: (
            child(scene, "front") not in (before, None)
            and (child(scene, "front") or [""])[0] == "ready"
        ),
        "a new front",
    )
