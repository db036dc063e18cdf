"""The client keeps a service account's secret and rotates it by itself, and nobody notices.

`look` is cheap and called often. What is due is done in the background by one process of those that
share a profile, in the steps of `kept_secret`; a failure is tried again later with the same next
secret, and never fails what the client was asked to do. Streams and sessions that are open go on.
"""

import asyncio
import fcntl
import os
import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.client import kept_secret
from gateway.client.channel import Channels
from gateway.client.files import PRIVATE_FILE
from gateway.client.kept_secret import Kept
from gateway.client.secret import Secret
from gateway.client.session import Session
from gateway.clock import Clock
from gateway.errors import Reason, Refusal, refuse
from gateway.v1 import identity_service_pb2 as v1
from gateway.v1.identity_service_pb2_grpc import IdentityServiceStub

# 256 bits: no guess, ever.
_SECRET_BYTES = 32
# Of the rules that a next secret may break, the one that time mends.
_TOO_SOON = "PW-AGE"
_FAULTS = (Refusal, OSError, ValueError)
# What is told of a failure that is not the gateway's refusal.
UNREADABLE = "JOURNAL_UNREADABLE"


class OwnSecret:
    """The secret of one profile, as one of its processes sees to it."""

    def __init__(self, channels: Channels, session: Session, *, clock: Clock) -> None:
        """Do nothing until the first look; from now on the session logs in by what is kept."""
        self._channels, self._session, self._clock = channels, session, clock
        self._profile = channels.profile.folder
        self._stub = IdentityServiceStub(channels.to("identity"))
        self._task: asyncio.Task[None] | None = None
        self._one = asyncio.Lock()
        session.own = self.log_in

    @property
    def kept(self) -> Kept | None:
        """What is kept, None where a person keeps the secret; raises OSError, ValueError."""
        return kept_secret.load(self._profile)

    def look(self) -> None:
        """Begin in the background what is due."""
        if self._task is None or self._task.done():
            with suppress(OSError, ValueError):  # what cannot be read now is looked at again
                kept = self.kept
                if kept is not None and kept.due(self._clock.now_us()):
                    self._task = asyncio.create_task(self._unnoticed())

    async def settled(self) -> None:
        """Wait until nothing is being done."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def adopt(self, secret: Secret) -> v1.LoginResponse:
        """Keep a secret from now on; a one-time password is replaced at once.

        Raises the refusal; what was kept before stays then, and where it is this secret with the
        next one pending, that one is not given up.
        """
        with suppress(ValueError):
            kept = self.kept
            if kept is not None and kept.current == secret and kept.next is not None:
                return await self._adopted(secret, kept)
        return await self._adopted(secret, Kept(secret))

    async def log_in(self) -> v1.LoginResponse | None:
        """Open a session with what is kept, None where nothing is.

        Raises the refusal when no kept secret opens one: that is told until an officer resets.
        """
        try:
            kept = self.kept
        except ValueError:
            raise refuse(Reason.LOGIN_FAILED) from None
        if kept is None:
            return None
        refusals: list[Refusal] = []
        for secret in kept.candidates:
            try:
                answer = await self._session.login(secret)
            except Refusal as refusal:
                if refusal.reason not in (Reason.LOGIN_FAILED, Reason.SECRET_REPLACED):
                    raise
                refusals.append(refusal)
            else:
                self._opened(secret, answer)
                return answer
        self._failed(refusals[-1].reason)
        raise refusals[-1]

    async def rotate(self) -> bool:
        """Rotate now; returns whether it was done here: not while another process does it.

        Raises the refusal, OSError, ValueError.
        """
        async with self._one:
            try:
                return await self._advance()
            except _FAULTS as error:
                self._told(error)
                raise

    async def _adopted(self, secret: Secret, kept: Kept) -> v1.LoginResponse:
        answer = await self._session.login(secret)
        kept_secret.save(self._profile, kept)
        if answer.password_state == v1.PASSWORD_STATE_MUST_CHANGE:
            await self.rotate()
        else:
            self._opened(secret, answer)
        self._channels.profile.password.unlink(missing_ok=True)
        return answer

    async def _unnoticed(self) -> None:
        with suppress(*_FAULTS):
            await self.rotate()

    async def _advance(self) -> bool:
        """Go from the step that was reached to the end."""
        with _alone(self._profile) as alone:
            kept = self.kept if alone else None
            if kept is None:
                return False
            if kept.state == "given":
                await self.log_in()  # by the next one; by the current one where that has lapsed
                kept = self.kept
                if kept is None or not kept.state:
                    return True
            fresh = Secret(secrets.token_urlsafe(_SECRET_BYTES))
            asked = self._step(lambda now: now.asked(fresh, str(uuid.uuid4())))
            if asked is not None and await self._give(asked):
                await self.log_in()
            return True

    async def _give(self, asked: Kept) -> bool:
        """Bring the gateway the next secret; returns whether it is still to be logged in with."""
        token = await self._session.token()
        kept = self.kept or asked
        if kept.next is None:  # an answer was lost: it was in force, and opened this session
            return False
        request = v1.RotateSecretRequest(
            request_id=kept.request_id, old_secret=kept.current.value, new_secret=kept.next.value
        )
        await self._channels.call(self._stub.RotateSecret, request, token.secret)
        self._step(lambda found: found.given(request.request_id))
        return True

    def _opened(self, secret: Secret, answer: v1.LoginResponse) -> None:
        """Note what opened a session, and what the gateway told of it."""
        window = answer.secret_window
        bounds = (window.start_time.ToMicroseconds(), window.end_time.ToMicroseconds())
        former = answer.password_state == v1.PASSWORD_STATE_WARNED and not any(bounds)
        now_us = self._clock.now_us()

        def step(kept: Kept) -> Kept:
            after = kept.opened(secret).told(bounds, now_us)
            return after.failed(Reason.SECRET_REPLACED.value, now_us) if former else after

        self._step(step)

    def _told(self, error: Exception) -> None:
        if not isinstance(error, Refusal):
            self._failed(UNREADABLE)
            return
        rules = {one.rule for one in error.violations}
        useless = error.reason is Reason.PASSWORD_WEAK and _TOO_SOON not in rules
        self._failed(error.reason, useless=useless)

    def _failed(self, reason: str, *, useless: bool = False) -> None:
        now_us = self._clock.now_us()

        def step(kept: Kept) -> Kept:
            after = kept.failed(str(reason), now_us)
            return after.forgotten() if useless else after

        with suppress(OSError, ValueError):
            self._step(step)

    def _step(self, step: kept_secret.Step) -> Kept | None:
        return kept_secret.change(self._profile, step)


@contextmanager
def _alone(profile: Path) -> Iterator[bool]:
    """Tell whether this process is the only one that rotates; it stays so within the block."""
    lock = os.open(profile / "rotating.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(lock)
