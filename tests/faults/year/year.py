"""The simulated year itself: a calendar of what happens, the office that helps, the gateway's own duties, and what is checked daily."""

import heapq
import itertools
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from gateway.cli import rotation as command
from gateway.client.secret import Secret
from gateway.clock import TurnedClock
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from tests.faults.year import expected, words
from tests.faults.year.engine import Rotation
from tests.faults.year.expected import Status
from tests.faults.year.keys import HostKeys
from tests.faults.year.model import Key, Model
from tests.faults.year.people import Person, identifier
from tests.faults.year.population import ADMINS
from tests.faults.year.services import Crashes, Service
from tests.faults.year.stage import Stage
from tests.faults.year.watching import Watching
from tests.faults.year.wire import Way, Wire
from tests.faults.year.words import DAY, HOUR, MINUTE, SECOND
from tests.people import PROVINCE

# The supervisor looks every minute; here twice a day, and soon after a token key's step is due.
SOON = 2 * MINUTE


@dataclass
class Year:
    """A stage, its people, and the hands of the clock."""

    stage: Stage
    folder: Path
    dice: random.Random
    model: Model = field(default_factory=Model)
    people: dict[Key, Person] = field(default_factory=dict)
    services: dict[Key, Service] = field(default_factory=dict)
    keys: HostKeys = field(default_factory=HostKeys)
    crashes: Crashes = field(default_factory=Crashes)
    days_checked: int = 0
    switches_seen: int = 0

    def __post_init__(self) -> None:
        self._queue: list[tuple[int, int, Callable[[], Awaitable[None]]]] = []
        self._numbers = itertools.count()
        self._asked: dict[Key, str] = {}
        self.watching = Watching(self.model, self.clock)
        self.wire.watch = self.watching
        self.rotation = Rotation(self.stage)
        self.status = Status(self.model, self.keys)

    # --- the calendar -----------------------------------------------------------------------------

    @property
    def clock(self) -> TurnedClock:
        return self.stage.clock

    @property
    def wire(self) -> Wire:
        return self.stage.wire

    @property
    def now(self) -> int:
        return self.clock.us

    def at(self, moment: int, what: Callable[[], Awaitable[None]]) -> None:
        """Let something happen at a moment."""
        heapq.heappush(self._queue, (moment, next(self._numbers), what))

    async def until(self, moment: int) -> None:
        """Let everything happen that comes before a moment."""
        while self._queue and self._queue[0][0] < moment:
            us, _, what = heapq.heappop(self._queue)
            self.clock.us = max(us, self.now)
            await what()
        self.clock.us = moment

    # --- the office -------------------------------------------------------------------------------

    def ask_office(self, what: str, whom: Person | Service) -> None:
        """Ask the province's administrators for help."""
        self._asked[whom.member.key] = what

    async def office_hours(self) -> None:
        """An administrator does what was asked for, never for himself."""
        for admin_name in ADMINS:
            todo = {key: what for key, what in self._asked.items() if key != (PROVINCE, admin_name)}
            officer = self.people[PROVINCE, admin_name]
            if not todo or self.model.accounts[officer.member.key].stage(self.now) == "blocked":
                continue
            token = Secret((await officer.login(officer.secret)).access_token)
            for key, what in todo.items():
                del self._asked[key]
                await self._help(officer, token, key, what)

    async def _help(self, officer: Person, token: Secret, key: Key, what: str) -> None:
        whom: Person | Service = self.people.get(key) or self.services[key]
        stub = AdminServiceStub(Way(self.wire, officer.member.papers, "administration"))
        if self.model.accounts[key].state == "suspended":
            return
        common = {
            "request_id": identifier(self.dice),
            "organisation_code": key[0],
            "account_name": key[1],
            "reason": "asked at the office",
        }
        if what == "suspend":
            suspended = admin.SetAccountStateRequest(**common, state=2)
            await officer.lines.call(stub.SetAccountState, suspended, token)
            return
        if what == "unlock":
            await officer.lines.call(
                stub.UnlockAccount, admin.UnlockAccountRequest(**common), token
            )
            assert isinstance(whom, Person)
            self.at(self.now + 2 * HOUR, whom.try_to_work)
            return
        if self.model.accounts[key].state == "unused":
            resumed = admin.SetAccountStateRequest(
                **{**common, "request_id": identifier(self.dice)}, state=1
            )
            await officer.lines.call(stub.SetAccountState, resumed, token)
        answer = await officer.lines.call(
            stub.ResetPassword, admin.ResetPasswordRequest(**common), token
        )
        whom.handed(answer.one_time_password)

    # --- the gateway ------------------------------------------------------------------------------

    async def look(self) -> None:
        """What the supervisor does every minute: keys and lists."""
        now = self.now
        due = self.keys.due(now)
        held = await self._token() if ("token-key", "switch") in due else None
        await self.rotation.look(due)
        self.keys.take(now)
        if held is not None:
            person, token = held
            await person.work(token)
            await person.work((await person.login(person.secret)).access_token)
            self.switches_seen += 1
        if now - self.status.listed_us >= HOUR:
            assert await self.stage.keeper.look(), "a list older than an hour was not signed"
            self.status.listed_us = now // SECOND * SECOND  # X.509 times have no fraction
        self.at(max(self.keys.tokens.next_due(), now) + SOON, self._look_when_due)

    async def _look_when_due(self) -> None:
        if self.keys.due(self.now):
            await self.look()

    async def evening(self) -> None:
        """What supervisor and doors do by themselves."""
        await self.look()
        await self.stage.do_chores()
        self.model.minute_passes(self.now)

    async def morning(self) -> None:
        """The same, and what is told hourly: here once a day."""
        await self.evening()
        told = self.model.hour_passes(self.now)
        await self.rotation.tell(len(told) + len(self.status.news(self.now)))
        for key in told:
            if key in self.people and self.model.stories[key][-1].startswith("warned"):
                self.people[key].warned()

    async def _token(self) -> tuple[Person, str]:
        """Somebody's token, minted just now."""
        for key, person in self.people.items():
            account = self.model.accounts[key]
            usable = account.state == "active" and account.stage(self.now) in ("issued", "warned")
            if usable and account.secret == person.secret:
                return person, (await person.login(person.secret)).access_token
        raise AssertionError("nobody can come in")

    async def check_status(self) -> None:
        """What the command shows is exactly what the policy's words say."""
        report = await command.read(self.stage.home, self.now)
        document = report.document()
        shown, must = expected.shown_in(document), self.status.at(self.now)
        wrong = {
            which: (shown.get(which), must.get(which))
            for which in {*shown, *must}
            if shown.get(which) != must.get(which)
        }
        day = (self.now - words.START) / DAY
        assert not wrong, f"day {day:.2f}: {dict(list(wrong.items())[:3])}"
        assert document["late"] == sum(line[4] for line in must.values())
        assert document["failing"] == []
        self.days_checked += 1

    async def day(self, number: int) -> None:
        """One day: morning and evening, office hours between, the status at some hour."""
        morning = words.START + number * DAY
        self.at(morning + self.dice.randrange(HOUR), self.morning)
        self.at(morning + 13 * HOUR + self.dice.randrange(HOUR), self.evening)
        self.at(morning + 15 * HOUR + self.dice.randrange(MINUTE), self.office_hours)
        self.at(morning + self.dice.randrange(2 * HOUR, DAY), self.check_status)
        await self.until(morning + DAY)
