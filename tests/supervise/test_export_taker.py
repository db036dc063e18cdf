"""The keys that sign manifests follow one another while exports are built and fetched: every file is proven by its own."""

import asyncio
import contextlib
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.client.manifest import Expected, Opened
from gateway.client.tagged import decrypt
from gateway.config.home import Home
from gateway.exports import build as building
from gateway.identity import secret_rows
from gateway.identity.lives import HOST, Kept
from gateway.identity.rotation import DAY_US, Secret
from gateway.store import export_keys, ticket_key
from gateway.supervise import rotation
from gateway.supervise.export_taker import ExportTaker
from gateway.supervise.rotation import Engine
from gateway.supervise.taker import StepError
from tests.exports.cast import Cast
from tests.exports.fetching import Fetched, download, sealed, uploaded
from tests.world import World, fresh_ground

YEAR_US = 365 * DAY_US


class CrashError(BaseException):
    """The power is gone."""


def in_a_world(cluster, work: Callable[[Cast, Engine], Awaitable[None]]) -> None:
    async def run(ground):
        async with World.open(ground) as world, looking(world) as engine:
            await engine.look()
            cast = await Cast.open(world)
            await uploaded(cast)
            await work(cast, engine)

    with fresh_ground(cluster) as ground:
        asyncio.run(run(ground))


def looking(world: World) -> contextlib.AbstractAsyncContextManager[Engine]:
    return rotation.engine(world.home, world.settings, "supervisor", world.clock)


def grow_old(world: World) -> None:
    """A year and a day: the hands of the clock would end people's certificates."""
    world.sql(
        "UPDATE gateway.secret SET made_us = made_us - %s WHERE kind = 'export-key'",
        YEAR_US + DAY_US,
    )


def proven_by(cast: Cast, ticket: Any, fetched: Fetched) -> str:
    """Open a file with the keys that its own download told, and return the one that signed it."""
    assert fetched.refused is None
    assert fetched.head is not None
    told = {one.key_id: one.spki for one in fetched.head.keys}
    certificate = cast.encryption["wang"]
    expected = Expected(
        ticket.ticket_id,
        fetched.head.plan_sha256,
        fetched.head.encryption_certificate_sha256,
        told,
    )
    made = Opened(expected)
    [(header,)] = cast.world.sql(
        "SELECT header FROM gateway.export_header WHERE ticket_id = %s", ticket.ticket_id
    )
    plain = decrypt(bytes(header), io.BytesIO(fetched.payload), certificate.key)
    assert b"".join(made.rows(plain)).count(b"\r\n") > 1
    return str(made.manifest["key_id"])


def steps(world: World) -> list[tuple[str, int]]:
    details = [leaf["detail"] for leaf in world.leaves() if leaf["kind"] == "secret.rotate"]
    return [(one["step"], one["generation"]) for one in details if one["secret"] == "export-key"]


def test_exports_of_before_and_after_are_proven_and_no_door_is_started_anew(cluster):
    async def work(cast, engine):
        world = cast.world
        old = export_keys.load(world.home).key_id
        before = await sealed(cast)
        grow_old(world)
        assert [one.step for one in await engine.look()] == ["publish"]
        assert await engine.look() == []
        new = export_keys.load(world.home).key_id
        after = await sealed(cast)
        found = [proven_by(cast, one, await download(cast, one)) for one in (before, after)]
        assert found == [old, new]
        assert steps(world) == [("publish", 2)]

    in_a_world(cluster, work)


def test_a_build_that_spans_the_change_is_signed_by_one_key(cluster, monkeypatch):
    async def work(cast, engine):
        old, real = export_keys.load(cast.world.home).key_id, building._Export.written

        async def changed_meanwhile(self, *arguments):
            await engine.change("export-key")
            return await real(self, *arguments)

        with monkeypatch.context() as patched:
            patched.setattr(building._Export, "written", changed_meanwhile)
            ticket = await sealed(cast)
        assert export_keys.load(cast.world.home).key_id != old
        assert proven_by(cast, ticket, await download(cast, ticket)) == old

    in_a_world(cluster, work)


# What lasts, in its order: leaf and open journal, private key, list, the old private key gone, journal closed.
@pytest.mark.parametrize("after", range(5))
def test_a_crash_at_any_point_stops_no_export_and_is_finished(cluster, monkeypatch, after):
    async def work(cast, engine):
        world = cast.world
        old = export_keys.load(world.home).key_id
        before = await sealed(cast)
        grow_old(world)
        with monkeypatch.context() as patched:
            crash_after(patched, after)
            with pytest.raises(CrashError):
                await engine.look()
        broken = await sealed(cast)
        assert proven_by(cast, broken, await download(cast, broken))
        # Another process, as after a restart.
        async with looking(world) as again:
            while await again.look():
                pass
        new = export_keys.load(world.home).key_id
        mended = await sealed(cast)
        found = [proven_by(cast, one, await download(cast, one)) for one in (before, mended)]
        assert found == [old, new]
        assert steps(world) == [("publish", 2)]
        assert list(export_keys.published(world.home.export_keys)) == [old, new]
        private = {path.name for path in world.home.secrets("disclosure").glob("export*.key")}
        assert private == {f"export-{new}.key", export_keys.TOKENS_FILE, ticket_key.TICKETS_FILE}
        rows = "SELECT generation, key_id, replaced_us IS NULL FROM gateway.secret"
        assert world.sql(f"{rows} WHERE kind = 'export-key' ORDER BY 1") == [
            (1, old, False),
            (2, new, True),
        ]
        assert world.sql("SELECT count(*) FROM gateway.secret_step WHERE done_us IS NULL") == [(0,)]
        assert not [leaf for leaf in world.leaves() if leaf["kind"] == "secret.differs"]

    in_a_world(cluster, work)


def crash_after(patched: pytest.MonkeyPatch, effects: int) -> None:
    """Let so many effects of the step happen, then crash in place of the next."""
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
        patched.setattr(export_keys, name, counted(getattr(export_keys, name)))
    unlink, begin, done = Path.unlink, Engine._begin, secret_rows.done

    def counted_unlink(path: Path, *, missing_ok: bool = False) -> None:
        if path.name.startswith("export") and path.suffix == ".key":
            count()
        unlink(path, missing_ok=missing_ok)

    async def counted_begin(self: Engine, *arguments):
        count()
        await begin(self, *arguments)

    async def counted_done(*arguments):
        count()
        await done(*arguments)

    patched.setattr(Path, "unlink", counted_unlink)
    patched.setattr(Engine, "_begin", counted_begin)
    patched.setattr(secret_rows, "done", counted_done)


def test_while_the_list_cannot_be_read_nothing_is_built_or_sent_and_then_it_is(cluster):
    """The one that waits is not ended by it, and the refused download is on the log, once."""

    async def work(cast, engine):
        world = cast.world
        ready = await sealed(cast)
        good = world.home.export_keys.read_bytes()
        world.home.export_keys.write_text("{")
        before = world.size()
        refused = await download(cast, ready)
        assert refused.refused is not None
        assert refused.refused.code == "INTERNAL"
        reasons = [leaf["reason"] for leaf in world.leaves(before) if leaf.get("reason")]
        assert reasons == ["INTERNAL"]
        with pytest.raises(AssertionError):
            await sealed(cast)
        world.home.export_keys.write_bytes(good)
        later = await sealed(cast)
        for one in (ready, later):
            assert proven_by(cast, one, await download(cast, one))
        states = world.sql("SELECT DISTINCT state FROM gateway.ticket ORDER BY 1")
        assert ("failed",) not in states
        assert ("building",) not in states

    in_a_world(cluster, work)


def test_leaves_and_logs_hold_no_key(cluster, capfd):
    async def work(cast, engine):
        await engine.change("export-key")
        told = repr(cast.world.leaves()) + "".join(capfd.readouterr())
        keys = export_keys.load(cast.world.home)
        secret = keys.signing.private_numbers().private_value
        assert f"{secret:x}" not in told
        assert "PRIVATE" not in told
        assert keys.tokens.hex() not in told

    in_a_world(cluster, work)


def test_which_key_a_step_is_begun_of(tmp_path):
    taker = ExportTaker(Home(tmp_path))
    kept = Kept(Secret("export-key", "manifests", HOST, 4, "old"), 1)
    following = Secret("export-key", "manifests", HOST, 5, "old")
    assert taker.begins(kept, "publish", 5) == following
    assert taker.begins(kept, "none", 5) is None


def test_a_step_that_cannot_be_taken_is_counted(tmp_path):
    taker = ExportTaker(Home(tmp_path))
    step = secret_rows.OpenStep(1, Secret("export-key", "manifests", HOST, 2, "old"), "publish", 0)
    with pytest.raises(StepError, match="not a list"):
        asyncio.run(taker.take(step))
