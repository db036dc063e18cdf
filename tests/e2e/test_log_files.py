"""The log read from afar, over TLS, by programs that know nothing of ours: curl; and by our mirror, which the verifier then judges."""

import asyncio
import hashlib
import shutil
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.audit import parts
from gateway.audit.event import Event
from gateway.audit.verify import verify_folder
from gateway.cli import audit_mirror, host
from gateway.client.client import Client
from gateway.client.secret import Secret
from gateway.client.witness import Witness
from gateway.config.settings import DEFAULT_TRUST_DOMAIN
from gateway.store.database import Transaction
from gateway.tlog import policy
from gateway.tlog.keys import LogKeys
from gateway.tlog.side_parts import SHRED_KIND
from gateway.v1 import audit_service_pb2 as audit
from tests.coverage.rpcs import new_id
from tests.parted import a_part
from tests.vouching import profile
from tests.world import COUNTY, OTHER_COUNTY, PASSWORD, World, fresh_ground


class Bar:
    """Where the progress of a copy goes."""

    told: tuple[int, int] = (0, 0)

    def update(self, done: int, total: int) -> None:
        self.told = (done, total)


async def mirrored(client: Any, key: str, folder: Path) -> Any:
    bar = Bar()
    done = await audit_mirror._mirror(client, key, folder, cast("Any", bar))
    assert bar.told == (done.size, done.size)
    return done


class Shredding:
    """The auditor's client; when it asks for a part the owner destroys that part first."""

    def __init__(self, client: Client, world: World, index: int, digest: bytes) -> None:
        self._client, self._world = client, world
        self._index, self._digest = index, digest
        self.done = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def call(self, method: Any, request: Any) -> Any:
        if getattr(request, "path", "") == f"sealed/{self._digest.hex()}":
            assert not self.done
            await asyncio.to_thread(shredded, self._world, self._index, self._digest)
            self.done = True
        return await self._client.call(method, request)


def shredded(world: World, index: int, digest: bytes) -> None:
    detail = {"part_index": index, "part_sha256": digest.hex()}

    event = Event(kind=SHRED_KIND, door="host", detail=detail)

    async def effect(tx: Transaction) -> Event:
        assert await parts.shred(tx, digest)
        return event

    host.act(world.home, event, effect, "owner")


def test_an_auditor_keeps_a_copy_with_what_witnesses_said(cluster: Any, tmp_path: Path) -> None:
    async def scenario() -> None:
        with fresh_ground(cluster) as ground:
            async with World.open(ground) as world:
                await world.open_front()
                persons = [world.county, world.other_county, world.province_admin, world.auditor]
                places = [
                    profile(world, one, tmp_path / one.organisation / one.account)
                    for one in persons
                ]
                clients = [
                    Client(one, clock=world.clock, password=lambda: Secret(PASSWORD))
                    for one in places
                ]
                county, other, admin, auditor = clients
                owns = [Witness.create(one) for one in places[:2]]
                async with county, other, admin, auditor:
                    for code, one, own in zip(
                        (COUNTY, OTHER_COUNTY), (county, other), owns, strict=True
                    ):
                        for vkey in own.keys:
                            request = audit.RegisterWitnessRequest(
                                request_id=new_id(), organisation_code=code, vkey=str(vkey)
                            )
                            await admin.call(admin.audit.RegisterWitness, request)
                        await one.cosign(own)
                    key, folder = places[3].remote.log_key, tmp_path / "log"
                    # Two acts with typed reasons; one is destroyed while the log is copied.
                    (_, kept), (index, ended) = a_part(world), a_part(world)
                    shredding = Shredding(auditor, world, index, ended)
                    first = await mirrored(shredding, key, folder)
                    assert shredding.done
                    assert (first.parts, first.missing) == (1, 0)
                    assert [one.name for one in (folder / "sealed").iterdir()] == [kept.hex()]
                    again = await mirrored(auditor, key, folder)
                keys = LogKeys.of(auditor.checkpoints.keys.verifiers[0])
                rules = policy.parse((folder / "witness-policy").read_text())
                report = verify_folder(folder, keys, policy=rules)
                assert report.failures == ()
                beside = report.judging.beside
                assert (len(beside.whole), list(beside.shredded)) == (1, [index])
                assert report.witnessed(quorum=True) is not None
                assert again.before == first.size < again.size == report.checkpoint.size

    asyncio.run(scenario())


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_reads_the_log(cluster: Any, tmp_path: Path) -> None:
    async def scenario() -> None:
        with fresh_ground(cluster) as ground:
            async with World.open(ground) as world:
                await world.open_front()
                person = world.auditor
                where = profile(world, person, tmp_path / "auditor")
                async with Client(
                    where, clock=world.clock, password=lambda: Secret(PASSWORD)
                ) as one:
                    token = (await one.session.token()).secret
                header = tmp_path / "header"
                header.write_text(f"Authorization: Bearer {token.value}\n")
                address = world.address_of(person.organisation)
                port = world.settings.ports.administration

                async def curl(path: str, *more: str) -> tuple[int | None, bytes]:
                    process = await asyncio.create_subprocess_exec(
                        *(
                            "curl",
                            "-sS",
                            "--noproxy",
                            "*",
                            "-o",
                            "-",
                            "-w",
                            "\n%{http_code}",
                            *more,
                        ),
                        *("--cacert", str(where.root), "-H", f"@{header}"),
                        *("--cert", str(where.certificate), "--key", str(where.key)),
                        *("--resolve", f"{DEFAULT_TRUST_DOMAIN}:{port}:{address}"),
                        f"https://{DEFAULT_TRUST_DOMAIN}:{port}/{path}",
                        stdout=asyncio.subprocess.PIPE,
                    )
                    said, _ = await process.communicate()
                    content, _, status = said.rpartition(b"\n")
                    return int(status), content

                status, note = await curl("checkpoint", "--http1.1")
                assert status == 200
                size = one.checkpoints.keys.open(note.decode()).size
                # Left to itself it offers both protocols, and is answered in HTTP/1.1.
                status, bundle = await curl(f"tile/entries/000.p/{min(size, 255)}")
                assert status == 200
                assert bundle.count(b'"kind":"identity.login"') >= 1
                # A side part as the export's folder has it: the file is what its name says.
                _, digest = a_part(world)
                status, sealed = await curl(f"sealed/{digest.hex()}")
                assert (status, hashlib.sha256(sealed).digest()) == (200, digest)
                status, line = await curl(f"sealed/{'0' * 64}")
                assert (status, line.split()[0]) == (404, b"NOT_FOUND")
                status, line = await curl("tile/entries/x001/000")
                assert (status, line.split()[0]) == (404, b"NOT_FOUND")

    asyncio.run(scenario())
