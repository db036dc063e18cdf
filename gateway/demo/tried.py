"""Attempts as rows of the demo's table: what happened, and the one leaf that tells of it."""

from collections.abc import Awaitable, Callable

from gateway.demo.table import Row
from gateway.demo.watch import Found, Watch

CUT_WITHIN_S = 1.0


class Tried:
    """Collects rows; each attempt must leave exactly one leaf with its reason."""

    def __init__(self, watch: Watch) -> None:
        """Look with these eyes."""
        self.watch = watch
        self.rows: list[Row] = []

    async def knock(self, name: str, reason: str, attempt: Awaitable[str]) -> None:
        """Note an attempt to connect: thrown out, and the leaf says why."""
        await self._note(
            name, reason, attempt, lambda ended: reason if ended == "thrown out" else ended
        )

    async def call(self, name: str, reason: str, attempt: Awaitable[str]) -> None:
        """Note a call that must be refused with a reason."""
        await self._note(name, reason, attempt, lambda told: told)

    async def cut(self, attempt: Awaitable[tuple[str, float]]) -> None:
        """Note an upload whose certificate was revoked meanwhile: cut within a second."""
        before = await self.watch.newest()
        _ended, seconds = await attempt
        found = await self.watch.after(before, kind="connection.cut")
        happened = "cut in time" if found and seconds <= CUT_WITHIN_S else f"{seconds:.1f} s"
        self.add("demo.row.cut", "cut in time", happened, found[0] if found else None)

    async def _note(
        self, name: str, reason: str, attempt: Awaitable[str], told: Callable[[str], str]
    ) -> None:
        before = await self.watch.newest()
        happened = told(await attempt)
        found = await self.watch.after(before, reason=reason)
        if happened == reason and len(found) != 1:
            happened = f"{reason}, {len(found)} leaves"
        self.add(name, reason, happened, found[0] if found else None)

    def add(self, name: str, expected: str, happened: str, leaf: Found | None) -> None:
        """Note what happened, with the leaf that tells of it and the policies that decided."""
        named = leaf.fields.get("policies") if leaf else None
        policies = tuple(str(one) for one in named) if isinstance(named, list) else ()
        self.rows.append(Row(name, expected, happened, leaf.index if leaf else None, policies))
