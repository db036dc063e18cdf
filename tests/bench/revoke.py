"""`revoke.cut`: how long a revoked certificate's connections live, with 500 open and uploads running on three of them.

By AdminService, over the network, as an officer does it: once a certificate, once a whole organisation. The clock starts
at the moment that the register's row says, which lies before its commit, and stops when the client saw its socket end.
Each round: everything that bears the certificate is cut, its upload told why, and nothing else is cut or refused.
"""

import asyncio
import contextlib
import secrets
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from gateway.client import profile as profiles
from gateway.client.batches import Envelope
from gateway.client.client import Client
from gateway.client.verify import Sent
from gateway.demo import uploading
from gateway.demo.province import CITIES, COUNTIES, Member, Province
from gateway.errors import Reason, Refusal
from gateway.pki.verify import serial_text
from gateway.sample.units import centre_code
from gateway.v1 import admin_service_pb2 as v1
from gateway.v1 import upload_service_pb2 as up
from tests.audit.stage import until
from tests.bench.figures import Figure, figure
from tests.bench.handshake import LIMITS
from tests.bench.stage import Stopwatch, as_owner, client_of, line_of, served, upload
from tests.bench.tls_client import Held, Line

ROUNDS = 5
EACH = 100
*UPLOADING, VICTIM = COUNTIES
LIMIT_MS = 1_000.0
CHILDREN, BATCH_ITEMS, WINDOW = 600, 200, 4


def run() -> list[Figure]:
    """Measure both."""
    with served(**LIMITS) as province:
        return asyncio.run(_rounds(province))


async def _rounds(province: Province) -> list[Figure]:
    load = uploading.generate(province, seed=7, children=CHILDREN)
    cards = {
        code: [up.Item(child=family.child) for family in families[:BATCH_ITEMS]]
        for code, families in load.families.items()
    }
    last: dict[str, list[float]] = {"revoke.cut": [], "revoke.cut.organisation": []}
    every: dict[str, list[float]] = {name: [] for name in last}
    async with _others(province, cards) as others, client_of(province.admin) as admin:
        for _ in range(ROUNDS):
            for name, rounds in last.items():
                victim = await asyncio.to_thread(_Victim.make, province)
                found = await _cut(
                    admin, province, victim, cards[VICTIM], whole=name.endswith("organisation")
                )
                rounds.append(max(found))
                every[name] += found
                others.check()
    conditions = (
        f"{EACH} connections and an upload cut out of {5 * EACH}, {len(UPLOADING)} uploads go on; "
        "value: the last socket's, median of rounds; most of all rounds {:,.0f} ms"
    )
    return [
        figure(
            name,
            "ms",
            found,
            {"limit": [LIMIT_MS]},
            every[name],
            conditions.format(max(every[name])),
        )
        for name, found in last.items()
    ]


async def _cut(
    admin: Client, province: Province, victim: "_Victim", cards: Sequence[up.Item], *, whole: bool
) -> list[float]:
    """Revoke the victim's certificate, or all of its organisation; return each socket's milliseconds."""
    held = await asyncio.to_thread(Held, victim.line, EACH)
    uploads = _Uploading(victim.client(province), cards, VICTIM)
    running = asyncio.create_task(uploads.run())
    await uploads.under_way()
    request = v1.RevokeCertificatesRequest(
        request_id=str(uuid.UUID(bytes=secrets.token_bytes(16), version=4)),
        cause=v1.RevokeCertificatesRequest.CAUSE_KEY_COMPROMISE,
        reason="benchmark",
    )
    if whole:
        request.organisation_code = VICTIM
    else:
        request.serial = victim.serial
    await admin.call(admin.admin.RevokeCertificates, request)
    ends = await asyncio.to_thread(held.wait)
    await asyncio.to_thread(held.close)
    told = await asyncio.gather(running, return_exceptions=True)
    if not isinstance(told[0], Refusal) or told[0].reason is not Reason.CERT_REVOKED:
        raise AssertionError(f"the upload was told {told[0]!r}")
    sql = f"SELECT revoked_us FROM gateway.certificate WHERE serial = '{victim.serial}'"
    ((revoked_us,),) = await as_owner(province, sql)
    return [(end - revoked_us) / 1000 for end in ends]


@dataclass(frozen=True, slots=True)
class _Victim:
    """A fresh certificate of the county that is revoked: its serial, its connections, its profile."""

    serial: str
    line: Line
    profile: profiles.Profile

    @classmethod
    def make(cls, province: Province) -> "_Victim":
        line = line_of(province, VICTIM)
        pem = Path(line.certificate).read_bytes()
        profile = profiles.write(
            Path(line.certificate).parent / "profile",
            province.members[VICTIM].profile.remote,
            key=Path(line.key).read_bytes(),
            certificate=pem,
            root=Path(line.root).read_bytes(),
            password="",
        )
        serial = serial_text(x509.load_pem_x509_certificate(pem).serial_number)
        return cls(serial, line, profile)

    def client(self, province: Province) -> Client:
        member = province.members[VICTIM]
        return client_of(Member(member.code, member.name, self.profile, member.password))


class _Uploading:
    """An upload without end: the same cards again and again, each batch a new one."""

    def __init__(self, client: Client, cards: Sequence[up.Item], code: str) -> None:
        self._client, self._cards, self._code = client, cards, code
        self._watch = Stopwatch()
        self._stopped = False

    async def run(self) -> None:
        async with self._client as client:
            await upload(client, self._batches(), WINDOW, self._watch)

    def stop(self) -> None:
        self._stopped = True

    @property
    def answers(self) -> int:
        return len(self._watch.latencies_ms)

    async def under_way(self) -> None:
        """Return when some batches more were answered."""
        wanted = self.answers + WINDOW
        await until(lambda: self.answers >= wanted)

    def _batches(self) -> Iterator[Sent]:
        envelope, number = Envelope(centre_code(self._code), 1), 0
        while not self._stopped:
            yield envelope.seal(self._cards, number)
            number += 1


@dataclass(frozen=True, slots=True)
class _Others:
    """Everybody else: idle connections, and the uploads that must go on."""

    held: Sequence[Held]
    running: Sequence["asyncio.Task[None]"]

    def check(self) -> None:
        assert all(one.standing == EACH for one in self.held)
        assert not any(task.done() for task in self.running)


@contextlib.asynccontextmanager
async def _others(province: Province, cards: dict[str, list[up.Item]]) -> AsyncIterator[_Others]:
    lines = [await asyncio.to_thread(line_of, province, code) for code in (*CITIES, *UPLOADING)]
    held = [await asyncio.to_thread(Held, line, EACH) for line in lines]
    uploads = [
        _Uploading(client_of(province.members[code]), cards[code], code) for code in UPLOADING
    ]
    running = [asyncio.create_task(one.run()) for one in uploads]
    try:
        for one in uploads:
            await one.under_way()
        yield _Others(held, running)
        for one in uploads:
            await one.under_way()
    finally:
        for one in uploads:
            one.stop()
        await asyncio.gather(*running)
        for one in held:
            await asyncio.to_thread(one.close)
