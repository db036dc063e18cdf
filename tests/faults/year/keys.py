"""How the keys of the gateway's host follow one another in the simulated year, from the policy's words alone."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

from tests.faults.year import words
from tests.faults.year.words import DAY, HOUR, SECOND

# Of each secret: stage, age in seconds, next step, when, whether late.
Line = tuple[str, int, str, str | None, bool]
# Kind, owner, name, generation.
Which = tuple[str, str, str, int]
Step = tuple[str, str]


@dataclass
class Key:
    """A key: since when it is there, in use, and followed by another."""

    number: int
    made: int
    used: int | None = None
    replaced: int | None = None


@dataclass
class TokenKeys:
    """Published a day before they sign, taken an hour after."""

    keys: list[Key] = field(default_factory=lambda: [Key(1, words.START, words.START)])

    def due(self, now: int) -> list[tuple[Key, str]]:
        """What is to be done."""
        found = [(key, *self._next(key)[1:]) for key in self.keys]
        return [
            (key, step)
            for key, step, due in found
            if now >= due and (step != "switch" or key.used is None)
        ]

    def next_due(self) -> int:
        """When something is to be done next."""
        return min(self._next(key)[2] for key in self.keys)

    def take(self, key: Key, step: str, now: int) -> int:
        """Take a step; return the generation that it was of."""
        if step == "publish":
            self.keys.append(Key(key.number + 1, now))
            return key.number + 1
        if step == "switch":
            self._signing.replaced, key.used = now, now
        else:
            self.keys.remove(key)
        return key.number

    def lines(self, now: int) -> dict[Which, Line]:
        """What the status shows of them."""
        shown: dict[Which, Line] = {}
        for key in self.keys:
            stage, step, due = self._next(key)
            late = now >= due + words.LATE_HOURS * HOUR
            if stage == "issued" and late:
                stage = "warned"
            line = (stage, (now - key.made) // SECOND, step, moment(due), late)
            shown["token-key", "host", "tokens", key.number] = line
        return shown

    @property
    def _signing(self) -> Key:
        return next(one for one in self.keys if one.used is not None and one.replaced is None)

    def _next(self, key: Key) -> tuple[str, str, int]:
        if key.replaced is not None:
            return "overlapping", "retire", key.replaced + words.KEY_AFTER_HOURS * HOUR
        signs_until = (self._signing.used or 0) + words.KEY_DAYS * DAY
        waiting = [one.made for one in self.keys if one.used is None]
        ahead = words.KEY_AHEAD_HOURS * HOUR
        if waiting:
            return "overlapping", "switch", max(waiting[0] + ahead, signs_until)
        return "issued", "publish", signs_until - ahead


@dataclass
class SealingKeys:
    """Each use has one that seals; those before open old bodies for ever."""

    keys: dict[str, list[Key]] = field(
        default_factory=lambda: {use: [Key(1, words.START)] for use in ("body", "restricted")}
    )

    def due(self, now: int) -> list[str]:
        """Of which uses another is to follow."""
        return [use for use, keys in self.keys.items() if now >= self._ends(keys[-1])]

    def take(self, use: str, now: int) -> int:
        """Let another follow; return its generation."""
        keys = self.keys[use]
        keys[-1].replaced = now
        keys.append(Key(keys[-1].number + 1, now))
        return keys[-1].number

    def lines(self, now: int) -> dict[Which, Line]:
        """What the status shows of them."""
        shown: dict[Which, Line] = {}
        for use, keys in self.keys.items():
            for key in keys:
                age, ends = (now - key.made) // SECOND, self._ends(key)
                late = now >= ends + words.LATE_HOURS * HOUR
                line = ("warned" if late else "issued", age, "publish", moment(ends), late)
                if key.replaced is not None:
                    line = ("overlapping", age, "none", None, False)
                shown["sealing-key", "host", use, key.number] = line
        return shown

    def _ends(self, key: Key) -> int:
        return key.made + words.SEALING_DAYS * DAY


@dataclass
class HostKeys:
    """All that the gateway changes by itself; `story` is what the log tells of it."""

    tokens: TokenKeys = field(default_factory=TokenKeys)
    sealing: SealingKeys = field(default_factory=SealingKeys)
    story: list[tuple[str, str, int]] = field(default_factory=list)

    def due(self, now: int) -> list[Step]:
        """The steps that are to be taken, in their order."""
        found = [("sealing-key", "publish") for _ in self.sealing.due(now)]
        return found + [("token-key", step) for _, step in self.tokens.due(now)]

    def take(self, now: int) -> None:
        """Take them."""
        for use in self.sealing.due(now):
            self.story.append(("sealing-key", "publish", self.sealing.take(use, now)))
        for key, step in self.tokens.due(now):
            self.story.append(("token-key", step, self.tokens.take(key, step, now)))

    def lines(self, now: int) -> dict[Which, Line]:
        """What the status shows of them."""
        return self.tokens.lines(now) | self.sealing.lines(now)


@cache
def moment(us: int) -> str:
    """A moment as JSON shows it."""
    whole, rest = divmod(us, SECOND)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"
