"""The 300 people of the simulated year and how they treat their passwords.

Each lives by a seeded habit: heeds the warnings, forgets, goes on leave, shares, is guessed at, is dismissed, never comes. What they
meet is not decided here: the model predicts it, the wire compares.
"""

import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import pytest

from gateway.client.secret import Secret
from gateway.clock import TurnedClock
from gateway.errors import Reason, Refusal
from gateway.v1 import audit_service_pb2 as audit
from gateway.v1 import identity_service_pb2 as identity
from gateway.v1.audit_service_pb2_grpc import AuditServiceStub
from gateway.v1.identity_service_pb2_grpc import IdentityServiceStub
from tests.faults.year import words
from tests.faults.year.population import Member, password
from tests.faults.year.wire import Lines, Way, Wire
from tests.faults.year.words import DAY, HOUR, MINUTE, SECOND

Habit = Literal["heeds", "forgets", "leave", "shares", "dismissed", "never comes", "late taker"]
_NOTHING = Path("/nonexistent")
_EXPIRED = (identity.PASSWORD_STATE_EXPIRED, identity.PASSWORD_STATE_MUST_CHANGE)


class Calendar(Protocol):
    """What people need of the year."""

    wire: Wire
    dice: random.Random

    @property
    def clock(self) -> TurnedClock: ...

    @property
    def now(self) -> int: ...

    def at(self, moment: int, what: Callable[[], Awaitable[None]]) -> None: ...

    def ask_office(self, what: str, whom: Any) -> None: ...


@dataclass
class Person:
    """One person; `secret` is what he believes his password to be."""

    year: Calendar
    member: Member
    habit: Habit
    secret: str = ""
    away: tuple[int, int] = (0, 0)
    ill_treated: list[str] = field(default_factory=list)
    gone: bool = False
    days: float = 25.0
    changed_at: int = 0
    lines: Lines = field(init=False)

    def __post_init__(self) -> None:
        papers = self.member.papers
        self.lines = Lines(self.year.wire, papers, _NOTHING, self.member.key[1])
        self._identity = IdentityServiceStub(self.lines.to("identity"))
        self._audit = AuditServiceStub(Way(self.year.wire, papers, "administration"))

    # --- what a person can do ---------------------------------------------------------------------

    async def login(self, secret: str, account: str = "") -> identity.LoginResponse:
        """Log in; raises Refusal."""
        name = account or self.member.key[1]
        request = identity.LoginRequest(account_name=name, password=secret)
        return await self.lines.call(self._identity.Login, request)

    async def work(self, token: str) -> None:
        """Do something that only a good password allows; raises Refusal."""
        request = audit.GetCheckpointRequest()
        await self.lines.call(self._audit.GetCheckpoint, request, Secret(token))

    async def who(self, token: str) -> None:
        """Ask who I am; raises Refusal."""
        await self.lines.call(self._identity.WhoAmI, identity.WhoAmIRequest(), Secret(token))

    async def change(self, token: str) -> str:
        """Choose another password, until it is taken; return the fresh token."""
        now = self.year.now
        short = words.LENGTH if self.year.dice.random() < 0.2 else words.length(now)
        for length in (short, words.length(now)):
            fresh = password(self.year.dice, length)
            request = identity.ChangePasswordRequest(
                request_id=identifier(self.year.dice), old_password=self.secret, new_password=fresh
            )
            try:
                answer = await self.lines.call(
                    self._identity.ChangePassword, request, Secret(token)
                )
            except Refusal as refusal:
                if [one.rule for one in refusal.violations] != ["PW-LENGTH"]:
                    raise
            else:
                self.secret, self.changed_at = fresh, self.year.now
                return answer.access_token
        raise AssertionError("a long password was not taken")

    # --- how he lives -----------------------------------------------------------------------------

    def come_again(self, days: float) -> None:
        """Come at some hour of the day in about so many days."""
        moment = self.year.now + round(days * self.year.dice.uniform(0.6, 1.4) * DAY)
        moment = max(moment, self.away[1]) if moment >= self.away[0] else moment
        self.year.at(moment, self.visit)

    async def visit(self) -> None:
        """Come, do what is to be done, and come again."""
        if self.gone:
            return
        await self.try_to_work()
        self.come_again(self.days)

    async def try_to_work(self) -> None:
        """Log in and work; change the password where that is needed or the habit says so."""
        try:
            answer = await self.login(self.secret)
        except Refusal as refusal:
            self.refused(refusal.reason)
            return
        token, state = answer.access_token, answer.password_state
        if state in _EXPIRED:
            await self.turned_away(token)
            await self.work(await self.change(token))
        elif state == identity.PASSWORD_STATE_WARNED and self.changes_when_warned():
            await self.work(await self.change(token))
        elif self.year.dice.random() < 0.15:
            await self.work(token)

    def changes_when_warned(self) -> bool:
        """Whether a warning at the login is enough."""
        return self.habit in ("shares", "late taker") or self.year.dice.random() < 0.25

    async def turned_away(self, token: str) -> None:
        """See that nothing can be done with a password that only serves to change itself."""
        with pytest.raises(Refusal) as refused:
            await self.work(token)
        assert refused.value.reason in (Reason.PASSWORD_EXPIRED, Reason.PASSWORD_MUST_CHANGE)

    def refused(self, reason: Reason) -> None:
        """Ask the office for help, or wait."""
        self.ill_treated.append(reason.value)
        self.gone = self.habit == "dismissed" and reason is Reason.LOGIN_FAILED
        if reason is Reason.LOGIN_THROTTLED:
            self.year.at(self.year.now + self.year.dice.randint(90, 360) * MINUTE, self.try_to_work)
        elif reason is Reason.LOGIN_LOCKED:
            self.year.ask_office("unlock", self)
        else:
            self.year.ask_office("reset", self)

    def handed(self, one_time: str) -> None:
        """Take a one-time password from the office, to use it soon; some are slow, and some never do."""
        self.secret = one_time
        if self.habit == "never comes":
            return
        slow = self.habit == "late taker" or self.year.dice.random() < 0.1
        too_slow = slow and self.habit != "heeds" and self.ill_treated.count("LOGIN_FAILED") < 2
        hours = self.year.dice.uniform(30, 40) if too_slow else self.year.dice.uniform(0.2, 23)
        self.year.at(self.year.now + round(hours * HOUR), self.try_to_work)

    def warned(self) -> None:
        """The first warning was told: whoever heeds it changes the password at a day of his own."""
        if self.habit == "heeds" and not self.gone:
            day = self.year.dice.uniform(
                0.1, 12.9
            )  # told a day late at most, fourteen before the end
            self.year.at(self.year.now + round(day * DAY), self.heed)

    async def heed(self) -> None:
        """Change the password because of a warning."""
        answer = await self.login(self.secret)
        if answer.password_state != identity.PASSWORD_STATE_CURRENT:
            await self.work(await self.change(answer.access_token))

    async def shared(self) -> None:
        """Two places use the password; in one it is changed, which ends what is open in the other."""
        if self.gone:
            return
        self.year.at(self.year.now + round(self.year.dice.uniform(30, 50) * DAY), self.shared)
        try:
            here, there = await self.login(self.secret), await self.login(self.secret)
        except Refusal as refusal:
            self.refused(refusal.reason)
            return
        if here.password_state in _EXPIRED or self.year.now - self.changed_at < DAY:
            return
        await self.who(there.access_token)
        before = self.secret
        token = await self.change(here.access_token)
        for refused, work in (
            (Reason.SESSION_UNKNOWN, self.who(there.access_token)),
            (Reason.LOGIN_FAILED, self.login(before)),
        ):
            await must_refuse(work, refused)
        await self.who(token)
        await self.who((await self.login(self.secret)).access_token)


@dataclass
class Guesser:
    """Tries passwords of somebody's account, over the certificate of `bearer`; as often as the blocks let him."""

    year: Calendar
    bearer: Person
    victim: str
    times: int
    reasons: list[str] = field(default_factory=list)

    async def guess(self) -> None:
        """Try once, and again as soon as that counts."""
        with pytest.raises(Refusal) as refused:
            await self.bearer.login(password(self.year.dice, words.LENGTH), self.victim)
        self.reasons.append(refused.value.reason.value)
        counted = self.reasons.count("LOGIN_FAILED")
        pause = min(15, 2 ** min(counted - 5, 4)) * MINUTE if counted >= 5 else 0
        # Not everybody can wait; who came too soon waits the rest.
        if self.reasons[-1] == "LOGIN_THROTTLED" or self.year.dice.random() < 0.1:
            pause //= 2
        if counted < self.times and "LOGIN_LOCKED" not in self.reasons[-3:-1]:
            self.year.at(self.year.now + pause + SECOND, self.guess)


async def must_refuse(work: Awaitable[object], reason: Reason) -> None:
    """Await what must be refused for this reason."""
    with pytest.raises(Refusal) as refused:
        await work
    assert refused.value.reason is reason


def identifier(dice: random.Random) -> str:
    """A request's id."""
    return str(uuid.UUID(int=dice.getrandbits(128), version=4))
