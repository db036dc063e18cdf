"""A served gateway with the demo's province, and generated records to send to it; shared by the benchmarks."""

import asyncio
import contextlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from gateway.client.client import Client
from gateway.client.upload import Upload
from gateway.client.verify import Evidence, Sent
from gateway.config.home import Door
from gateway.demo import province as provinces
from gateway.demo.host import Host
from gateway.demo.insiders import VERIFIED, export_and_verify
from gateway.demo.province import NOBODY_OCTET, Member, Province
from gateway.errors import Refusal
from gateway.store.database import Database
from gateway.store.roles import conninfo
from gateway.v1 import upload_service_pb2 as v1
from tests.bench.tls_client import Line


@contextlib.contextmanager
def served(passwords: Mapping[str, int] | None = None, **limits: float) -> Iterator[Province]:
    """Serve a fresh gateway with its members, some numbers of two of its policies changed; at the end its log must verify."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-", dir="/tmp"))
    folder.chmod(0o711)
    host = Host.at(folder / "home")
    try:
        host.init(provinces.owners(), [NOBODY_OCTET])
        _raise(host.home.policies / "limits.toml", limits)
        _raise(host.home.policies / "passwords.toml", passwords or {})
        host.start()
        province = asyncio.run(provinces.found(host))
        yield province
        verdict = export_and_verify(province, folder / "log")
        if verdict != VERIFIED:
            raise AssertionError(f"the log does not verify: {verdict}")
    finally:
        host.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _raise(path: Path, limits: Mapping[str, float]) -> None:
    text = path.read_text()
    for name, value in limits.items():
        text, found = re.subn(rf"^{name} = .*$", f"{name} = {value}", text, flags=re.MULTILINE)
        assert found == 1, name
    path.write_text(text)


def line_of(province: Province, code: str, door: Door = "intake") -> Line:
    """Return how a TLS client of an organisation's system, with a certificate of its own, reaches a door."""
    host = province.host
    folder = provinces.certificate(host, code, "uploader", "--system")
    return Line(
        address=province.members[code].profile.remote.host,
        port=host.ports.of(door),
        name=host.settings.trust_domain,
        root=str(host.home.root_certificate),
        key=str(folder / "key.pem"),
        certificate=str(folder / "certificate.pem"),
    )


class Stopwatch:
    """A journal that keeps when each batch was asked for and answered, and how many items it had."""

    def __init__(self) -> None:
        self.asked: dict[str, float] = {}
        self.latencies_ms: list[float] = []
        self.items = 0
        self.taken = 0

    def watch(self, batches: Iterable[Sent]) -> Iterator[Sent]:
        """Yield the batches and note when each is taken to be sent."""
        for sent in batches:
            self.asked[sent.request_id] = time.perf_counter()
            yield sent

    def answered(self, sent: Sent, receipt: v1.BatchReceipt, _evidence: Evidence, /) -> None:
        """Note an answer."""
        self.latencies_ms.append((time.perf_counter() - self.asked[sent.request_id]) * 1000)
        self.items += sent.item_count
        self.taken += sum(item.state != v1.ITEM_STATE_REJECTED for item in receipt.items)

    def refused(self, sent: Sent, refusal: Refusal) -> None:
        """A benchmark has nothing to refuse."""
        raise AssertionError(f"{sent.request_id}: {refusal.reason}")


async def upload(
    client: Client, batches: Iterable[Sent], window: int, watch: Stopwatch | None = None
) -> Stopwatch:
    """Upload batches over one stream; every receipt is verified."""
    watch = watch or Stopwatch()
    await Upload(client, watch.watch(batches), watch, window=window).run()
    return watch


def client_of(member: Member) -> Client:
    """Return a client with a connection of its own."""
    return Client(member.profile, password=lambda: member.password, own_connection=True)


async def stored_items(province: Province) -> int:
    """Return how many items the store holds."""
    return int((await as_owner(province, "SELECT count(*) FROM gateway.item"))[0][0])


async def as_owner(province: Province, sql: str) -> list[tuple]:
    """Run one query as the schema's owner."""
    host = province.host
    where = conninfo(host.home, host.settings, "owner")
    database = await Database.open(where, application="bench", size=1)
    try:
        async with database.transaction() as tx:
            return await tx.fetch(sql)
    finally:
        await database.close()
