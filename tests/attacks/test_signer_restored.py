"""The signer, or the whole HOME, is put back from a backup of before its key was followed, while the province works."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway import signer
from gateway.audit.signing import SignerLink, SignerRefusedError
from gateway.client import profile as profiles
from gateway.client.checkpoints import Checkpoints, LogError
from gateway.client.profile import Remote
from gateway.config import log_keys
from gateway.identity.rotation import DAY_US
from gateway.signer.keys import KeysError
from gateway.supervise import rotation
from gateway.v1 import audit_service_pb2 as audit
from tests.world import RefusedError, World, fresh_ground

CHECKPOINT = "/gateway.v1.AuditService/GetCheckpoint"


class Case:
    """A province whose log's key was followed, a city that knows it, and a backup of before."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        key = world.home.log_key.read_text().strip()
        remote = Remote("127.0.0.1", "gateway.test", "gateway.test", "140105", "uploader", key)
        made = profiles.write(folder / "p", remote, key=b"k", certificate=b"c", root=b"r")
        self.city = Checkpoints(made)
        self.kept = [world.home.secrets("signer"), world.home.public]
        self.token = ""

    def copy(self, name: str, count: int = 2) -> None:
        for path in self.kept[:count]:
            shutil.copytree(path, self.folder / name / path.name)

    def put_back(self, name: str, count: int = 2) -> None:
        for path in self.kept[:count]:
            shutil.rmtree(path)
            shutil.copytree(self.folder / name / path.name, path)

    async def see(self) -> audit.GetCheckpointResponse:
        """Ask the door for the newest checkpoint and show it to the city; raises RefusedError or LogError."""
        reply = await self.world.call(self.world.auditor, CHECKPOINT, b"", token=self.token)
        answer = audit.GetCheckpointResponse.FromString(reply)
        self.city.follow(answer.log_keys)
        self.city.see(answer.checkpoint)
        return answer

    def recoveries(self) -> int:
        """How often the door told that it records again, and of what it had refused meanwhile."""
        kind, door = "log.recover", "administration"
        return sum((leaf["kind"], leaf["door"]) == (kind, door) for leaf in self.world.leaves())

    def kinds(self, kind: str) -> int:
        return sum(leaf["kind"] == kind for leaf in self.world.leaves())


@asynccontextmanager
async def followed(ground, folder: Path):
    async with World.open(ground, ("identity", "administration")) as world:
        case = Case(world, folder)
        case.token = await world.login(world.auditor)
        await case.see()
        case.copy("before")
        async with looking(world) as engine:
            await engine.look()
            await engine.change("signer-key")
            assert len((await case.see()).log_keys) == 1
            world.sql("UPDATE gateway.secret SET replaced_us = replaced_us - %s", 30 * DAY_US)
            assert [one.step for one in await engine.look()] == ["retire"]
        await case.see()
        case.copy("newest")
        await world.kill_signer()
        yield case


def looking(world: World):
    return rotation.engine(world.home, world.settings, "supervisor", world.clock)


def in_a_case(cluster, folder: Path, work: Callable[[Case], Awaitable[None]]) -> None:
    async def run(ground):
        async with followed(ground, folder) as case:
            await work(case)

    with fresh_ground(cluster) as ground:
        asyncio.run(run(ground))


def test_a_signer_put_back_with_the_old_key_signs_nothing(cluster, tmp_path, capfd, monkeypatch):
    """The public note tells that its key was followed; nothing is served until the newest copy is back."""

    async def work(case):
        case.put_back("before", 1)
        with pytest.raises(KeysError, match="has followed"):
            await case.world.start_signer()
        with monkeypatch.context() as patched:
            # As the signer's own process does then: it stays up and refuses.
            patched.setattr(signer.Memory, "load", lambda _home: None)
            await case.world.start_signer()
        told = case.recoveries()
        with pytest.raises(RefusedError) as raised:
            await case.see()
        assert raised.value.reason in ("AUDIT_DEGRADED", "SIGNER_AWAY")
        await case.world.kill_signer()
        case.put_back("newest", 1)
        await case.world.start_signer()
        await eventually_seen(case)
        assert case.recoveries() - told == 1
        assert case.kinds("secret.differs") == 0
        assert secrets_of(case) not in repr(case.world.leaves()) + "".join(capfd.readouterr())

    in_a_case(cluster, tmp_path, work)


def test_a_home_put_back_with_the_old_key_is_told_and_convinces_no_city(cluster, tmp_path, capfd):
    """There the signer cannot know better: its checkpoints go out, and no city that followed takes one."""

    async def work(case):
        case.put_back("before")
        await case.world.start_signer()
        with pytest.raises(LogError) as raised:
            await eventually_seen(case)
        assert raised.value.code == "KEY_ENDED"
        assert not log_keys.files(case.world.home.log_keys)
        async with looking(case.world) as engine:
            await engine.look()
            await engine.look()
        assert case.kinds("secret.differs") == 1
        await case.world.kill_signer()
        case.put_back("newest")
        await case.world.start_signer()
        await eventually_seen(case)
        assert secrets_of(case) not in repr(case.world.leaves()) + "".join(capfd.readouterr())

    in_a_case(cluster, tmp_path, work)


def test_a_signer_put_back_alone_goes_on_from_the_true_log(cluster, tmp_path, capfd):
    """Its own older state, the same key: what was logged since continues it, so it signs that, and nothing shorter or other.

    Were the database cut back to the same moment too, only what others kept would show it: attacks 10, 37 and 42.
    """

    async def run(ground):
        async with World.open(ground, ("identity", "administration")) as world:
            case = Case(world, tmp_path)
            case.token = await world.login(world.auditor)
            await case.see()
            case.copy("older", 1)
            for _ in range(3):
                newest = (await case.see()).checkpoint
            await world.kill_signer()
            case.put_back("older", 1)
            await world.start_signer()
            await eventually_seen(case)
            # The city's own checkpoint is of the newest log that was signed before, and all that comes continues it.
            assert int((await case.see()).checkpoint.split("\n")[1]) > int(newest.split("\n")[1])
            # A history that forks after that older state is refused by it, as by any other.
            await refuses_a_fork(world)
            await case.see()
            assert secrets_of(case) not in repr(world.leaves()) + "".join(capfd.readouterr())

    with fresh_ground(cluster) as ground:
        asyncio.run(run(ground))


async def refuses_a_fork(world: World) -> None:
    """Whoever holds the signer's socket asks for one more entry, under a root that is not its."""
    link = SignerLink(world.home.signer_socket)
    await link.start()
    try:
        _, newest = await link.newest()
        with pytest.raises(SignerRefusedError, match="inconsistent"):
            await link.sign(newest.size, newest.size + 1, bytes(32), bytes(32))
    finally:
        await link.close()


async def eventually_seen(case: Case) -> None:
    """Wait until the door has found the signer again."""
    async with asyncio.timeout(60):
        while True:
            try:
                await case.see()
            except RefusedError:
                await asyncio.sleep(0.02)
            else:
                return


def secrets_of(case: Case) -> str:
    # PRIVATE+KEY+name+id+key: base64 has plus signs too.
    return case.world.home.signing_keys.read_text().strip().split("+", 4)[4]
