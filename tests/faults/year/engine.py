"""Crashes of the supervisor's engine in the simulated year: at every step of its journal, and in the midst of telling.

The steps are seen, not listed: a change that runs through shows what it does that lasts, and the year's test fails when that is other
than what it makes crashes for.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from gateway.config import folders
from gateway.identity import secret_rows
from gateway.supervise.rotation import Engine
from tests.faults.year.keys import Step
from tests.faults.year.stage import Stage

# What each step does that lasts, in its order: rows and leaf, files put in place or taken away, rows.
EFFECTS = {
    ("token-key", "publish"): ("begin", "token-key-next.json", "token-keys.json", "done"),
    ("token-key", "switch"): ("begin", "token-key.json", "no token-key-next.json", "done"),
    ("token-key", "retire"): ("begin", "token-keys.json", "done"),
    ("sealing-key", "publish"): ("begin", "seal-body.key", "seal-keys.json", "done"),
}
# A key's file is named after the key.
_KEY_ID = re.compile(r"-[0-9a-f]{16}")


class PowerLostError(BaseException):
    """The supervisor's process ends here."""


@dataclass
class Effects:
    """What was done that lasts; dies in place of the one after so many (None: never)."""

    dies_after: int | None = None
    done: list[str] = field(default_factory=list)
    _inside: int = 0

    @contextlib.contextmanager
    def one(self, name: str) -> Iterator[None]:
        """Around one of them; what it is made of does not count."""
        if not self._inside:
            if len(self.done) == self.dies_after:
                raise PowerLostError
            self.done.append(name)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1


@contextlib.contextmanager
def effects(dies_after: int | None = None) -> Iterator[Effects]:
    """See what the engine does that lasts, or let it die of it."""
    seen = Effects(dies_after)
    put, unlink = folders._put, Path.unlink

    def putting(new: Path, path: Path) -> None:
        with seen.one(_KEY_ID.sub("", path.name)):
            put(new, path)

    def unlinking(path: Path, *, missing_ok: bool = False) -> None:
        if not path.exists():
            unlink(path, missing_ok=missing_ok)
            return
        with seen.one(f"no {path.name}"):
            unlink(path)

    def awaited(name: str, real: Any) -> Any:
        async def call(*arguments: object) -> None:
            with seen.one(name):
                await real(*arguments)

        return call

    begin = awaited("begin", Engine._begin)
    with (
        mock.patch.object(folders, "_put", putting),
        mock.patch.object(Path, "unlink", unlinking),
        mock.patch.object(Engine, "_begin", begin),
        mock.patch.object(secret_rows, "done", awaited("done", secret_rows.done)),
    ):
        yield seen


@dataclass
class Rotation:
    """The engine at work all year, and dying."""

    stage: Stage
    # Of each step: how often it came first; and where it died: how much of it was done before.
    taken: Counter[Step] = field(default_factory=Counter)
    died: Counter[tuple[Step, int]] = field(default_factory=Counter)
    tellings: int = 0
    broken_tellings: int = 0

    async def look(self, due: list[Step]) -> None:
        """Let the engine take what the model expects; it dies of the first, but for the first time."""
        step = due[0] if due else ("", "")
        if self.taken[step]:
            dies_after = (self.taken[step] - 1) % len(EFFECTS[step])
            with effects(dies_after), pytest.raises(PowerLostError):
                await self.stage.engine.look()
            await self.stage.start_engine()
            self.died[step, dies_after] += 1
        elif due:
            with effects() as seen:
                assert len(await self.stage.engine.look()) == 1
            assert tuple(seen.done) == EFFECTS[step], f"{step}: other steps than those of EFFECTS"
        for _ in range(len(due)):
            await self.stage.engine.look()
        assert await self.stage.engine.look() == []
        self.taken.update([step] if due else [])

    async def tell(self, expected: int) -> None:
        """Let it tell what the model expects; every fifth time that it is much, it dies in the midst of it."""
        told = 0
        if expected > 1:
            self.tellings += 1
            if self.tellings % 5 == 0:
                await self._die_telling(expected // 2)
                told = expected // 2
        assert await self.stage.engine.tell() == expected - told

    async def _die_telling(self, after: int) -> None:
        recorder = self.stage.engine._teller._recorder
        append, left = recorder.append, [after]

        async def mortal(*arguments: Any) -> Any:
            if not left[0]:
                raise PowerLostError
            left[0] -= 1
            return await append(*arguments)

        with mock.patch.object(recorder, "append", mortal), pytest.raises(PowerLostError):
            await self.stage.engine.tell()
        self.broken_tellings += 1
        await self.stage.start_engine()
