import asyncio
import base64
import hashlib
import os
import shutil
import signal
import subprocess
import sys

import pytest

from gateway.audit.event import Event
from gateway.config import policies
from gateway.config.readiness import READY_VARIABLE
from gateway.errors import Reason, refuse
from gateway.policy import disk
from gateway.policy.bundle import BundleError
from gateway.services import server
from gateway.services.access import MissingAccessError
from gateway.services.server import open_door
from tests.coverage.rpcs import eventually
from tests.world import COUNTY, World, fresh_ground


def in_a_world(cluster, work, doors=()):
    async def run(ground):
        async with World.open(ground, doors) as world:
            await work(world)

    with fresh_ground(cluster) as ground:
        asyncio.run(run(ground))


def test_a_door_tells_its_policies_before_it_serves(cluster):
    async def work(world):
        running = await open_door(world.home, "intake", world.clock)
        [leaf] = world.leaves()
        assert leaf["kind"] == "policies.load"
        assert leaf["detail"]["policies_sha256"] == policies.digest(world.home.policies)
        # And by which of the dated password profiles it judges now.
        profile = (world.home.policies / "passwords" / "mlps3-2019-12-01.toml").read_bytes()
        assert leaf["detail"]["digest"] == hashlib.sha256(profile).hexdigest()
        assert leaf["detail"]["valid_from_us"] == 1_575_129_600_000_000
        assert len(leaf["bundle"]) == 64
        assert world.home.door_socket("intake").stat().st_mode & 0o777 == 0o660
        await running.stop()

    in_a_world(cluster, work)


def test_a_door_does_not_serve_before_its_leaf_is_signed(cluster):
    async def work(world):
        await world.kill_signer()
        opening = asyncio.create_task(open_door(world.home, "intake", world.clock))
        await asyncio.sleep(0.4)
        assert not world.home.door_socket("intake").exists()
        await world.start_signer()
        running = await asyncio.wait_for(opening, 10)
        assert world.home.door_socket("intake").exists()
        await running.stop()

    in_a_world(cluster, work)


def test_a_door_that_finds_other_policies_on_the_disk_does_not_start(
    cluster, monkeypatch, tmp_path
):
    """Nobody's files count but those in force; who changed them alone is told so."""

    async def work(world):
        shutil.copytree(disk.folder(world.home), tmp_path / "cedar")
        floor = tmp_path / "cedar" / "01-floor.cedar"
        good = floor.read_text()
        floor.write_text(good.replace('"admin"', '"ghost"'))
        monkeypatch.setattr(disk, "folder", lambda _: tmp_path / "cedar")
        with pytest.raises(BundleError, match=r"never was.*policy propose.*从未生效"):
            await open_door(world.home, "intake", world.clock)
        assert not world.home.door_socket("intake").exists()
        assert world.leaves() == []
        floor.write_text(good)
        running = await open_door(world.home, "intake", world.clock)
        await running.stop()

    in_a_world(cluster, work)


def test_an_rpc_without_access_stops_the_start(cluster, monkeypatch):
    async def work(world):
        def missing(_services):
            raise MissingAccessError("/x has no access option")

        monkeypatch.setattr("gateway.services.contract.access.read", missing)
        with pytest.raises(MissingAccessError):
            await open_door(world.home, "intake", world.clock)
        assert not world.home.door_socket("intake").exists()

    in_a_world(cluster, work)


def test_chores_are_done_and_their_failure_ends_nothing(monkeypatch):
    done = []

    async def fails(event):
        done.append("fails")
        raise refuse(Reason.SIGNER_AWAY)

    async def works(event):
        done.append(event.door)

    async def scenario():
        monkeypatch.setattr(server, "CHORES_EVERY_S", 0.001)
        task = asyncio.create_task(server._do_chores([fails, works], Event(door="intake")))
        await eventually(lambda: done.count("intake") >= 2)
        task.cancel()

    asyncio.run(asyncio.wait_for(scenario(), 5))
    assert done[:4] == ["fails", "intake"] * 2


def test_the_process_starts_serves_and_stops(cluster):
    """As the supervisor starts it: ready on its pipe, and at SIGTERM it ends with 0."""

    async def work(world):
        reading, writing = os.pipe()
        code = (
            "import sys; from pathlib import Path; from gateway.config.home import Home;"
            "from gateway.services import server;"
            "server.main(Home(Path(sys.argv[1])), 'identity')"
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code, str(world.home.root)),
            pass_fds=(writing,),
            env={**os.environ, READY_VARIABLE: str(writing)},
            stdout=subprocess.DEVNULL,
        )
        os.close(writing)
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, os.read, reading, 1) == b"1"
        os.close(reading)
        await world.login(world.county)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 15) == 0

    in_a_world(cluster, work)


def test_administration_tells_of_a_tunnel_that_nobody_uses_once(cluster, monkeypatch):
    """The duty is among the door's own, and done by its own role."""
    monkeypatch.setattr(server, "CHORES_EVERY_S", 0.01)

    async def work(world):
        peer = base64.b64encode(b"k" * 32).decode()
        world.sql(
            "INSERT INTO gateway.tunnel (kind, peer, organisation, addresses, created_us, changed_us)"
            " VALUES ('wireguard', %s, %s, '{10.14.1.5/32}', 1, 1)",
            *(peer, COUNTY),
        )

        def told():
            return [leaf for leaf in world.leaves() if leaf["kind"] == "tunnel.unused"]

        running = await open_door(world.home, "administration", world.clock)
        try:
            await eventually(told)
            # Another that is missed comes after it: so often was looked, and the first not told again.
            other = base64.b64encode(b"o" * 32).decode()
            world.sql(
                "INSERT INTO gateway.tunnel (kind, peer, organisation, addresses, created_us, changed_us)"
                " VALUES ('wireguard', %s, %s, '{10.14.1.6/32}', 1, 1)",
                *(other, COUNTY),
            )
            await eventually(lambda: len(told()) >= 2)
            assert [leaf["tunnel"] for leaf in told()] == [peer, other]
            assert {leaf["door"] for leaf in told()} == {"administration"}
        finally:
            await running.stop()

    in_a_world(cluster, work)
