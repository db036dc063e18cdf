"""Where the time of an upload goes inside intake: µs per record to prepare, to judge and store, and the whole way.

Run: .venv/bin/python -m pytest -q -s -p no:randomly tests/bench/intake.py
Children are known; each batch of 1,000 doses is the next dose of 1,000 children, so that histories grow as they do in life.
"""

import asyncio
import gc
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from gateway.audit.event import Event
from gateway.records.desk import Desk
from gateway.store.database import Transaction
from gateway.uploads import known, quarantine, writing
from gateway.uploads.answer import stored_answer
from gateway.uploads.judgement import Judgement
from gateway.uploads.received import prepare
from gateway.v1.upload_service_pb2 import UploadBatchesRequest
from tests.uploads.county import BORN, County, a_child, a_dose, county, states

CHILDREN = 1000
PLAN = (
    ("0101", 1, 0, 3, 1),
    ("0202", 1, 0, 1, 2),
    ("0202", 2, 31, 1, 2),
    ("0306", 1, 62, 1, 4),
    ("0402", 1, 62, 1, 5),
    ("0306", 2, 93, 1, 4),
    ("0402", 2, 124, 1, 5),
    ("0202", 3, 186, 1, 2),
    ("1601", 1, 186, 2, 4),
    ("0402", 3, 190, 1, 5),
)


def test_bench(conninfo: Callable[[str], str]) -> None:
    asyncio.run(_bench(conninfo))


async def _bench(conninfo: Callable[[str], str]) -> None:
    # As the door's process does: what was loaded at its start is never looked through again.
    gc.collect()
    gc.freeze()
    async with county(conninfo) as one:
        async with one.stage.database.transaction() as tx:
            await tx.execute("SET LOCAL statement_timeout = 0")
        cards = [a_child(n) for n in range(CHILDREN)]
        began = time.perf_counter()
        receipt = await one.send(one.batch(*cards))
        print(
            f"\ncards: {(time.perf_counter() - began) / CHILDREN * 1e6:.1f} us per card, whole way"
        )
        assert set(states(receipt)) == {"accepted"}, receipt.items[0]
        for round_, (code, number, days, route, site) in enumerate(PLAN):
            doses = [
                a_dose(card, code, number, day=BORN + timedelta(days=days), route=route, site=site)
                for card in cards
            ]
            await _measure(one, round_, one.batch(*doses))
        await _singles(one, cards, 0)


async def _measure(one: County, round_: int, batch: UploadBatchesRequest) -> None:
    raw = batch.SerializeToString()
    parsed = UploadBatchesRequest.FromString(raw)
    spans: dict[str, float] = {}
    last = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal last
        now = time.perf_counter()
        spans[name] = now - last
        last = now

    clock = one.stage.clock
    desk = Desk(one.tables, one.register, one.index, one.organisation, clock.now_us())
    last = time.perf_counter()
    prepared = prepare(raw, parsed, desk, one.intake._keys)
    lap("prepare")

    async def effect(tx: Transaction) -> Event:
        lap("wait")
        beside = await known.load(tx, prepared)
        lap("known")
        Judgement(prepared, beside).run()
        lap("judge")
        answer = stored_answer(prepared)
        lap("answer")
        batch_id = await writing.write(tx, prepared, beside, answer, ())
        assert batch_id is not None
        await quarantine.hold(tx, prepared, batch_id)
        await quarantine.settle(tx, prepared, beside)
        lap("write")
        return Event(kind="upload", door="intake", organisation=one.organisation, batch_id=batch_id)

    await one.stage.recorder.append(Event(kind="upload", door="intake"), effect)
    lap("commit")
    count = len(prepared.items)
    text = "  ".join(f"{name} {span / count * 1e6:5.1f}" for name, span in spans.items())
    whole = sum(spans.values()) / count * 1e6
    flagged = sum(item.state != 1 for item in prepared.items)
    print(f"round {round_}: {text}  whole {whole:5.1f} us/record; not accepted {flagged}")


async def _singles(one: County, cards: list[Any], offset: int) -> None:
    """Sixteen senders with one in flight each."""
    batches = [
        one.batch(
            a_dose(card, "1601", 2, day=BORN + timedelta(days=290), route=2, site=4)
        ).SerializeToString()
        for card in cards[offset : offset + 960]
    ]
    latencies: list[float] = []

    async def sender(mine: list[bytes]) -> None:
        for raw in mine:
            began = time.perf_counter()
            receipt = await one.send_bytes(raw)
            latencies.append(time.perf_counter() - began)
            assert states(receipt) == ["accepted"], receipt

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(sender(batches[n::16]) for n in range(16)))
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    latencies.sort()
    print(
        f"singles: {len(batches) / took:.0f}/s, cpu {cpu / len(batches) * 1e6:.0f} us, "
        f"p50 {latencies[len(latencies) // 2] * 1e3:.1f} ms, p99 {latencies[int(len(latencies) * 0.99)] * 1e3:.1f} ms"
    )
