"""Who does what in the simulated year: habits by seed, accounts opened in its first days, guessers, clones, the mid-year's tightening."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from gateway.client.secret import Secret
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from tests.faults.year import words
from tests.faults.year.people import Guesser, Habit, Person, identifier
from tests.faults.year.population import (
    ADMINS,
    LASTING,
    Member,
    end_certificate,
    found_admins,
    register_all,
)
from tests.faults.year.services import Habit as ServiceHabit
from tests.faults.year.services import Service
from tests.faults.year.stage import RAISED
from tests.faults.year.wire import Way
from tests.faults.year.words import DAY, HOUR, MINUTE, SECOND
from tests.faults.year.year import Year
from tests.people import PROVINCE

Dealt = TypeVar("Dealt", Habit, ServiceHabit)
HABITS: dict[Habit, int] = {
    "forgets": 60,
    "leave": 30,
    "shares": 18,
    "dismissed": 15,
    "never comes": 10,
    "late taker": 15,
}
SERVICE_HABITS: dict[ServiceHabit, int] = {"off": 12, "cloned": 8, "lost": 6}
CLONES = 6
OPENING_DAYS = 12
# A month ahead the province puts the stricter profile in place; three weeks after it took effect, a release raises hashing.
ANNOUNCED_AT = words.TIGHTENED - 30 * DAY
RAISED_AT = words.TIGHTENED + 21 * DAY
# What must have been met, by rpc; each at least a few times.
REFUSALS = {
    "Login": ("LOGIN_FAILED", "LOGIN_THROTTLED", "LOGIN_LOCKED", "PASSWORD_BLOCKED"),
    "ChangePassword": ("PASSWORD_WEAK",),
    "GetCheckpoint": ("PASSWORD_EXPIRED", "PASSWORD_MUST_CHANGE"),
    "WhoAmI": ("SESSION_UNKNOWN",),
}


async def settle(year: Year) -> None:
    """Register everybody, and let the two administrators take their first passwords."""
    members = await register_all(year.stage)
    await found_admins(year.stage, year.model)
    people = [one for one in members if not one.service and one.role != "admin"]
    services = [one for one in members if one.service]
    for member, habit in zip(people, _dealt(year, HABITS, "heeds", len(people)), strict=True):
        days = 50.0 if habit == "heeds" else 30.0
        year.people[member.key] = Person(year, member, habit, days=days)
    for member, other in zip(
        services, _dealt(year, SERVICE_HABITS, "steady", len(services)), strict=True
    ):
        folder = year.folder / member.key[1]
        year.services[member.key] = Service(year, member, folder, year.crashes, other)
    for member in members:
        kind = "sys" if member.service else "officer"
        year.status.certificates[member.key[0], f"{kind}/{member.key[1]}"] = LASTING
        if member.role == "admin":
            person = year.people[member.key] = Person(year, member, "heeds")
            person.secret = year.model.accounts[member.key].secret
            await person.try_to_work()
            person.come_again(person.days)


def _dealt(year: Year, some: Mapping[Dealt, int], rest: Dealt, count: int) -> list[Dealt]:
    """Return so many habits in a random order."""
    listed = [habit for habit, times in some.items() for _ in range(times)]
    listed += [rest] * (count - len(listed))
    year.dice.shuffle(listed)
    return listed


def make(year: Year) -> None:
    """Put the year's events into its calendar."""
    everybody = [*year.people.values(), *year.services.values()]
    new = [one.member for one in everybody if one.member.role != "admin"]
    year.dice.shuffle(new)
    for day in range(OPENING_DAYS):
        some = new[day::OPENING_DAYS]
        year.at(words.START + day * DAY + 9 * HOUR, _open(year, some))
    for person in year.people.values():
        _plan_person(year, person)
    for service in year.services.values():
        _plan_service(year, service)
    _plan_guesses(year)
    year.at(ANNOUNCED_AT, _announce(year))
    year.at(RAISED_AT, _raise_hashing(year))


def _open(year: Year, some: list[Member]) -> Callable[[], Awaitable[None]]:
    async def opened() -> None:
        officer = year.people[PROVINCE, ADMINS[0]]
        stub = AdminServiceStub(Way(year.wire, officer.member.papers, "administration"))
        token = Secret((await officer.login(officer.secret)).access_token)
        for member in some:
            request = admin.CreateAccountRequest(
                request_id=identifier(year.dice),
                organisation_code=member.key[0],
                account_name=member.key[1],
                roles=[f"ROLE_{member.role.upper()}"],
                system_name=member.key[1],
            )
            answer = await officer.lines.call(stub.CreateAccount, request, token)
            whom: Person | Service = year.people.get(member.key) or year.services[member.key]
            whom.handed(answer.one_time_password)
            if isinstance(whom, Person) and whom.habit != "never comes":
                whom.come_again(whom.days)

    return opened


def _day(year: Year, first: float, last: float) -> int:
    return words.START + round(year.dice.uniform(first, last) * DAY)


def _plan_person(year: Year, person: Person) -> None:
    if person.habit == "leave":
        begins = _day(year, 20, 200)
        person.away = (begins, begins + round(year.dice.uniform(20, 125) * DAY))
    elif person.habit == "shares":
        year.at(_day(year, 20, 60), person.shared)
    elif person.habit == "dismissed":
        moment = _day(year, 30, 300)
        year.at(moment, _dismiss(year, person, moment))


def _dismiss(year: Year, person: Person, moment: int) -> Callable[[], Awaitable[None]]:
    async def dismissed() -> None:
        year.ask_office("suspend", person)
        ends = moment + 40 * DAY
        await end_certificate(year.stage, person.member, ends)
        year.status.certificates[person.member.key[0], f"officer/{person.member.key[1]}"] = ends

    return dismissed


def _plan_service(year: Year, service: Service) -> None:
    if service.habit == "off":
        begins = _day(year, 20, 210)
        service.away = (begins, begins + round(year.dice.uniform(60, 130) * DAY))
    elif service.habit == "cloned":
        year.at(_day(year, 20, 250), service.copied)
    elif service.habit == "lost":
        year.at(_day(year, 20, 330), service.disk_lost)
    if service.habit != "off":
        # In truth a service logs in daily, and so learns of a stricter age in time; here often enough.
        year.at(words.TIGHTENED + round(year.dice.uniform(0.1, 6) * DAY), service.turn_now)


def _plan_guesses(year: Year) -> None:
    """Guesses from colleagues and from the victims' own machines: a few, and those that never stop."""
    people = [one for one in year.people.values() if one.member.role != "admin"]
    heeding = [one for one in people if one.habit == "heeds"]
    forgetting = [one for one in people if one.habit == "forgets"]
    for number, victim in enumerate(heeding[:14]):
        code = victim.member.key[0]
        colleagues = [one for one in people if one is not victim and one.member.key[0] == code]
        times = 104 if number < 3 else year.dice.randint(6, 30)
        guesser = Guesser(year, year.dice.choice(colleagues), victim.member.key[1], times)
        moment = _day(year, 30, 350)
        year.at(moment, guesser.guess)
        for minutes in (3, 200, 1300):
            year.at(moment + minutes * MINUTE, victim.try_to_work)
    for number, victim in enumerate(forgetting[:9]):
        times = 104 if number < 5 else year.dice.randint(6, 12)
        guesser = Guesser(year, victim, victim.member.key[1], times)
        moment = _day(year, 30, 340)
        year.at(moment, guesser.guess)
        year.at(moment + 30 * SECOND, victim.try_to_work)


def _announce(year: Year) -> Callable[[], Awaitable[None]]:
    async def announced() -> None:
        """Put the profile of 1 September in place; the doors are started anew for it, its day comes by itself."""
        folder = year.stage.home.policies / "passwords"
        [now] = folder.glob("mlps3-*.toml")
        text = now.read_text(encoding="utf-8")
        for key, before, after in (
            ("valid_from", "2019-12-01T00:00:00+08:00", "2026-09-01T00:00:00Z"),
            ("minimum_length", words.LENGTH, words.TIGHTER_LENGTH),
            ("maximum_age_days", words.AGE_DAYS, words.TIGHTER_AGE_DAYS),
        ):
            assert text.count(f"{key} = {before}\n") == 1
            text = text.replace(f"{key} = {before}\n", f"{key} = {after}\n")
        (folder / "mlps3-2026-09-01.toml").write_text(text, encoding="utf-8")
        await year.stage.restart()

    return announced


def _raise_hashing(year: Year) -> Callable[[], Awaitable[None]]:
    async def raised() -> None:
        """A release of the gateway with dearer parameters: the others are still taken."""
        year.stage.hashing = (RAISED, *year.stage.hashing)
        await year.stage.restart()

    return raised
