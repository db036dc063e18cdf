"""Tells on the log, once an hour, that a revocation list should have been signed anew long ago.

Past its end nobody of its authority is let in any more; the alarm comes while there is time to act.
A list is late after the share of its life that the policy gives ours: `alarm_hours` of
`valid_hours`. So another authority's list, which may live for a week, is held to its own measure.
"""

from collections.abc import Iterable

from gateway import log
from gateway.audit.recorder import Recorder
from gateway.clock import Clock
from gateway.config.policies import RevocationListRules
from gateway.errors import Refusal
from gateway.front import leaves
from gateway.front.context import Listed

AGAIN_S = 3_600.0
_LOG = log.get("front")


class Lateness:
    """What one front has told of late lists."""

    def __init__(self, recorder: Recorder, clock: Clock, rules: RevocationListRules) -> None:
        """Tell this log."""
        self._recorder = recorder
        self._clock = clock
        self._share = rules.alarm_hours / rules.valid_hours
        self._told: dict[bytes, float] = {}

    async def look(self, lists: Iterable[Listed]) -> None:
        """Tell of each of these that is late and was not told of within the hour."""
        for one in lists:
            issuer, now = one.issuer_sha256, self._clock.monotonic()
            if self._clock.now_us() < one.late_us(self._share):
                self._told.pop(issuer, None)
            elif now - self._told.get(issuer, float("-inf")) >= AGAIN_S:
                _LOG.warning("revocation list late", issuer=issuer.hex(), number=one.number)
                try:
                    await self._recorder.append(leaves.late(issuer))
                except Refusal as refusal:  # looked at again in a moment
                    _LOG.error("late list without leaf", reason=refusal.reason)
                else:
                    self._told[issuer] = now
