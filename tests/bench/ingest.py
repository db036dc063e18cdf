"""`ingest.stream` and `ingest.single`: uploads through front, guard, rules, sealing, store, log and signer, client included."""

import asyncio
import contextlib
import gc
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import grpc

from gateway.client.batches import Envelope, portions
from gateway.client.verify import Sent
from gateway.demo.province import COUNTIES, Province
from gateway.demo.uploading import records
from gateway.sample import tables as sample_tables
from gateway.sample.family import Family
from gateway.sample.province import Province as Sample
from gateway.sample.units import centre_code
from gateway.v1 import upload_service_pb2 as v1
from tests.bench import receive
from tests.bench.copying import copy_rate
from tests.bench.figures import Figure, figure
from tests.bench.papers import write
from tests.bench.stage import as_owner, client_of, served, stored_items, upload

ROUNDS = 5
CHILDREN_PER_ROUND = 2000
SINGLES_PER_STREAM = 150
STREAMS, CONNECTIONS = 16, 4
WINDOW = 8


def run() -> list[Figure]:
    """Measure both, round by round, with the limits in between."""
    with served() as province:
        return asyncio.run(_rounds(province))


async def _rounds(province: Province) -> list[Figure]:
    units = [unit for code in COUNTIES for unit in province.members[code].units]
    tables = sample_tables.load(province.host.home.policies)
    sample = Sample(tables, units, seed=7, children=CHILDREN_PER_ROUND * ROUNDS + 400)
    families = list(sample.families())
    by_county = {
        code: [f for f in families if f.unit.organisation_code == code] for code in COUNTIES
    }
    # The generated people are not the client's: its collector must not walk them in every round.
    gc.collect()
    gc.freeze()
    sender = Sender()
    streamed, received, copied, singles, latencies = [], [], [], [], []
    cards = {
        code: [v1.Item(child=family.child) for family in _rest(mine)]
        for code, mine in by_county.items()
    }
    await stream(province, {code: sender.portions(code, mine) for code, mine in cards.items()})
    for number in range(ROUNDS):
        portion = {
            code: mine[
                len(mine) * number // (ROUNDS + 1) : len(mine) * (number + 1) // (ROUNDS + 1)
            ]
            for code, mine in by_county.items()
        }
        batches = {code: sender.batches(code, mine) for code, mine in portion.items()}
        streamed.append(await stream(province, batches))
        everything = [sent for mine in batches.values() for sent in mine]
        received.append(await _receive(province, everything))
        copied.append(await copy_rate(province, sum(sent.item_count for sent in everything)))
        rate, found = await _single(province, sender, by_county, number)
        singles.append(rate)
        latencies += found
    return [
        figure(
            "ingest.stream",
            "records/s",
            streamed,
            {"grpc.receive": received, "copy": copied},
            conditions=f"3 counties, 1 stream each, window {WINDOW}, batches of 1,000, sample with its defects",
        ),
        figure(
            "ingest.single",
            "uploads/s",
            singles,
            latencies_ms=latencies,
            conditions=f"one-item batches, {STREAMS} streams over {CONNECTIONS} connections, one in flight each",
        ),
    ]


class Sender:
    """Seals batches; each unit counts its own."""

    def __init__(self) -> None:
        self._envelopes: dict[str, Envelope] = {}

    def seal(self, unit: str, items: Sequence[v1.Item], number: int) -> Sent:
        return self._envelopes.setdefault(unit, Envelope(unit, 1)).seal(items, number)

    def batches(self, code: str, families: Sequence[Family]) -> list[Sent]:
        return self.portions(code, records(families))

    def portions(self, code: str, items: Iterable[v1.Item]) -> list[Sent]:
        envelope = self._envelopes.setdefault(centre_code(code), Envelope(centre_code(code), 1))
        first = envelope.sequence
        return [envelope.seal(portion, first + n) for n, portion in enumerate(portions(items))]


async def stream(province: Province, batches: dict[str, list[Sent]]) -> float:
    """Return records/s from the first byte sent to the last receipt verified."""
    before = await stored_items(province)
    async with contextlib.AsyncExitStack() as stack:
        clients = {
            code: await stack.enter_async_context(client_of(province.members[code]))
            for code in batches
        }
        for client in clients.values():
            await client.session.token()
        began = time.perf_counter()
        watches = await asyncio.gather(
            *(upload(clients[code], mine, WINDOW) for code, mine in batches.items())
        )
        took = time.perf_counter() - began
    count = sum(watch.items for watch in watches)
    assert await stored_items(province) - before == count
    return count / took


async def _single(
    province: Province, sender: Sender, families: dict[str, list[Family]], number: int
) -> tuple[float, list[float]]:
    """Return one-item uploads/s, and every latency in ms: doses of known children, one by one."""
    async with contextlib.AsyncExitStack() as stack:
        jobs = []
        codes = [COUNTIES[i % len(COUNTIES)] for i in range(CONNECTIONS)]
        clients = [
            await stack.enter_async_context(client_of(province.members[code])) for code in codes
        ]
        for stream in range(STREAMS):
            code, client = codes[stream % CONNECTIONS], clients[stream % CONNECTIONS]
            mates = province.members[code].units
            # The fourth connection shares its county with the first: it takes the other half of the units.
            turn = (
                stream // CONNECTIONS
                if stream % CONNECTIONS < len(COUNTIES)
                else -1 - stream // CONNECTIONS
            )
            unit_code = mates[turn].unit_code
            mine = _singles(families[code], number * STREAMS + stream, ROUNDS * STREAMS)
            sent = [
                sender.seal(unit_code, [item], n)
                for n, item in enumerate(mine, 1_000_000 + (number * STREAMS + stream) * 1000)
            ]
            await client.session.token()
            jobs.append((client, sent))
        before = await _stored_doses(province)
        began = time.perf_counter()
        watches = await asyncio.gather(*(upload(client, sent, 1) for client, sent in jobs))
        took = time.perf_counter() - began
    sealed = {batch.request_id for _, sent in jobs for batch in sent}
    assert await _stored_doses(province) - before == sum(watch.taken for watch in watches)
    assert await _stored_batches(province, sealed) == sum(watch.items for watch in watches)
    return sum(watch.items for watch in watches) / took, [
        ms for watch in watches for ms in watch.latencies_ms
    ]


async def _stored_doses(province: Province) -> int:
    """Return how many doses the store knows, taken or held."""
    counted = "SELECT (SELECT count(*) FROM gateway.dose) + (SELECT count(*) FROM gateway.held)"
    return int((await as_owner(province, counted))[0][0])


async def _stored_batches(province: Province, ids: set[str]) -> int:
    """Return how many of these batches hold exactly one item, under their own request id."""
    rows = await as_owner(
        province,
        "SELECT b.request_id::text FROM gateway.batch AS b JOIN gateway.item AS i USING (batch_id)"
        " GROUP BY b.request_id HAVING count(*) = 1",
    )
    return len(ids & {row[0] for row in rows})


def _rest(families: Sequence[Family]) -> Sequence[Family]:
    """Return the families whose doses no round streams: their cards are sent first, their doses one by one."""
    return families[len(families) * ROUNDS // (ROUNDS + 1) :]


def _singles(families: Sequence[Family], lane: int, lanes: int) -> Sequence[v1.Item]:
    """Return this lane's doses: no two lanes and no two rounds send the same one."""
    doses = [dose for family in _rest(families) if not family.truth for dose in family.doses]
    return [v1.Item(vaccination=dose) for dose in doses[lane::lanes][:SINGLES_PER_STREAM]]


async def _receive(province: Province, batches: Sequence[Sent]) -> float:
    """Return records/s that a bare grpcio mTLS server receives and parses, from as many streams."""
    folder = province.host.home.root / "bench-receive"
    folder.mkdir(exist_ok=True)
    papers = write(folder)
    address = f"{province.host.address(1)}:{province.host.base_port + 9}"
    child = subprocess.Popen(  # noqa: ASYNC220  the limit's own process
        [sys.executable, "-m", "tests.bench.receive", str(folder), address],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert child.stdout is not None
        await asyncio.to_thread(child.stdout.readline)
        credentials = grpc.ssl_channel_credentials(*papers)
        options = [("grpc.ssl_target_name_override", "bench.invalid")]
        async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
            method = channel.stream_stream(receive.METHOD)

            async def one(mine: Sequence[Sent]) -> int:
                call = method(iter([sent.message for sent in mine]))
                return sum([int.from_bytes(answer, "big") async for answer in call])

            await one(batches[:1])
            began = time.perf_counter()
            counts = await asyncio.gather(*(one(batches[lane::3]) for lane in range(3)))
            took = time.perf_counter() - began
    finally:
        child.kill()
        child.wait()
    assert sum(counts) == sum(sent.item_count for sent in batches)
    return sum(counts) / took
