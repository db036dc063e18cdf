"""A service account's secret rotates by itself: killed at every step, answers lost, two processes, clones, a running upload."""

import asyncio
import json

import pytest

from gateway.client import kept_secret, own_secret
from gateway.client.client import Client
from gateway.client.secret import Secret
from gateway.client.upload import Upload
from gateway.clock import TurnedClock
from gateway.errors import Reason, Refusal, refuse
from gateway.v1 import audit_service_pb2 as au
from tests.client.rotating_gateway import HOUR_US, OVERLAP_US, RotatingGateway
from tests.client.small_gateway import DAY_US, PASSWORD
from tests.client.test_upload import Kept as KeptReceipts
from tests.client.test_upload import batches

NOW_US = 1_800_000_000_000_000


class Killed(BaseException):
    """The process ends here: nothing catches it, nothing is tidied up."""


class Stage:
    """A gateway, one profile whose secret is kept, hands of the clock."""

    def __init__(self, folder):
        self.clock = TurnedClock(NOW_US)
        self.gateway = RotatingGateway(clock=self.clock)
        self.gateway.log.append(b"first")
        self.folder = folder
        self.profile = None

    def client(self, profile=None):
        return Client(profile or self.profile, clock=self.clock, own_connection=True)

    async def call(self, client):
        return await client.call(client.audit.GetCheckpoint, au.GetCheckpointRequest())

    def kept(self, folder=None):
        return kept_secret.load(folder or self.folder)

    async def adopted(self):
        async with self.client() as client:
            await client.own_secret.adopt(Secret(PASSWORD))

    async def due(self):
        """Its moment has come."""
        await self.adopted()
        self.clock.us = self.kept().moment_us + 1

    async def at_work(self, profile=None):
        """A client is started, makes a call and ends."""
        async with self.client(profile) as client:
            await self.call(client)
            await client.settled()


def play(folder, scene):
    at = Stage(folder)

    async def scenario():
        async with at.gateway:
            at.profile = at.gateway.profile(folder)
            await scene(at)

    asyncio.run(asyncio.wait_for(scenario(), 60))
    return at


def test_it_rotates_at_its_own_moment_around_the_half_of_its_life_and_nobody_notices(tmp_path):
    async def scene(at):
        await at.adopted()
        moment_us = at.kept().moment_us
        assert NOW_US + 36 * DAY_US <= moment_us <= NOW_US + 54 * DAY_US
        at.clock.us = moment_us - 1
        await at.at_work()
        assert at.gateway.brought == []
        at.clock.us = moment_us
        await at.at_work()
        assert at.gateway.current == at.gateway.brought[0] == at.kept().current.value
        assert at.kept().moment_us > moment_us
        assert (at.kept().state, at.kept().next) == ("", None)
        await at.at_work()

    at = play(tmp_path, scene)
    assert len(at.gateway.brought) == 1
    assert len(at.gateway.brought[0]) == 43
    for name in ("secret.json", "secret.lock", "rotating.lock"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_a_one_time_password_is_replaced_at_once_and_no_person_is_needed_again(tmp_path):
    async def scene(at):
        at.gateway.one_time = True
        (at.folder / "password").write_text(PASSWORD)
        await at.adopted()
        assert not (at.folder / "password").exists()
        assert at.gateway.current == at.gateway.brought[0] != PASSWORD
        at.clock.turn(seconds=3 * 86_400)
        await at.at_work()

    assert play(tmp_path, scene).gateway.calls[:3] == ["Login", "RotateSecret", "Login"]


STEPS = [
    "asked",
    "before RotateSecret",
    "after RotateSecret",
    "given",
    "before Login",
    "after Login",
    "taken",
]


def kill(at, step, monkeypatch):
    """End the next client at a step of the journal, or around the commit of a call."""
    word = step.split()[0]
    if " " in step:

        def fault(name):
            if name == step.split()[1]:
                setattr(at.gateway, word, lambda _: None)
                raise refuse(Reason.FRONT_AWAY)

        setattr(at.gateway, word, fault)
        return
    save = kept_secret.save

    def killed(profile, kept):
        saved = save(profile, kept)
        if (kept.state or "taken") == word and (word != "taken" or kept.current.value != PASSWORD):
            raise Killed
        return saved

    monkeypatch.setattr(kept_secret, "save", killed)


@pytest.mark.parametrize("late_us", [0, 3 * HOUR_US, 4 * DAY_US], ids=["soon", "hours", "days"])
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_it_gets_in_again_and_makes_no_second_secret(
    tmp_path, monkeypatch, step, late_us
):
    async def scene(at):
        await at.due()
        async with at.client() as client:
            await client.session.token()
            kill(at, step, monkeypatch)
            with pytest.raises((Refusal, Killed)):
                await client.own_secret.rotate()
        monkeypatch.undo()
        at.clock.us += late_us + 2 * HOUR_US
        for _ in range(3):
            await at.at_work()
            at.clock.us += 2 * HOUR_US
        assert len(set(at.gateway.brought)) == 1
        assert at.kept().current.value == at.gateway.current == at.gateway.brought[0]
        assert (at.kept().state, at.kept().failures) == ("", 0)

    play(tmp_path, scene)


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_of_its_first_secret_the_one_time_password_is_not_needed_again(
    tmp_path, monkeypatch, step
):
    async def scene(at):
        at.gateway.one_time = True
        kill(at, step, monkeypatch)
        if step.endswith("Login"):  # the first login is by the one-time password
            at.gateway.before = at.gateway.after = lambda _: None
            name, fault = step.split()[0], refuse(Reason.FRONT_AWAY)
            count = []

            def second(called):
                count.append(called)
                if count.count("Login") == 2:
                    setattr(at.gateway, name, lambda _: None)
                    raise fault

            setattr(at.gateway, name, second)
        with pytest.raises((Refusal, Killed)):
            await at.adopted()
        monkeypatch.undo()
        at.clock.turn(seconds=3600)
        await at.at_work()
        await at.at_work()
        assert len(set(at.gateway.brought)) == 1
        assert at.kept().current.value == at.gateway.current == at.gateway.brought[0]

    play(tmp_path, scene)


def test_two_processes_of_one_profile_rotate_once(tmp_path):
    async def scene(at):
        await at.due()
        async with at.client() as one, at.client() as other:
            await asyncio.gather(*(at.call(client) for client in (one, other)))
            await asyncio.gather(one.settled(), other.settled())
            assert await asyncio.gather(at.call(one), at.call(other))
        await at.at_work()

    at = play(tmp_path, scene)
    assert len(set(at.gateway.brought)) == 1
    assert at.gateway.current == at.gateway.brought[0]


def test_a_clone_goes_on_for_the_overlap_is_told_from_its_first_login_on_and_then_refused(tmp_path):
    async def scene(at):
        await at.due()
        clone = at.gateway.clone(at.folder, tmp_path / "clone")
        await at.at_work()
        made_us = at.gateway.made_us
        at.clock.us = made_us + 25 * HOUR_US
        await at.at_work(clone)
        assert at.kept(clone.folder).failing()
        assert at.kept(clone.folder).refused == "SECRET_REPLACED"
        assert at.gateway.current == at.kept().current.value
        at.clock.us = made_us + OVERLAP_US
        async with at.client(clone) as client:
            with pytest.raises(Refusal) as raised:
                await at.call(client)
        assert raised.value.reason is Reason.SECRET_REPLACED
        await at.at_work()
        assert not at.kept().failing()

    play(tmp_path, scene)


def test_after_a_reset_both_are_refused_and_the_one_time_password_is_adopted(tmp_path):
    async def scene(at):
        await at.due()
        at.gateway.reset("ABCDE-12345")
        for failures in (1, 2):
            async with at.client() as client:
                with pytest.raises(Refusal) as raised:
                    await at.call(client)
            assert raised.value.reason in (Reason.LOGIN_FAILED, Reason.SESSION_UNKNOWN)
            assert at.kept().failures >= failures
            at.clock.us += HOUR_US
        assert at.kept().failing()
        async with at.client() as client:
            await client.own_secret.adopt(Secret("ABCDE-12345"))
        assert not at.kept().failing()
        await at.at_work()

    play(tmp_path, scene)


def test_a_failure_is_tried_again_with_the_same_secret_and_told_after_two(tmp_path):
    async def scene(at):
        await at.due()

        def away(name):
            if name == "RotateSecret":
                raise refuse(Reason.STORE_AWAY)

        at.gateway.before = away
        await at.at_work()
        first = at.kept()
        assert (first.failures, first.failing(), first.refused) == (1, False, "STORE_AWAY")
        await at.at_work()
        assert at.kept().failures == 1
        at.clock.us = first.again_us
        await at.at_work()
        assert at.kept().failing()
        assert (at.kept().next, at.kept().request_id) == (first.next, first.request_id)
        at.gateway.before = lambda _: None
        at.clock.us = at.kept().again_us
        await at.at_work()
        assert at.gateway.current == first.next.value
        assert not at.kept().failing()

    play(tmp_path, scene)


def test_a_secret_that_the_gateway_will_not_have_is_made_anew(tmp_path):
    async def scene(at):
        await at.due()

        def weak(name):
            if name == "RotateSecret":
                at.gateway.before = lambda _: None
                raise refuse(Reason.PASSWORD_WEAK)

        at.gateway.before = weak
        await at.at_work()
        assert (at.kept().next, at.kept().state, at.kept().failures) == (None, "", 1)
        at.clock.us = at.kept().again_us
        await at.at_work()
        assert at.kept().current.value == at.gateway.current != PASSWORD

    play(tmp_path, scene)


def test_a_running_upload_does_not_notice(tmp_path):
    kept = KeptReceipts()

    async def scene(at):
        await at.due()
        async with at.client() as client:
            await Upload(client, batches(100), kept).run()
            await client.settled()
        assert at.gateway.current == at.kept().current.value != PASSWORD

    at = play(tmp_path, scene)
    assert at.gateway.records() == [f"r{n}" for n in range(100)]
    assert at.gateway.streams == 1


def test_a_full_disk_fails_nothing_but_the_rotation(tmp_path, monkeypatch):
    async def scene(at):
        await at.due()

        def full(*_):
            raise OSError(28, "No space left on device")

        async with at.client() as client:
            await client.session.token()
            monkeypatch.setattr(kept_secret, "write_private", full)
            await at.call(client)
            await client.settled()
        assert at.gateway.brought == []
        monkeypatch.undo()
        await at.at_work()
        assert at.gateway.current == at.kept().current.value != PASSWORD

    play(tmp_path, scene)


def test_a_damaged_journal_is_not_taken_for_none(tmp_path):
    async def scene(at):
        await at.adopted()
        (at.folder / "token.json").unlink()
        for damaged in ("{", "[]", '{"current": "x"}', json.dumps({"current": "x", "more": 1})):
            kept_secret.journal(at.folder).write_text(damaged)
            async with at.client() as client:
                with pytest.raises(Refusal):
                    await at.call(client)
                with pytest.raises(ValueError, match=r"journal|Expecting"):
                    _ = client.own_secret.kept
        await at.adopted()
        await at.at_work()

    play(tmp_path, scene)


def test_where_a_person_keeps_the_password_nothing_is_done(tmp_path):
    async def scene(at):
        async with at.client() as client:
            assert await client.own_secret.log_in() is None
            assert not await client.own_secret.rotate()
            with pytest.raises(Refusal) as raised:
                await at.call(client)
            assert raised.value.reason is Reason.TOKEN_MISSING
        assert not kept_secret.journal(at.folder).exists()

    play(tmp_path, scene)


def test_a_password_that_a_person_sets_is_kept_no_more(tmp_path):
    async def scene(at):
        await at.adopted()
        async with at.client() as client:
            await client.session.change_password(Secret(PASSWORD), Secret("another battery 9Z"))
        assert at.kept() is None

    play(tmp_path, scene)


def test_no_secret_shows_itself(tmp_path):
    async def scene(at):
        await at.due()
        await at.at_work()
        assert at.gateway.current not in repr(at.kept())

    play(tmp_path, scene)
    assert own_secret.UNREADABLE == "JOURNAL_UNREADABLE"
