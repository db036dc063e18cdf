"""The journal of a service account's secret: kept by the client, and how far its rotation is.

`secret.json` of a profile, 0600, replaced whole; with it no person is needed to log in. Steps, each
durable before the next, so that a client killed at any moment gets in with one of the two:

1 a moment is picked in the gateway's window · 2 "asked": the next secret and its request's id are
written; every request from now on is this one · 3 RotateSecret · 4 "given": the gateway has it ·
5 Login with it: it is the current one · 6 that is written
"""

import fcntl
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gateway.client.files import PRIVATE_FILE, write_private
from gateway.client.secret import Secret
from gateway.clock import US_PER_S

State = Literal["", "asked", "given"]
# After a failure it is tried again, later each time.
_FIRST_PAUSE_US, _LONGEST_PAUSE_US = 60 * US_PER_S, 3600 * US_PER_S
# So many failures in a row are told.
TOLD_FAILURES = 2


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept; times in microseconds since 1970, 0: not known.

    `refused` is the reason of the last failure.
    """

    current: Secret
    next: Secret | None = None
    request_id: str = ""
    state: State = ""
    window: tuple[int, int] = (0, 0)
    moment_us: int = 0
    failures: int = 0
    again_us: int = 0
    refused: str = ""

    @property
    def candidates(self) -> tuple[Secret, ...]:
        """The secrets that may open a session, the likeliest first."""
        return (self.current,) if self.next is None else (self.next, self.current)

    def due(self, now_us: int) -> bool:
        """Return whether it is time to rotate."""
        begun = bool(self.state) or 0 < self.moment_us <= now_us
        return begun and now_us >= self.again_us

    def failing(self) -> bool:
        """Return whether people should know."""
        return self.failures >= TOLD_FAILURES or self.refused == "SECRET_REPLACED"

    def told(self, window: tuple[int, int], now_us: int) -> "Kept":
        """Return it with the gateway's window, and a moment picked in it unless it has one."""
        if window == self.window:
            return self
        if not any(window):
            return replace(self, window=window, moment_us=0)
        start, end = max(window[0], now_us), max(window[1], now_us)
        return replace(self, window=window, moment_us=start + secrets.randbelow(end - start + 1))

    def asked(self, fresh: Secret, request_id: str) -> "Kept":
        """Return it with a next secret; the one that is pending already stays."""
        if self.next is not None:
            return self
        return replace(self, next=fresh, request_id=request_id, state="asked")

    def given(self, request_id: str) -> "Kept":
        """Return it after the gateway took the next secret."""
        return replace(self, state="given") if request_id == self.request_id else self

    def opened(self, by: Secret) -> "Kept":
        """Return it after this secret opened a session."""
        if by == self.next:
            return Kept(by, window=self.window)
        if self.state == "given":  # it lapsed before it was used, and is given again
            return replace(self, state="asked")
        return self if self.state else replace(self, failures=0, again_us=0, refused="")

    def forgotten(self) -> "Kept":
        """Return it without its next secret, which the gateway will not have."""
        return replace(self, next=None, request_id="", state="")

    def failed(self, reason: str, now_us: int) -> "Kept":
        """Return it after a failure."""
        pause = min(_FIRST_PAUSE_US << min(self.failures, 10), _LONGEST_PAUSE_US)
        return replace(self, failures=self.failures + 1, again_us=now_us + pause, refused=reason)


Step = Callable[[Kept], Kept]


def journal(profile: Path) -> Path:
    """Return the journal's file."""
    return profile / "secret.json"


def load(profile: Path) -> Kept | None:
    """Return what is kept, None where a person keeps the secret.

    Raises OSError; ValueError for a file that is damaged: it is not taken for an absent one.
    """
    try:
        document = json.loads(journal(profile).read_bytes())
    except FileNotFoundError:
        return None
    try:
        document["current"] = Secret(str(document["current"]))
        document["next"] = None if document["next"] is None else Secret(str(document["next"]))
        return Kept(**{**document, "window": tuple(document["window"])})
    except (KeyError, TypeError) as error:
        msg = f"{journal(profile)}: not a journal"
        raise ValueError(msg) from error


def save(profile: Path, kept: Kept) -> Kept:
    """Keep it, and return it."""
    document = {name: getattr(kept, name) for name in Kept.__slots__}
    document["current"] = kept.current.value
    document["next"] = None if kept.next is None else kept.next.value
    write_private(journal(profile), json.dumps(document).encode())
    return kept


def change(profile: Path, step: Step) -> Kept | None:
    """Take a step from what is kept now, alone among the profile's processes; None: nothing is."""
    descriptor = os.open(
        profile / "secret.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE
    )
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        kept = load(profile)
        if kept is None:
            return None
        after = step(kept)
        return kept if after == kept else save(profile, after)
    finally:
        os.close(descriptor)


def forget(profile: Path) -> None:
    """Keep it no more: from now on a person does."""
    journal(profile).unlink(missing_ok=True)
