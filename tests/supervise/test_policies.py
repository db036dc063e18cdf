"""The files follow an activation; a HOME of before there were any adopts its own, once."""

import asyncio
import shutil

import pytest

from gateway.config.home import Home
from gateway.pki import ceremony, issue, retired
from gateway.policy import activation, bundle, disk, proposing
from gateway.policy.bundle import BundleError
from gateway.policy.proposing import Change
from gateway.policy.trust import Mark
from gateway.supervise import policies
from gateway.supervise.keeper import StartError
from tests.coverage.rpcs import eventually
from tests.policies import CEDAR, RULES, SHIPPED, changed, propose, sign
from tests.policy.test_activation import US, Hand, enter, in_a_world, signed_by, trust
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
    found = await hand(propose, changed(), Change(), 0)
    for name, late in (("a-one", 0), ("b-two", 200 * US)):
        at_us = world.clock.now_us() + late
        mine = signed_by(await officer(world, name), 2, found.bundle.sha256, at_us)
        await hand(sign, found.bundle.sha256, mine, RULES)


def test_the_files_follow_an_activation(cluster, tmp_path):
    async def work(world):
        home = place(world, tmp_path)
        assert not await policies.look(home, world.settings)
        assert await policies.settle(home, world.settings) == ""
        await activated(world)
        assert await policies.look(home, world.settings)
        assert bundle.files(disk.folder(home)) == changed()
        current = await Hand(world)(activation.active)
        assert trust(world).mark() == current.mark
        assert current.leaf == world.size() - 1
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


def test_what_two_officers_signed_before_leaves_told_it_is_kept_at_the_first_start(
    cluster, tmp_path
):
    async def work(world):
        home, hand, at_us = place(world, tmp_path), Hand(world), world.clock.now_us()
        found = await hand(proposing.propose, changed(), Change(), at_us)
        people = [await officer(world, name) for name in ("a-one", "b-two")]
        signed = [signed_by(one, 2, found.bundle.sha256, at_us + 1) for one in people]
        await hand(enter, found.bundle, signed)
        assert await policies.settle(home, world.settings) == ""
        assert trust(world).mark() == Mark(2, found.bundle.sha256, None)
        assert (await hand(activation.active)).number == 2
        # Without the mark it is one that nobody told of; and no second HOME of before is made of it.
        trust(world).reached.unlink()
        trust(world).keep(Mark(1, bundle.of_files(SHIPPED).sha256, None))
        with pytest.raises(StartError, match="as the log tells it"):
            await policies.settle(home, world.settings)

    in_a_world(cluster, work)


def test_without_the_file_what_the_log_tells_is_asked_and_no_row_alone_counts(cluster, tmp_path):
    """Root removed it, or who has the rows hoped so: leaves first; without them only what nobody told of."""

    async def work(world):
        home, hand = place(world, tmp_path), Hand(world)
        assert await policies.settle(home, world.settings) == ""
        await activated(world)
        current = await hand(activation.active)
        trust(world).reached.unlink()
        assert await policies.settle(home, world.settings) == ""
        assert trust(world).mark() == current.mark
        trust(world).reached.unlink()
        # The log tells of a proposal and of no signature: rows alone are no activation.
        at_us = world.clock.now_us() + 1000 * US
        found = await hand(propose, SHIPPED, Change(), at_us)
        signed = [
            signed_by(await officer(world, name), 3, found.bundle.sha256, at_us + 1)
            for name in ("a-one", "b-two")
        ]
        await hand(enter, found.bundle, signed, 3)
        with pytest.raises(StartError, match="as the log tells it"):
            await policies.settle(home, world.settings)
        assert trust(world).mark() is None
        world.sql("DELETE FROM gateway.policy_activation WHERE number = 3")
        assert await policies.settle(home, world.settings) == ""
        assert trust(world).mark() == current.mark

    in_a_world(cluster, work)


def test_authorities_retired_before_leaves_counted_are_dated_and_another_province_is_told(
    cluster, tmp_path, capsys
):
    async def work(world):
        home, now_us = place(world, tmp_path), world.clock.now_us()
        gone = issue.make_root("gone", now_us).certificate
        home.former_authorities.write_bytes(ceremony.pem(gone))
        world.sql("UPDATE gateway.organisation SET kind = 1 WHERE code = '140100'")
        assert await policies.settle(home, world.settings) == ""
        assert [one.leaf for one in retired.read(home.former_authorities)] == [world.size()]
        said = "".join(capsys.readouterr())
        for word in ("authorities.dated", "register.province", "140100"):
            assert word in said

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
