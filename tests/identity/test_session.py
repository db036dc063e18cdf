"""Sessions: rows that end, run out and are left alone too long."""

import pytest

from gateway.identity import session
from gateway.identity.rules import HOUR_US, MINUTE_US
from gateway.identity.session import Session
from gateway.store.database import Database, StoreError
from tests.identity.office import RULES, START_US, Office, at_the_office

LIMITS = RULES.session
SESSION = Session(bytes(16), "140100", "hub-upload", bytes(32), 0, 0, 12 * HOUR_US)


def test_it_runs_out_to_the_microsecond() -> None:
    assert SESSION.alive(12 * HOUR_US - 1)
    assert not SESSION.alive(12 * HOUR_US)
    assert not Session(bytes(16), "1", "a", bytes(32), 0, 0, 12 * HOUR_US, 5).alive(1)


def test_it_is_idle_after_half_an_hour() -> None:
    assert not SESSION.idle(LIMITS, 30 * MINUTE_US)
    assert SESSION.idle(LIMITS, 30 * MINUTE_US + 1)


def test_rows_are_opened_touched_and_ended(conninfo) -> None:
    async def scene(office: Office) -> None:
        await office.open_account()
        async with office.database.transaction() as tx:
            made = [
                await session.create(tx, "140100", "hub-upload", bytes(32), LIMITS, START_US)
                for _ in range(3)
            ]
            first, second, third = (one.sid for one in made)
            assert len({first, second, third}) == 3
            assert await session.read(tx, first) == made[0]
            assert made[0].expires_us == START_US + 12 * HOUR_US
            assert await session.read(tx, bytes(16)) is None
            assert await session.touch(tx, first, START_US + 5)
            found = await session.read(tx, first)
            assert found is not None
            assert found.last_seen_us == START_US + 5
            assert await session.end(tx, first, START_US + 6)
            assert not await session.end(tx, first, START_US + 7)
            assert not await session.touch(tx, first, START_US + 8)
            assert await session.end_all(tx, "140100", "hub-upload", START_US + 9) == 2
            ended = [await session.read(tx, sid) for sid in (first, second)]
            assert [one and one.ended_us for one in ended] == [START_US + 6, START_US + 9]

    at_the_office(conninfo, scene)


@pytest.mark.parametrize("role", ["intake", "administration", "disclosure", "front"])
def test_no_other_door_can_open_a_session(conninfo, role: str) -> None:
    async def scene(office: Office) -> None:
        await office.open_account()
        other = await Database.open(conninfo(role), application="test", size=1)
        with pytest.raises(StoreError, match="permission denied"):
            async with other.transaction() as tx:
                await session.create(tx, "140100", "hub-upload", bytes(32), LIMITS, START_US)
        await other.close()

    at_the_office(conninfo, scene)


def test_a_session_goes_on_over_the_next_certificate_and_ends_when_it_would_have(conninfo) -> None:
    async def scene(office: Office) -> None:
        await office.open_account()
        async with office.database.transaction() as tx:
            first = await session.create(tx, "140100", "hub-upload", bytes(32), LIMITS, START_US)
            second = await session.follow(tx, first, b"2" * 32, START_US + HOUR_US)
            assert await session.read(tx, second.sid) == second
        assert second.sid != first.sid
        assert second.certificate_sha256 == b"2" * 32
        assert (second.created_us, second.expires_us) == (START_US + HOUR_US, first.expires_us)

    at_the_office(conninfo, scene)


def test_a_confirmation_is_noted_in_a_session_that_stands(conninfo) -> None:
    async def scene(office: Office) -> None:
        await office.open_account()
        async with office.database.transaction() as tx:
            made = await session.create(tx, "140100", "hub-upload", bytes(32), LIMITS, START_US)
            assert made.confirmed_us == START_US
            assert await session.confirm(tx, made.sid, START_US + 7)
            found = await session.read(tx, made.sid)
            assert found is not None
            assert found.confirmed_us == START_US + 7
            # The session of the next certificate is confirmed as this one was, not anew.
            following = await session.follow(tx, found, bytes(32), START_US + 9)
            assert following.confirmed_us == START_US + 7
            assert await session.read(tx, following.sid) == following
            await session.end(tx, made.sid, START_US + 10)
            assert not await session.confirm(tx, made.sid, START_US + 11)

    at_the_office(conninfo, scene)
