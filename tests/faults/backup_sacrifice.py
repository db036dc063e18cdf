"""A process that backs up, sends the journal, restores or drills, and kills itself with SIGKILL at a step.

    python -m tests.faults.backup_sacrifice JSON

JSON: `flow`; `point`, which names a function and whether it dies before or after its so-manieth call; `home`, and what the
flow needs.
"""

import asyncio
import importlib
import itertools
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gateway.backups import approval, drilling, keeping, restoring, schedule, sealing, shipping
from gateway.backups.making import Source
from gateway.clock import SYSTEM
from gateway.config.backups import BackupRules, PlaceRules, RetentionRules, load_backup_rules
from gateway.config.home import Home
from gateway.config.policies import shipped
from tests.backups.stand import Stand

ONE_DAY = RetentionRules(daily=1, weekly=0, monthly=0)


@dataclass(frozen=True)
class Point:
    """Where it dies: `step` has the number of the docstring of the flow's module; `where` is "module:function"."""

    step: str
    where: str
    after: bool = True
    count: int = 1


def arm(point: Point) -> None:
    """Have this process die there."""
    module, _, path = point.where.partition(":")
    *above, name = path.split(".")
    target: Any = importlib.import_module(f"gateway.{module}")
    for one in above:
        target = getattr(target, one)
    real, calls = getattr(target, name), itertools.count(1)

    def fatal(*, after: bool, number: int) -> None:
        if after == point.after and number == point.count:
            os.kill(os.getpid(), signal.SIGKILL)

    async def waited(*given: Any, **named: Any) -> Any:
        number = next(calls)
        fatal(after=False, number=number)
        found = await real(*given, **named)
        fatal(after=True, number=number)
        return found

    def done(*given: Any, **named: Any) -> Any:
        number = next(calls)
        fatal(after=False, number=number)
        found = real(*given, **named)
        fatal(after=True, number=number)
        return found

    setattr(target, name, waited if asyncio.iscoroutinefunction(real) else done)


def rules(places: list[str]) -> BackupRules:
    """The shipped policy with these places, for base backups, that keeps the newest alone."""
    own = load_backup_rules(shipped("policies") / "backups.toml")
    always = replace(own.schedule, full_days=1)
    return replace(own, places=PlaceRules(tuple(places), 0), schedule=always, retention=ONE_DAY)


def create(stand: Stand, told: dict[str, Any]) -> None:
    stand.make(Path(told["place"]))


def keep(stand: Stand, told: dict[str, Any]) -> None:
    own = rules(told["places"])
    schedule.due_since_us = lambda *_: told["since_us"]
    stand.run(lambda source: keeping.keep(source, own, stand.keys))


def wal(stand: Stand, told: dict[str, Any]) -> None:
    async def work(source: Source) -> None:
        with shipping.sole(source.home):
            await shipping.turn(source, [Path(one) for one in told["places"]])

    stand.run(work)


def restore(stand: Stand, told: dict[str, Any]) -> None:
    approvals = tuple(approval.parse(Path(one).read_bytes()) for one in told["approvals"])
    key = sealing.identity(Path(told["identity"]))
    wanted = restoring.Wanted(Path(told["backup"]), stand.keys, key, approvals, told["until"])
    restoring.restore(wanted, Path(told["target"]), SYSTEM)


def drill(stand: Stand, told: dict[str, Any]) -> None:
    key = sealing.identity(Path(told["identity"]))
    wanted = drilling.Wanted(Path(told["backup"]), stand.keys, key, told["until"])
    drilling.drill(wanted, stand.home, Path(told["target"]), SYSTEM)


FLOWS: dict[str, Callable[[Stand, dict[str, Any]], None]] = {
    one.__name__: one for one in (create, keep, wal, restore, drill)
}


def main(text: str) -> None:
    told = json.loads(text)
    arm(Point(**told["point"]))
    home = Home(Path(told["home"]))
    FLOWS[told["flow"]](Stand(home, home.root), told)


if __name__ == "__main__":
    main(sys.argv[1])
