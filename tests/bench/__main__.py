"""`python -m tests.bench [NAME…]`: run the benchmarks (all, or those whose name begins so) and publish the figures."""

import sys
from collections.abc import Callable

from gateway.clock import SYSTEM, civil_day
from tests.bench import (
    audit,
    backup,
    crl,
    cut,
    export_cut,
    exports,
    guard,
    handshake,
    ingest,
    login,
    memory,
    origin,
    policy,
    revoke,
    verify,
)
from tests.bench.figures import Figure, publish, shown

BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {
    "ingest": ingest.run,
    "front": handshake.run,
    "revoke": revoke.run,
    "crl": crl.run,
    "memory": memory.run,
    "origin": origin.run,
    "origin.cut": cut.run,
    "guard": guard.run,
    "login": login.run,
    "export": exports.run,
    "export.cut": export_cut.run,
    "policy": policy.run,
    "audit.append": audit.run,
    "audit.verify": verify.run,
    "backup": backup.run,
}


def main() -> None:
    """Run and print."""
    wanted = [name for name in sys.argv[1:] if name]
    figures = [
        found
        for name, run in BENCHMARKS.items()
        if not wanted or any(_asked(name, word) for word in wanted)
        for found in run()
    ]
    publish(figures, civil_day(SYSTEM.now_us()).isoformat())
    for found in figures:
        beside = ", ".join(
            f"{name} {shown(value)} (x{found.ratios[name]})" for name, value in found.limits.items()
        )
        times = "" if found.p50_ms is None else f"  p50 {found.p50_ms} ms, p99 {found.p99_ms} ms"
        print(f"{found.name}: {shown(found.value)} {found.unit}{times}  {beside}")


def _asked(name: str, word: str) -> bool:
    """Whether a word asks for a benchmark: its name's beginning, or a figure's name of it."""
    return name.startswith(word) or (word not in BENCHMARKS and word.startswith(name))


if __name__ == "__main__":
    main()
