"""`policy.decide`: one decision of the policies that ship, CPU of one core.

About an export ticket, which is never remembered: facts, slice of entities and Cedar. Beside it, on the same request in the
same rounds: Cedar alone on entities that are there already, the making of the slice alone, and an upload's decision that is
remembered. The figure's result is checked: the decision is the one that the cases name.
"""

import time
from collections.abc import Callable

from gateway.config.policies import shipped
from gateway.policy import bundle, ticket_cases
from gateway.policy.engine import Engine
from gateway.policy.request import Actor, Context, Request, Resource
from gateway.policy.ticket_cases import TicketCase
from tests.bench.figures import Figure, figure

ROUNDS, TIMES = 9, 400
CHAIN = ("140105", "140100", "140000")
PARENTS = {"140000": "", "140100": "140000", "140105": "140100"}
US = 1e6


def run() -> list[Figure]:
    """Measure."""
    engine = Engine(bundle.load(shipped("policies") / "cedar"))
    released, upload = _released(), _upload()
    prepared = engine.prepare(released)
    latencies: list[float] = []
    each: dict[str, Callable[[], object]] = {
        "decide": lambda: engine.judge(released),
        "cedar": lambda: engine.judge_prepared(prepared),
        "slice": lambda: engine.prepare(released),
        "remembered": lambda: engine.judge(upload),
    }
    found: dict[str, list[float]] = {name: [] for name in each}
    for _ in range(ROUNDS):
        for name, work in each.items():
            found[name].append(_mean_us(work, latencies if name == "decide" else None))
    if engine.judge(released).policies != ("P26-release",) or not engine.judge(upload).allowed:
        raise RuntimeError("it decided otherwise than the cases say")
    conditions = f"{len(engine.policies)} policies"
    limits = {name: values for name, values in found.items() if name != "decide"}
    return [figure("policy.decide", "µs", found["decide"], limits, latencies, conditions)]


def _mean_us(work: Callable[[], object], latencies_ms: list[float] | None) -> float:
    # CPU of this process: the machine's other work is no cost of a decision.
    started, before = time.process_time(), time.perf_counter()
    for _ in range(TIMES):
        work()
        if latencies_ms is not None:
            now = time.perf_counter()
            latencies_ms.append((now - before) * 1000)
            before = now
    return (time.process_time() - started) / TIMES * US


def _released() -> Request:
    case = TicketCase(state="received")
    return Request(
        "ReleaseExport",
        Actor("140105", CHAIN, frozenset({"recipient"}), "proven"),
        Resource("ExportTicket", CHAIN, ticket=ticket_cases.ticket(case, "140000", PARENTS)),
        Context(True, False, calling=ticket_cases.calling(case)),
    )


def _upload() -> Request:
    actor = Actor("140105", CHAIN, frozenset({"uploader"}), "proven")
    records = Resource("UnitRecords", CHAIN, "1401050001")
    return Request("UploadBatches", actor, records, Context(True, False))
