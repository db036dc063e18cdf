"""Sealing keys follow one another while people upload: nothing stops, and every body opens."""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable

import pytest

from gateway.config import folders
from gateway.config.home import Home
from gateway.identity import secret_rows
from gateway.identity.lives import HOST, Kept
from gateway.identity.rotation import DAY_US, Secret
from gateway.store import seal_keys
from gateway.store.seal import Opener
from gateway.store.seal_keys import USES, SealError
from gateway.supervise import rotation
from gateway.supervise.rotation import Engine
from gateway.supervise.sealing_taker import SealingTaker
from gateway.supervise.taker import StepError
from gateway.v1.child_pb2 import Child, ChildRestricted
from gateway.v1.upload_service_pb2 import Item, UploadBatchesResponse
from tests.coverage.rpcs import a_batch
from tests.world import RefusedError, World, fresh_ground

MINUTE_S = 60
YEAR_US = 365 * DAY_US
ALLERGIES = "penicillin"


class CrashError(BaseException):
    """The power is gone."""


def in_a_world(cluster, work: Callable[[World, Engine], Awaitable[None]]) -> None:
    async def run(ground):
        async with World.open(ground, ("identity", "intake")) as world, looking(world) as engine:
            await engine.look()
            await work(world, engine)

    with fresh_ground(cluster) as ground:
        asyncio.run(run(ground))


def looking(world: World) -> contextlib.AbstractAsyncContextManager[Engine]:
    return rotation.engine(world.home, world.settings, "supervisor", world.clock)


def grow_old(world: World) -> None:
    """A year and a day: the hands of the clock would end people's certificates."""
    world.sql(
        "UPDATE gateway.secret SET made_us = made_us - %s WHERE kind = 'sealing-key'",
        YEAR_US + DAY_US,
    )


async def upload(world: World) -> str:
    """Upload a card with a restricted part; its request id."""
    token = await world.login(world.county)
    card = Child(restricted=ChildRestricted(allergies=ALLERGIES))
    batch = a_batch(world, world.county, Item(child=card))
    [reply] = await world.upload(world.county, token, batch.SerializeToString())
    assert UploadBatchesResponse.FromString(reply).receipt.items
    return batch.request_id


def opened(world: World, running: Opener, request_id: str) -> tuple[set[str], Item]:
    """Open the first item's body and restricted part; also the sealing keys that they took."""
    [(key, nonce, body, *apart)] = world.sql(
        "SELECT i.key_id, i.nonce, i.body, i.restricted_key_id, i.restricted_nonce, i.restricted_body"
        " FROM gateway.item AS i JOIN gateway.batch AS b USING (batch_id)"
        " WHERE b.request_id = %s AND item_index = 0",
        request_id,
    )
    row = uuid.UUID(request_id).bytes + (0).to_bytes(4)
    keys = world.sql(
        "SELECT key_id, recipient, wrapped FROM gateway.content_key WHERE key_id IN (%s, %s)",
        *(key, apart[0]),
    )
    found = {one[0]: running.unwrap(one[0], one[1], bytes(one[2])) for one in keys}
    item = Item.FromString(found[key].open("item", row, 0, bytes(nonce), bytes(body)))
    part = found[apart[0]].open("item.restricted", row, 0, bytes(apart[1]), bytes(apart[2]))
    item.child.restricted.MergeFromString(part)
    return {one[1] for one in keys}, item


def newest(world: World) -> set[str]:
    return {one.key_id for one in seal_keys.listed(world.home) if one.newest}


def rotated(world: World) -> list[tuple[str, int]]:
    return [
        (leaf["detail"]["step"], leaf["detail"]["generation"])
        for leaf in world.leaves()
        if leaf["kind"] == "secret.rotate"
    ]


def test_uploads_go_on_and_every_body_opens_before_during_and_after(cluster):
    """Neither intake nor who opens is started anew; the content keys in use finish their minute."""

    async def work(world, engine):
        running, old = Opener.load(world.home.secrets("disclosure")), newest(world)
        before = await upload(world)
        grow_old(world)
        assert [one.step for one in await engine.look()] == ["publish"]
        assert [one.step for one in await engine.look()] == ["publish"]
        assert await engine.look() == []
        new = newest(world)
        assert not new & old
        during = await upload(world)
        world.clock.turn(seconds=MINUTE_S)
        after = await upload(world)
        sealed_to = []
        for request_id in (before, during, after):
            keys, item = opened(world, running, request_id)
            assert item.child.restricted.allergies == ALLERGIES
            sealed_to.append(keys)
        assert sealed_to == [old, old, new]
        assert rotated(world) == [("publish", 2), ("publish", 2)]

    in_a_world(cluster, work)


def test_a_key_that_was_followed_stays_beside_its_successor_for_ever(cluster):
    async def work(world, engine):
        for generation in (2, 3):
            grow_old(world)
            await engine.look()
            await engine.look()
            assert await engine.look() == []
            found = world.sql(
                "SELECT name, generation, replaced_us IS NULL, ended_us IS NULL FROM gateway.secret"
                " WHERE kind = 'sealing-key' ORDER BY 1, 2"
            )
            assert found == [
                (name, one, one == generation, True)
                for name in USES
                for one in range(1, generation + 1)
            ]
        assert len(seal_keys.read_private(world.home.secrets("disclosure"))) == 6
        assert not [leaf for leaf in world.leaves() if leaf["kind"] == "secret.differs"]

    in_a_world(cluster, work)


# What reaches disk or database, in its order: the leaf with the open journal, the private key, the list, the closed journal.
@pytest.mark.parametrize("after", range(4))
def test_a_crash_at_any_point_stops_no_upload_and_is_finished(cluster, monkeypatch, after):
    async def work(world, engine):
        running, old = Opener.load(world.home.secrets("disclosure")), newest(world)
        grow_old(world)
        with monkeypatch.context() as patched:
            crash_after(patched, after)
            with pytest.raises(CrashError):
                await engine.look()
        world.clock.turn(seconds=MINUTE_S)
        broken = await upload(world)
        # Another process, as after a restart.
        async with looking(world) as again:
            while await again.look():
                pass
        world.clock.turn(seconds=MINUTE_S)
        mended = await upload(world)
        for request_id in (broken, mended):
            keys, item = opened(world, running, request_id)
            assert item.child.restricted.allergies == ALLERGIES
        assert keys == newest(world)
        assert not keys & old
        assert rotated(world) == [("publish", 2), ("publish", 2)]
        assert len(seal_keys.listed(world.home)) == 4
        assert len(seal_keys.read_private(world.home.secrets("disclosure"))) == 4
        assert world.sql("SELECT count(*) FROM gateway.secret_step WHERE done_us IS NULL") == [(0,)]
        assert not [leaf for leaf in world.leaves() if leaf["kind"] == "secret.differs"]

    in_a_world(cluster, work)


def crash_after(patched: pytest.MonkeyPatch, effects: int) -> None:
    """Let so many effects of the first step happen, then crash in place of the next."""
    left = [effects]

    def count() -> None:
        if left[0] == 0:
            raise CrashError
        left[0] -= 1

    def counted(real):
        def change(*arguments):
            count()
            return real(*arguments)

        return change

    for name in ("replace_private", "replace_public"):
        patched.setattr(seal_keys, name, counted(getattr(seal_keys, name)))
    begin, done = Engine._begin, secret_rows.done

    async def counted_begin(self: Engine, *arguments):
        count()
        await begin(self, *arguments)

    async def counted_done(*arguments):
        count()
        await done(*arguments)

    patched.setattr(Engine, "_begin", counted_begin)
    patched.setattr(secret_rows, "done", counted_done)


def test_after_a_leak_the_keys_change_at_once(cluster):
    async def work(world, engine):
        old = newest(world)
        assert [one.secret.name for one in await engine.change("sealing-key", "body")] == ["body"]
        assert len(newest(world) & old) == 1
        names = [one.secret.name for one in await engine.change("sealing-key")]
        assert sorted(names) == ["body", "restricted"]
        assert not newest(world) & old
        assert await engine.look() == []

    in_a_world(cluster, work)


def test_while_the_list_cannot_be_read_nothing_is_sealed_and_the_next_upload_is(cluster):
    """Also what a broken step leaves on the log: nothing was taken, ask again."""

    async def work(world, engine):
        await upload(world)
        world.clock.turn(seconds=MINUTE_S)
        token, good = await world.login(world.county), world.home.seal_keys.read_bytes()
        batch = a_batch(world, world.county).SerializeToString()
        world.home.seal_keys.write_text("{")
        before = world.size()
        with pytest.raises(RefusedError) as refused:
            await world.upload(world.county, token, batch)
        assert refused.value.code == "INTERNAL"
        assert [leaf["reason"] for leaf in world.leaves(before)] == ["INTERNAL"]
        with pytest.raises(SealError):
            await engine.look()
        world.home.seal_keys.write_bytes(good)
        [reply] = await world.upload(world.county, token, batch)
        assert UploadBatchesResponse.FromString(reply).receipt.items
        assert await engine.look() == []

    in_a_world(cluster, work)


def test_a_list_that_somebody_exchanged_is_told(cluster, tmp_path):
    """Whoever may write HOME/public could have bodies sealed to a key of his own."""

    async def work(world, engine):
        foreign = Home(tmp_path)
        for folder in (foreign.public, *map(foreign.secrets, ("intake", "disclosure"))):
            folder.mkdir(parents=True)
        seal_keys.make_keys(foreign)
        good = world.home.seal_keys.read_bytes()
        folders.replace_public(world.home.seal_keys, foreign.seal_keys.read_bytes())
        assert await engine.look() == []
        [told] = [leaf for leaf in world.leaves() if leaf["kind"] == "secret.differs"]
        assert told["counts"] == {"unknown": 2, "missing": 2}
        folders.replace_public(world.home.seal_keys, good)
        await engine.look()
        assert len([leaf for leaf in world.leaves() if leaf["kind"] == "secret.differs"]) == 2

    in_a_world(cluster, work)


def test_leaves_and_logs_hold_no_key(cluster, capfd):
    async def work(world, engine):
        await engine.change("sealing-key")
        told = repr(world.leaves()) + "".join(capfd.readouterr())
        for path in world.home.secrets("disclosure").glob("seal-*.key"):
            raw = path.read_bytes()
            assert raw[:32].hex() not in told
            assert repr(raw[:16])[2:-1] not in told

    in_a_world(cluster, work)


def test_which_key_a_step_is_begun_of(tmp_path):
    taker = SealingTaker(Home(tmp_path))
    kept = Kept(Secret("sealing-key", "body", HOST, 4, "old"), 1)
    assert taker.begins(kept, "publish", 5) == Secret("sealing-key", "body", HOST, 5, "old")
    assert taker.begins(kept, "none", 5) is None


def test_a_step_that_cannot_be_taken_is_counted(tmp_path):
    taker = SealingTaker(Home(tmp_path))
    step = secret_rows.OpenStep(1, Secret("sealing-key", "body", HOST, 2, "old"), "publish", 0)
    with pytest.raises(StepError, match="not a list"):
        asyncio.run(taker.take(step))
