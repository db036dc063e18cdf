"""What a benchmark tells: one figure beside its limits, as JSON for machines and as a table for docs/performance.md."""

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

BUILD = Path(__file__).parents[2] / "build"
PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


@dataclass(frozen=True, slots=True)
class Figure:
    """A median over rounds, with the medians of its limits measured in the same rounds."""

    name: str
    value: float
    unit: str
    rounds: int
    p50_ms: float | None = None
    p99_ms: float | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    ratios: Mapping[str, float] = field(default_factory=dict)
    conditions: str = ""


def figure(
    name: str,
    unit: str,
    values: Sequence[float],
    limits: Mapping[str, Sequence[float]] | None = None,
    latencies_ms: Sequence[float] = (),
    conditions: str = "",
) -> Figure:
    """Make the figure of several interleaved rounds: medians, and the ratio of each limit to the value."""
    value = statistics.median(values)
    medians = {limit: statistics.median(found) for limit, found in (limits or {}).items()}
    cuts = statistics.quantiles(latencies_ms, n=100) if len(latencies_ms) > 1 else []
    return Figure(
        name=name,
        value=value,
        unit=unit,
        rounds=len(values),
        p50_ms=round(cuts[49], 2) if cuts else None,
        p99_ms=round(cuts[98], 2) if cuts else None,
        limits={limit: round(found, 2) for limit, found in medians.items()},
        ratios={limit: round(found / value, 2) for limit, found in medians.items()},
        conditions=conditions,
    )


def shown(value: float) -> str:
    """Write a value as it is read: whole from ten on."""
    return f"{value:,.0f}" if value >= 10 else f"{value:,.2f}"


def machine() -> str:
    """Describe the machine without naming it."""
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def publish(figures: Sequence[Figure], day: str) -> None:
    """Write build/bench.json and, between the marks, the tables of docs/performance.md; keep figures not run now."""
    BUILD.mkdir(exist_ok=True)
    path = BUILD / "bench.json"
    kept = {row["name"]: row for row in json.loads(path.read_text())} if path.exists() else {}
    kept.update({found.name: asdict(found) for found in figures})
    path.write_text(json.dumps(list(kept.values()), indent=1, ensure_ascii=False) + "\n")
    page = PAGE.read_text()
    head, rest = page.split(BEGIN)
    tail = rest.split(END)[1]
    PAGE.write_text(f"{head}{BEGIN}\n{_table(list(kept.values()), day)}{END}{tail}")


def _table(rows: Sequence[Mapping[str, object]], day: str) -> str:
    lines = [
        f"Measured {day} on: {machine()}. Medians of interleaved rounds.",
        "",
        "| figure | value | p50 / p99 ms | limits in the same run (limit ÷ value) | rounds | conditions |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        limits, ratios = row["limits"], row["ratios"]
        assert isinstance(limits, Mapping)
        assert isinstance(ratios, Mapping)
        beside = ", ".join(
            f"`{name}` {shown(found)} ({ratios[name]})" for name, found in limits.items()
        )
        times = f"{row['p50_ms']} / {row['p99_ms']}" if row["p50_ms"] is not None else "–"
        lines.append(
            f"| `{row['name']}` | {row['value']:,.1f} {row['unit']} | {times} | {beside or '–'} "
            f"| {row['rounds']} | {row['conditions']} |"
        )
    return "\n".join(lines) + "\n"
