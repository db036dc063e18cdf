"""How fast a disk is read and written: so many KiB a second, on the average since it began."""

import time
from collections.abc import Callable

from gateway.clock import SYSTEM, Clock

_KIB = 1024
Progress = Callable[[int, int], object]


class Pace:
    """Keeps a copy at so many KiB a second; 0: as fast as it goes."""

    def __init__(self, rate_kib: int, clock: Clock = SYSTEM) -> None:
        """Begin now."""
        self._per_s = rate_kib * _KIB
        self._clock = clock
        self._begun_s = clock.monotonic()
        self._done = 0

    def ahead_s(self, count: int) -> float:
        """Return how long to wait after so many bytes more."""
        self._done += count
        if not self._per_s:
            return 0.0
        return max(0.0, self._done / self._per_s - (self._clock.monotonic() - self._begun_s))

    def keep(self, count: int) -> None:
        """Wait that long."""
        time.sleep(self.ahead_s(count))


def paced(rate_kib: int, tell: Progress, clock: Clock = SYSTEM) -> Progress:
    """Return what tells on how much of how much is read, and keeps the reader at that rate."""
    pace, before = Pace(rate_kib, clock), 0

    def watch(done: int, total: int) -> None:
        nonlocal before
        pace.keep(done - before if done > before else done)  # the next backup begins at 0
        before = done
        tell(done, total)

    return watch
