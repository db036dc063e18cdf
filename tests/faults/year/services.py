"""The 120 services of the simulated year: the real client rotates their secrets by itself, and dies at every step of its journal.

Each rotation that runs through shows what it does that lasts; a step that no crash is made for fails there.
"""

import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from unittest import mock

from gateway.client import kept_secret, session
from gateway.client.own_secret import OwnSecret
from gateway.client.secret import Secret
from gateway.client.session import Session
from gateway.errors import Reason, Refusal
from tests.faults.year.people import Calendar
from tests.faults.year.population import Member
from tests.faults.year.wire import MOMENTS, Lines
from tests.faults.year.words import DAY, HOUR

# What a rotation does that lasts, in its order: the journal's states and the token are written, the gateway is asked.
JOURNAL = ("asked", "RotateSecret", "given", "Login", "token", "taken")
_WRITTEN = ("before", "after")
POINTS = tuple(
    (step, moment) for step in JOURNAL for moment in (MOMENTS if step[0].isupper() else _WRITTEN)
)
MOST_DEATHS = 2
Habit = Literal["steady", "off", "cloned", "lost"]


class KilledError(BaseException):
    """The client's process ends here: nothing catches it, nothing is tidied up."""


@dataclass
class Crashes:
    """Which point comes next, how often each came, and how many rotations went through undisturbed."""

    next: int = 0
    whole: int = 0
    came: Counter[tuple[str, str]] = field(default_factory=Counter)

    def point(self) -> tuple[str, str]:
        return POINTS[self.next % len(POINTS)]

    def happened(self) -> None:
        self.came[self.point()] += 1
        self.next += 1


@dataclass
class Service:
    """One service account and the profile of its client; `clones` are copies of its folder."""

    year: Calendar
    member: Member
    folder: Path
    crashes: Crashes
    habit: Habit = "steady"
    days: float = 30.0
    away: tuple[int, int] = (0, 0)
    off: bool = False
    planned: int = 0
    deaths: int = 0
    clones: list[Path] = field(default_factory=list)
    # What it was refused for, but for being one of two clones.
    ill_treated: list[str] = field(default_factory=list)
    replaced: int = 0

    def client(self, folder: Path | None = None) -> tuple[Session, OwnSecret]:
        """The client's process is started."""
        place = folder or self.folder
        lines = Lines(self.year.wire, self.member.papers, place, self.member.key[1])
        opened = Session(lines, clock=self.year.clock)
        return opened, OwnSecret(lines, opened, clock=self.year.clock)

    async def adopt(self, one_time: str) -> None:
        """A person hands the client a one-time password; it rotates at once."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        _, own = self.client()
        await own.adopt(Secret(one_time))

    def come_again(self, days: float) -> None:
        """Be at work again in about so many days, and when a secret is to be rotated."""
        moment = self.year.now + round(days * self.year.dice.uniform(0.5, 1.2) * DAY)
        kept = kept_secret.load(self.folder) if self.folder.exists() else None
        if kept is not None and kept.moment_us > self.year.now:
            moment = min(moment, kept.moment_us + self.year.dice.randint(1, 3 * DAY // 1000) * 1000)
        if self.away[0] <= moment < self.away[1]:
            moment = self.away[1]
        self.planned = moment
        self.year.at(moment, self.turn)

    async def turn(self) -> None:
        """Be at work; what is due is rotated, and often enough something dies then."""
        if self.off or self.year.now != self.planned:
            return
        died = await self.at_work()
        self.deaths = self.deaths + 1 if died else 0
        # Up again within days, so that a next secret may have lapsed; the second time sooner.
        again = self.year.dice.uniform(0.02, 4.0 if self.deaths == 1 else 1.0)
        self.come_again(again if died else self.days)

    async def turn_now(self) -> None:
        """Be at work apart from the plan, and plan anew."""
        if not self.away[0] <= self.year.now < self.away[1]:
            self.planned = self.year.now
            await self.turn()

    async def at_work(self, folder: Path | None = None) -> bool:
        """Do something, then what is due; return whether the process died of it."""
        opened, own = self.client(folder)
        try:
            await opened.who_am_i()
        except Refusal as refusal:
            self.refused(refusal.reason, folder)
            return False
        kept = own.kept
        if kept is None or not kept.due(self.year.now):
            return False
        if folder is not None or self.clones:
            await self._look(own)
            return False
        # Who works all day is not down for weeks: it dies twice in a row at most.
        if self.deaths < MOST_DEATHS and self.year.dice.random() < 0.55:
            return await self._look_and_die(own)
        await (self._look(own) if kept.state else self._look_on(own))
        return False

    async def _look(self, own: OwnSecret) -> None:
        own.look()
        await own.settled()

    async def _look_on(self, own: OwnSecret) -> None:
        """See a rotation that nothing disturbs take exactly the steps that crashes are made for."""
        seen: list[str] = []
        with written(lambda name, when: seen.append(name) if when == "before" else None):
            self.year.wire.calls = seen
            await self._look(own)
            self.year.wire.calls = []
        assert tuple(seen) == JOURNAL, "other steps than those of JOURNAL"
        self.crashes.whole += 1

    async def _look_and_die(self, own: OwnSecret) -> bool:
        """Let it die at the next point; where this rotation does not come there, nothing happens."""
        step, moment = self.crashes.point()
        if step[0].isupper():
            self.year.wire.arm(step, moment)
            await self._look(own)
            died = self.year.wire.disarm()
        else:
            with written(lambda name, when: _die_at((step, moment), (name, when))):
                await self._look(own)
            assert own._task is not None
            died = isinstance(own._task.exception(), KilledError)
        if died:
            self.crashes.happened()
        return died

    def refused(self, reason: Reason, folder: Path | None) -> None:
        """Ask the office where only it can help."""
        self.replaced += reason is Reason.SECRET_REPLACED
        if folder is None:
            self.ill_treated.append(reason.value)
            self.off = True
            self.year.ask_office("reset", self)

    def handed(self, one_time: str) -> None:
        """A person brings the one-time password within hours; the clones are thrown away."""
        self.clones.clear()

        async def bring() -> None:
            await self.adopt(one_time)
            self.off = False
            self.come_again(self.days)

        self.year.at(self.year.now + round(self.year.dice.uniform(0.1, 20) * HOUR), bring)

    async def copied(self) -> None:
        """Somebody copies the machine: from now on there are two."""
        if self.off:
            return
        clone = self.folder.with_name(f"{self.folder.name}-clone-{len(self.clones)}")
        shutil.copytree(self.folder, clone)
        self.clones.append(clone)
        self.year.at(self.year.now + 2 * DAY, lambda: self.clone_turn(clone))

    async def clone_turn(self, clone: Path) -> None:
        """The copy is at work every two days, until it is found out."""
        before = self.replaced
        if clone in self.clones:
            await self.at_work(clone)
            if self.replaced == before:
                self.year.at(self.year.now + 2 * DAY, lambda: self.clone_turn(clone))

    async def disk_lost(self) -> None:
        """The profile is gone; an officer resets the secret."""
        if self.off:
            return
        shutil.rmtree(self.folder)
        self.off = True
        self.year.ask_office("reset", self)


def _die_at(point: tuple[str, str], now: tuple[str, str]) -> None:
    if now == point:
        raise KilledError


class written:  # noqa: N801  reads as what it is
    """Calls `seen(what, "before" | "after")` around each file that the client writes to last."""

    def __init__(self, seen: Any) -> None:
        self._seen, self._patches = seen, []

    def __enter__(self) -> None:
        save, write = kept_secret.save, session.write_private

        def saved(profile: Path, kept: kept_secret.Kept) -> kept_secret.Kept:
            before = kept_secret.load(profile)
            name = kept.state or ("taken" if before is not None and before.state else "noted")
            self._seen(name, "before")
            done = save(profile, kept)
            self._seen(name, "after")
            return done

        def wrote(path: Path, content: bytes) -> None:
            self._seen("token", "before")
            write(path, content)
            self._seen("token", "after")

        self._patches = [
            mock.patch.object(kept_secret, "save", saved),
            mock.patch.object(session, "write_private", wrote),
        ]
        for patch in self._patches:
            patch.start()

    def __exit__(self, *_: object) -> None:
        for patch in self._patches:
            patch.stop()
