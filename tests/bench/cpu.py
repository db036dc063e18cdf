"""`python -m tests.bench.cpu`: microseconds of CPU that each process spends on a single upload, round by round.

Others' work on the same cores moves these figures less than uploads/s.
"""

import asyncio
import os
import statistics
from collections import Counter
from pathlib import Path

from gateway.demo.province import COUNTIES, Province
from gateway.sample import tables as sample_tables
from gateway.sample.province import Province as Sample
from gateway.v1 import upload_service_pb2 as v1
from tests.bench import ingest
from tests.bench.stage import served

US_PER_TICK = 1_000_000 // os.sysconf("SC_CLK_TCK")
PROCESSES = ("front", "identity", "intake", "disclosure", "administration", "signer")


def spent(home: Path) -> Counter[str]:
    """Return microseconds of CPU by process: the gateway's of this HOME, its PostgreSQL's, our own."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    used: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        parents[pid] = int(fields[1])
        used[pid] = (int(fields[11]) + int(fields[12])) * US_PER_TICK
        ours = [name for name in PROCESSES if f" run {name} {home} " in line]
        if "bin/postgres" in line and str(home) in line:
            ours = ["postgres"]
        names[pid] = "client" if pid == os.getpid() else "".join(ours)
    total: Counter[str] = Counter()
    for pid, parent in parents.items():
        # A backend's command line names no folder, its parent's does.
        name = names[pid] or ("postgres" if names.get(parent) == "postgres" else "")
        if name:
            total[name] += used[pid]
    return total


async def _rounds(province: Province) -> None:
    home = province.host.home.root
    units = [unit for code in COUNTIES for unit in province.members[code].units]
    tables = sample_tables.load(province.host.home.policies)
    children = ingest.CHILDREN_PER_ROUND * ingest.ROUNDS + 400
    families = list(Sample(tables, units, seed=7, children=children).families())
    by_county = {
        code: [f for f in families if f.unit.organisation_code == code] for code in COUNTIES
    }
    sender = ingest.Sender()
    for code, mine in by_county.items():
        cards = [v1.Item(child=family.child) for family in ingest._rest(mine)]
        await ingest.stream(province, {code: sender.portions(code, cards)})
    for number in range(ingest.ROUNDS):
        before = spent(home)
        rate, latencies = await ingest._single(province, sender, by_county, number)
        used = spent(home) - before
        p99 = statistics.quantiles(latencies, n=100)[98]
        shares = "  ".join(
            f"{name} {us / len(latencies):.0f}" for name, us in used.most_common() if us
        )
        print(f"{rate:,.0f} uploads/s, p99 {p99:.1f} ms; us of CPU per upload: {shares}")


if __name__ == "__main__":
    with served() as made:
        asyncio.run(_rounds(made))
