"""The journal of a renewal: how far it is, so that a client killed at any moment goes on.

`slots/renewal.json` belongs to the certificate whose serial it names; once another one is current
it says nothing any more. Steps, each durable before the next:

1 a moment is picked in the gateway's window · 2 the next slot's key is written · 3 "asked": from
now on every request is for this key · 4 its certificate is written · 5 "issued" · 6 connections are
closed and the slots exchanged (`slots`) · 7 the new one is used
"""

import json
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from gateway.client.files import make_private, write_private
from gateway.client.papers import Certificate
from gateway.clock import US_PER_S

State = Literal["", "asked", "issued"]
# The gateway is asked for its window once a day, of a shorter certificate in each eighth of its
# life: the window is "now" while an authority is rolled over.
_ASK_EVERY_US, _ASK_SHARE = 24 * 3600 * US_PER_S, 8
# After a failure it is tried again, later each time.
_FIRST_PAUSE_US, _LONGEST_PAUSE_US = 60 * US_PER_S, 3600 * US_PER_S
# So many failures in a row are told.
TOLD_FAILURES = 2


@dataclass(frozen=True, slots=True)
class Renewal:
    """How far the renewal of one certificate is; times in microseconds since 1970, 0: not known."""

    serial: str
    window: tuple[int, int] = (0, 0)
    window_asked_us: int = 0
    ask_every_us: int = _ASK_EVERY_US
    moment_us: int = 0
    state: State = ""
    issued_us: int = 0
    failures: int = 0
    again_us: int = 0

    @classmethod
    def of(cls, certificate: Certificate) -> "Renewal":
        """Return the renewal of a certificate that nothing is known of but itself."""
        life_us = certificate.not_after_us - certificate.not_before_us
        every_us = min(_ASK_EVERY_US, life_us // _ASK_SHARE)
        return cls(
            certificate.serial, window_asked_us=certificate.not_before_us, ask_every_us=every_us
        )

    def window_due(self, now_us: int) -> bool:
        """Return whether the gateway is to be asked for its window."""
        return now_us - self.window_asked_us >= self.ask_every_us and now_us >= self.again_us

    def due(self, now_us: int) -> bool:
        """Return whether it is time to renew."""
        begun = bool(self.state) or 0 < self.moment_us <= now_us
        return begun and now_us >= self.again_us

    def failing(self) -> bool:
        """Return whether people should know."""
        return self.failures >= TOLD_FAILURES

    def told(self, window: tuple[int, int], now_us: int) -> "Renewal":
        """Return it with the gateway's window, and a moment picked in it unless it has one."""
        if window == self.window:
            return replace(self, window_asked_us=now_us)
        start, end = max(window[0], now_us), max(window[1], now_us)
        moment = start + secrets.randbelow(end - start + 1)
        return replace(self, window=window, window_asked_us=now_us, moment_us=moment)

    def failed(self, now_us: int) -> "Renewal":
        """Return it after a failure."""
        pause = min(_FIRST_PAUSE_US << min(self.failures, 10), _LONGEST_PAUSE_US)
        return replace(self, failures=self.failures + 1, again_us=now_us + pause)


def journal(profile: Path) -> Path:
    """Return the journal's file."""
    return profile / "slots" / "renewal.json"


def load(profile: Path, certificate: Certificate) -> Renewal:
    """Return the renewal of this certificate; a fresh one where none is kept."""
    try:
        kept = json.loads(journal(profile).read_bytes())
        found = Renewal(**{**kept, "window": tuple(kept["window"])})
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return Renewal.of(certificate)
    return found if found.serial == certificate.serial else Renewal.of(certificate)


def save(profile: Path, renewal: Renewal) -> None:
    """Keep it."""
    make_private(profile / "slots")
    write_private(journal(profile), json.dumps(asdict(renewal)).encode())
