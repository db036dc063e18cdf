"""Attacks 91-93, 97, 98 of reference/identity.md: guessing, enumeration, locking others out, one-time passwords."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.errors import ExhaustedError, Reason, Refusal, UnauthenticatedError
from gateway.link.connection import Connection
from gateway.store.database import Transaction
from tests.identity.office import GOOD, Office, at_the_office, connection

NAME = "hub-upload"
Conninfo = Callable[[str], str]


async def refusal(
    office: Office, name: str, password: str, over: Connection | None = None
) -> Refusal:
    try:
        await office.log_in(name, password, over)
    except Refusal as refused:
        return refused
    raise AssertionError


def said(refused: Refusal) -> tuple[object, ...]:
    """All that a caller could learn from a refusal."""
    return (
        type(refused),
        refused.reason,
        str(refused),
        (*refused.metadata,),
        refused.violations,
        refused.retry_after_s,
    )


CAUSES = {
    "wrong password": (NAME, "wrong-Password-1", connection()),
    "no such account": ("nobody", GOOD, connection()),
    "no name at all": ("", GOOD, connection()),
    "not a name": ("x" * 4000, GOOD, connection()),
    "SQL": ("' OR ''='", GOOD, connection()),
    "another system's account": (NAME, GOOD, connection("sys/spare")),
    "an officer of the same name": (NAME, GOOD, connection("officer/hub")),
    "another organisation's account": (NAME, GOOD, connection(organisation="140200")),
    "suspended account": ("suspended", GOOD, connection()),
    "no password": (NAME, "", connection()),
    "half a character": (NAME, "\ud800", connection()),
    "a very long password": (NAME, "x" * 8000, connection()),
}


def test_every_cause_sounds_the_same(conninfo: Conninfo) -> None:
    async def scene(office: Office) -> None:
        await office.settled()
        await office.settled("suspended")
        async with office.administration.transaction() as tx:
            await tx.execute("UPDATE gateway.account SET state = 2 WHERE name = 'suspended'")
        heard = {cause: said(await refusal(office, *attempt)) for cause, attempt in CAUSES.items()}
        assert set(heard.values()) == {
            (UnauthenticatedError, Reason.LOGIN_FAILED, "LOGIN_FAILED", (), (), None)
        }
        await office.log_in(NAME, GOOD)

    at_the_office(conninfo, scene)


def test_every_cause_costs_the_same_work(
    conninfo: Conninfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same statements and hashes of the same parameters, so the same time (`make bench` has the figures).

    Two hashes for a system's certificate, which may have two secrets, one for an officer's: his own he knows.
    """
    done: list[str] = []
    fetch_one = Transaction.fetch_one

    async def watched(self: Transaction, sql: str, parameters: tuple = ()) -> object:
        done.append(sql)
        return await fetch_one(self, sql, parameters)

    async def scene(office: Office) -> None:
        await office.settled()
        await office.settled("suspended")
        async with office.administration.transaction() as tx:
            await tx.execute("UPDATE gateway.account SET state = 2 WHERE name = 'suspended'")
        run = office.desk.passwords.run

        async def counted(work: Callable, hasher: object, stored: str, password: str) -> object:
            done.append(stored.split("$")[3])
            return await run(work, hasher, stored, password)

        monkeypatch.setattr(office.desk.passwords, "run", counted)
        monkeypatch.setattr(Transaction, "fetch_one", watched)
        works = {("sys", 2): set(), ("officer", 1): set()}
        for attempt in CAUSES.values():
            done.clear()
            await refusal(office, *attempt)
            kind = "officer" if "/officer/" in attempt[2].subject else "sys"
            works[kind, 2 if kind == "sys" else 1].add(tuple(done))
        for (_, hashes), same in works.items():
            assert len(same) == 1
            assert len(same.pop()) == 3 + hashes

    at_the_office(conninfo, scene)


def test_guessing_is_slowed_whether_the_account_exists_or_not(conninfo: Conninfo) -> None:
    async def scene(office: Office) -> None:
        await office.settled()
        for name in (NAME, "nobody"):
            heard = [(await refusal(office, name, f"guess-{n}")).reason for n in range(7)]
            assert heard == [Reason.LOGIN_FAILED] * 5 + [Reason.LOGIN_THROTTLED] * 2
        # Even the right password is not looked at while the block lasts, and a blocked attempt does not prolong it.
        blocked = await refusal(office, NAME, GOOD)
        assert (blocked.reason, blocked.retry_after_s) == (Reason.LOGIN_THROTTLED, 60)
        office.clock.turn(seconds=60)
        await office.log_in(NAME, GOOD)
        assert (await refusal(office, NAME, "wrong")).reason is Reason.LOGIN_FAILED

    at_the_office(conninfo, scene)


def test_a_burst_of_guesses_is_not_faster_than_its_count(conninfo: Conninfo) -> None:
    """All at once: no more than five are looked at."""

    async def scene(office: Office) -> None:
        await office.settled()
        refused = await asyncio.gather(*(refusal(office, NAME, f"guess-{n}") for n in range(8)))
        reasons = [one.reason for one in refused]
        assert reasons.count(Reason.LOGIN_FAILED) == 5
        assert reasons.count(Reason.LOGIN_THROTTLED) == 3

    at_the_office(conninfo, scene)


@pytest.mark.parametrize(
    "over",
    [
        connection(organisation="140200"),
        connection("sys/spare"),
        connection("officer/wang"),
        connection("officer/hub"),
    ],
    ids=["other organisation", "other system", "officer", "same name, other kind"],
)
def test_an_outsider_cannot_lock_an_account(conninfo: Conninfo, over: Connection) -> None:
    async def scene(office: Office) -> None:
        await office.settled()
        for n in range(30):
            await refusal(office, NAME, f"guess-{n}", over)
        await office.log_in(NAME, GOOD)
        assert (await refusal(office, NAME, GOOD, over)).reason is Reason.LOGIN_THROTTLED

    at_the_office(conninfo, scene)


def test_a_renewed_certificate_does_not_shake_off_the_count(conninfo: Conninfo) -> None:
    async def scene(office: Office) -> None:
        await office.settled()
        for n in range(5):
            await refusal(office, NAME, f"guess-{n}", connection(certificate=f"renewal {n}"))
        refused = await refusal(office, NAME, GOOD, connection(certificate="another"))
        assert isinstance(refused, ExhaustedError)

    at_the_office(conninfo, scene)


def test_a_one_time_password_dies_after_a_day_and_after_the_change(conninfo: Conninfo) -> None:
    async def scene(office: Office) -> None:
        one_time = await office.open_account()
        office.clock.turn(seconds=24 * 3600 - 1)
        grant = await office.log_in(NAME, one_time)
        office.clock.turn(seconds=1)
        assert (await refusal(office, NAME, one_time)).reason is Reason.LOGIN_FAILED
        assert grant
        second = await office.open_account("hub-second")
        await office.change(await office.log_in("hub-second", second), second, GOOD)
        assert (await refusal(office, "hub-second", second)).reason is Reason.LOGIN_FAILED
        await office.log_in("hub-second", GOOD)

    at_the_office(conninfo, scene)


def test_one_subject_takes_one_place_of_the_hashing(conninfo: Conninfo) -> None:
    """Attack 98: a flood from one certificate is sent away; another subject logs in meanwhile."""

    async def scene(office: Office) -> None:
        await office.settled()
        flood = [
            asyncio.create_task(refusal(office, f"name-{n}", "guess", connection("sys/spare")))
            for n in range(40)
        ]
        await asyncio.sleep(0)
        await office.log_in(NAME, GOOD)
        reasons = {(await task).reason for task in flood}
        assert reasons == {Reason.LOGIN_FAILED, Reason.RATE_LIMITED}

    at_the_office(conninfo, scene)
