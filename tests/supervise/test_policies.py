"""The files follow an activation; a HOME of before there were any adopts its own, once."""

import asyncio
import shutil

import pytest

from gateway.config.home import Home
from gateway.policy import activation, bundle, disk
from gateway.policy.activation import Change
from gateway.policy.bundle import BundleError
from gateway.supervise import policies
from gateway.supervise.keeper import StartError
from tests.coverage.rpcs import eventually
from tests.policies import CEDAR, SHIPPED, changed
from tests.policy.test_activation import RULES, US, Hand, in_a_world, signed_by
from tests.sealed import officer


class Place(Home):
    """A HOME of the world's keys and database, with policies of its own to exchange."""

    __slots__ = ("own",)

    @property
    def policies(self):
        """A test's own folder."""
        return self.own


def place(world, tmp_path) -> Home:
    shutil.copytree(CEDAR, tmp_path / "own" / "cedar")
    made = Place(world.home.root)
    object.__setattr__(made, "own", tmp_path / "own")
    return made


async def activated(world) -> None:
    hand = Hand(world)
    found = await hand(activation.propose, changed(), Change(), 0)
    for name, late in (("a-one", 0), ("b-two", 200 * US)):
        at_us = world.clock.now_us() + late
        mine = signed_by(await officer(world, name), 2, found.bundle.sha256, at_us)
        await hand(activation.sign, found.bundle.sha256, mine, RULES)


def test_the_files_follow_an_activation(cluster, tmp_path):
    async def work(world):
        home = place(world, tmp_path)
        assert not await policies.look(home, world.settings)
        assert await policies.settle(home, world.settings) == ""
        await activated(world)
        assert await policies.look(home, world.settings)
        assert bundle.files(disk.folder(home)) == changed()
        # Somebody puts the old ones back while nothing runs: they were in force once, and go again.
        shutil.rmtree(disk.folder(home))
        shutil.copytree(CEDAR, disk.folder(home))
        assert await policies.settle(home, world.settings) == ""
        assert bundle.files(disk.folder(home)) == changed()

    in_a_world(cluster, work)


def test_other_files_stop_the_start_and_are_left(cluster, tmp_path):
    async def work(world):
        home = place(world, tmp_path)
        path = disk.folder(home) / "01-floor.cedar"
        path.write_text(changed()["01-floor.cedar"])
        with pytest.raises(StartError, match="never was"):
            await policies.settle(home, world.settings)
        with pytest.raises(BundleError, match="never was"):
            await policies.look(home, world.settings)
        assert path.read_text() == changed()["01-floor.cedar"]
        path.write_text(SHIPPED["01-floor.cedar"])
        assert await policies.settle(home, world.settings) == ""

    in_a_world(cluster, work)


def test_a_home_of_before_adopts_its_own_once(cluster, tmp_path):
    async def work(world):
        home = place(world, tmp_path)
        world.sql("DELETE FROM gateway.policy_activation")
        path = disk.folder(home) / "01-floor.cedar"
        path.write_text(changed()["01-floor.cedar"])
        assert await policies.settle(home, world.settings) == bundle.of_files(changed()).sha256
        assert await policies.settle(home, world.settings) == ""
        path.write_text(path.read_text() + "\n")
        with pytest.raises(StartError):
            await policies.settle(home, world.settings)

    in_a_world(cluster, work)


def test_a_home_of_before_there_were_exports_is_told_what_is_missing_and_adopts_nothing(
    cluster, tmp_path
):
    """Nobody's signature would stand under a floor that the update brought and nobody took over."""

    async def work(world):
        home = place(world, tmp_path)
        world.sql("DELETE FROM gateway.policy_activation")
        for name in ("05-exports-floor.cedar", "exports.toml"):
            (disk.folder(home) / name).unlink()
        with pytest.raises(StartError) as raised:
            await policies.settle(home, world.settings)
        for part in ("exports.toml", "policy F20-four-eyes", str(CEDAR)):
            assert part in str(raised.value)
        assert world.sql("SELECT 1 FROM gateway.policy_activation") == []
        for name in ("05-exports-floor.cedar", "exports.toml"):
            shutil.copy(CEDAR / name, disk.folder(home))
        assert await policies.settle(home, world.settings) == bundle.of_files(SHIPPED).sha256

    in_a_world(cluster, work)


def test_what_is_in_force_and_lacks_the_rules_of_exports_is_told_and_served(
    cluster, tmp_path, capsys
):
    """Two officers must be able to sign what it lacks."""

    async def work(world):
        home = place(world, tmp_path)
        lacking = {name: text for name, text in SHIPPED.items() if name != "exports.toml"}
        world.sql("DELETE FROM gateway.policy_activation")
        await Hand(world, "owner")(activation.found, lacking, 0)
        (disk.folder(home) / "exports.toml").unlink()
        assert await policies.settle(home, world.settings) == ""
        said = capsys.readouterr()
        assert "exports.toml" in said.out + said.err
        assert "gateway policy propose" in said.out + said.err

    in_a_world(cluster, work)


def test_what_goes_wrong_is_tried_again(monkeypatch):
    looked = []

    async def look(home, settings):
        looked.append(home)
        raise BundleError("never was")

    async def scenario():
        monkeypatch.setattr(policies, "POLL_S", 0.001)
        monkeypatch.setattr(policies, "look", look)
        task = asyncio.create_task(policies.keep("home", "settings"))
        await eventually(lambda: len(looked) >= 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())
