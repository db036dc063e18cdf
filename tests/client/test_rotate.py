"""Renewal unnoticed: by the client itself, at its moment, with lost answers, crashes, several processes and a running upload."""

import asyncio
import errno
import json
import os
from contextlib import suppress
from functools import partial

import pytest

from gateway.client import renewal, rotate, slots
from gateway.client.client import Client
from gateway.client.secret import Secret
from gateway.client.upload import Upload
from gateway.clock import TurnedClock
from gateway.errors import Reason, Refusal
from gateway.v1 import audit_service_pb2 as au
from tests.client.renewing_gateway import RenewingGateway, seconds
from tests.client.small_gateway import PASSWORD
from tests.client.test_upload import Kept, batches

NOW_US = 1_800_000_000_000_000


class Stage:
    """A gateway, one profile, hands of the clock, and clients of it."""

    def __init__(self, folder):
        self.clock = TurnedClock(NOW_US)
        self.gateway = RenewingGateway(clock=self.clock)
        self.gateway.log.append(b"first")
        self.folder = folder
        self.profile = None

    def client(self):
        return Client(
            self.profile, clock=self.clock, password=lambda: Secret(PASSWORD), own_connection=True
        )

    async def call(self, client):
        return await client.call(client.audit.GetCheckpoint, au.GetCheckpointRequest())

    def kept(self):
        return json.loads((self.folder / "slots" / "renewal.json").read_text())


def play(folder, scene):
    at = Stage(folder)

    async def scenario():
        async with at.gateway:
            at.profile = at.gateway.profile(folder)
            await scene(at)

    asyncio.run(asyncio.wait_for(scenario(), 40))
    return at


def test_a_certificate_is_renewed_at_the_clients_own_moment_and_the_session_goes_on(tmp_path):
    async def scene(at):
        async with at.client() as client:
            await at.call(client)
            at.clock.turn(seconds=seconds(1.1))
            await at.call(client)
            await client.rotation.settled()
            moment_us = at.kept()["moment_us"]
            assert NOW_US + 0.4 * 14 * 86_400e6 <= moment_us <= NOW_US + 0.6 * 14 * 86_400e6
            assert at.gateway.renew_requests == 0
            await client.session.token()
            at.clock.us = moment_us - 120_000_000
            await at.call(client)
            at.clock.us = moment_us + 1
            await at.call(client)
            await client.rotation.settled()
            logins = at.gateway.calls.count("Login")
            await at.call(client)
            assert at.gateway.calls.count("Login") == logins
        assert slots.current(at.folder).number == 1
        async with at.client() as client:
            await at.call(client)
        assert at.gateway.calls.count("Login") == logins

    at = play(tmp_path, scene)
    assert at.gateway.renew_requests == 1
    assert [found.state for found in at.gateway.register.values()] == [Reason.CERT_SUPERSEDED, None]
    assert (tmp_path / "slots" / "1" / "key.pem").stat().st_mode & 0o777 == 0o600


def test_generations_go_on_from_slot_to_slot(tmp_path):
    async def scene(at):
        for number in (1, 2, 1):
            async with at.client() as client:
                assert await client.rotation.renew()
                assert (await client.diagnose()).reason == ""
            assert slots.current(at.folder).number == number

    at = play(tmp_path, scene)
    assert [found.generation for found in at.gateway.register.values()] == [1, 2, 3, 4]
    assert at.gateway.came[-1] == ("Diagnose", 4)


def test_a_running_upload_goes_over_to_the_new_certificate_and_nothing_is_lost_or_twice(tmp_path):
    kept = Kept()

    async def scene(at):
        async with at.client() as client:
            at.gateway.faults = [lambda _: None] * 20 + [
                lambda _: at.clock.turn(seconds=seconds(9))
            ]
            await Upload(client, batches(600), kept).run()
            await client.rotation.settled()

    at = play(tmp_path, scene)
    assert at.gateway.records() == [f"r{n}" for n in range(600)]
    assert [receipt.sequence for receipt in kept.receipts] == list(range(1, 61))
    generations = at.gateway.generations
    assert generations == sorted(generations)
    assert set(generations) == {1, 2}
    assert at.gateway.streams == 2


def test_a_lost_answer_is_asked_again_with_the_same_key(tmp_path):
    async def scene(at):
        async with at.client() as client:
            at.gateway.lose_renewals = 1
            with pytest.raises(Refusal):
                await client.rotation.renew()
            assert at.kept()["state"] == "asked"
            key = slots.Slot(at.folder, 1).key.read_bytes()
        async with at.client() as client:
            assert await client.rotation.renew()
            assert slots.current(at.folder).key.read_bytes() == key
            await client.diagnose()

    at = play(tmp_path, scene)
    assert len(at.gateway.register) == 2


def test_a_failure_is_tried_later_with_the_same_key_and_two_in_a_row_are_told(tmp_path):
    async def scene(at):
        at.gateway.renew_faults = [Reason.STORE_AWAY, Reason.STORE_AWAY]
        at.clock.turn(seconds=seconds(9))
        async with at.client() as client:
            keys = set()
            for failures, pause in ((1, 61), (2, 121)):
                await at.call(client)
                await client.rotation.settled()
                assert client.rotation.renewal.failures == failures
                assert client.rotation.renewal.failing() == (failures == 2)
                keys.add(slots.Slot(at.folder, 1).key.read_bytes())
                await at.call(client)
                await client.rotation.settled()
                assert client.rotation.renewal.failures == failures
                at.clock.turn(seconds=pause)
            await at.call(client)
            await client.rotation.settled()
            keys.add(slots.current(at.folder).key.read_bytes())
            assert len(keys) == 1
            assert not client.rotation.renewal.failing()

    at = play(tmp_path, scene)
    assert at.gateway.renew_requests == 3


@pytest.mark.parametrize("full", ["wholly", "for the journal"])
def test_a_full_disk_fails_no_call_is_tried_later_and_told(tmp_path, monkeypatch, full):
    """No task ends unnoticed, nothing is tried at each call; once there is room again it is renewed."""
    tried = []

    def no_room(real, path, content):
        if full == "wholly" or path.name == "renewal.json":
            tried.append(path.name)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, content)

    async def scene(at):
        at.clock.turn(seconds=seconds(9))
        async with at.client() as client:
            with monkeypatch.context() as patched:
                for module in (rotate, renewal, slots):
                    write = partial(no_room, module.write_private)
                    patched.setattr(module, "write_private", write)
                for failures, pause in ((1, 61), (2, 121)):
                    for _ in range(3):
                        await at.call(client)
                        await client.rotation.settled()
                        assert client.rotation._task.exception() is None
                    assert client.rotation.renewal.failures == failures
                    assert client.rotation.renewal.failing() == (failures == 2)
                    at.clock.turn(seconds=pause)
                # Each attempt meets the disk once, and so does the note of its failure.
                assert len(tried) == 4
                with pytest.raises(OSError, match="No space"):
                    await client.rotation.renew()
            assert client.rotation.renewal.failures == 3
            at.clock.turn(seconds=seconds(0.1))
            await at.call(client)
            await client.rotation.settled()
            await at.call(client)
            assert client.rotation.renewal.failures == 0

    at = play(tmp_path, scene)
    assert at.gateway.came[-1][1] == 2
    assert slots.current(tmp_path).number == 1


def test_a_full_disk_does_not_hide_why_an_expired_certificate_was_refused(tmp_path, monkeypatch):
    async def scene(at):
        at.clock.turn(seconds=seconds(16))
        async with at.client() as client:
            with monkeypatch.context() as patched:
                patched.setattr(rotate, "write_private", no_room)
                with pytest.raises(Refusal) as raised:
                    await at.call(client)
            assert raised.value.reason is Reason.CERT_EXPIRED

    def no_room(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    play(tmp_path, scene)


def test_what_cannot_be_read_fails_no_look(tmp_path):
    async def scene(at):
        at.clock.turn(seconds=seconds(9))
        async with at.client() as client:
            await at.call(client)
            await client.rotation.settled()
            at.profile.certificate.rename(tmp_path / "away")
            client.rotation._known = None
            client.rotation.look()
            (tmp_path / "away").rename(at.profile.certificate)

    play(tmp_path, scene)


def test_a_key_that_will_never_do_is_not_kept(tmp_path):
    async def scene(at):
        async with at.client() as client:
            at.gateway.renew_faults = [Reason.FIELD_INVALID]
            with pytest.raises(Refusal):
                await client.rotation.renew()
            key = slots.Slot(at.folder, 1).key.read_bytes()
            assert await client.rotation.renew()
            assert slots.current(at.folder).key.read_bytes() != key

    play(tmp_path, scene)


def test_an_expired_certificate_is_renewed_once_and_the_call_goes_on(tmp_path):
    async def scene(at):
        at.clock.turn(seconds=seconds(16))
        async with at.client() as client:
            assert (await at.call(client)).checkpoint

    at = play(tmp_path, scene)
    assert at.gateway.renew_requests == 1
    assert at.gateway.came[-1][1] == 2


def test_an_upload_survives_the_end_of_its_certificate(tmp_path):
    kept = Kept()

    async def scene(at):
        async with at.client() as client:
            at.gateway.renew_faults = [Reason.STORE_AWAY]
            at.gateway.faults = [lambda _: at.clock.turn(seconds=seconds(15))]
            await Upload(client, batches(100), kept).run()

    at = play(tmp_path, scene)
    assert at.gateway.records() == [f"r{n}" for n in range(100)]
    assert at.gateway.generations[-1] == 2


@pytest.mark.parametrize(
    "reason", [Reason.CERT_REVOKED, Reason.CERT_SUPERSEDED, Reason.LINEAGE_LOCKED]
)
def test_what_cannot_be_mended_is_raised_and_can_be_diagnosed(tmp_path, reason):
    async def scene(at):
        next(iter(at.gateway.register.values())).state = reason
        async with at.client() as client:
            with pytest.raises(Refusal) as raised:
                await at.call(client)
            assert raised.value.reason is reason
            assert (await client.diagnose()).reason == reason

    assert play(tmp_path, scene).gateway.renew_requests == 0


def test_an_expired_certificate_that_is_not_renewed_any_more_is_asked_for_once(tmp_path):
    async def scene(at):
        at.clock.turn(seconds=seconds(30))
        at.gateway.renew_faults = [Reason.RENEWAL_CLOSED] * 3
        async with at.client() as client:
            for _ in range(2):
                with pytest.raises(Refusal) as raised:
                    await at.call(client)
                assert raised.value.reason is Reason.CERT_EXPIRED

    assert play(tmp_path, scene).gateway.renew_requests <= 2


def test_another_process_closes_its_connections_before_the_new_certificate_is_used(tmp_path):
    """Two clients of one profile: the one that does not renew sees the journal, drains and goes over."""

    async def scene(at):
        kept = Kept()
        async with at.client() as ours, at.client() as theirs:
            upload = asyncio.create_task(Upload(theirs, batches(400), kept).run())
            await at.call(ours)
            assert await ours.rotation.renew()
            await at.call(ours)
            await upload
            await theirs.rotation.settled()
        assert [receipt.sequence for receipt in kept.receipts] == list(range(1, 41))

    at = play(tmp_path, scene)
    generations = [generation for _, generation in at.gateway.came]
    assert generations == sorted(generations)
    assert generations[-1] == 2
    assert at.gateway.renew_requests == 1
    assert at.gateway.records() == [f"r{n}" for n in range(400)]


def test_while_another_process_keeps_the_old_connections_the_old_certificate_serves(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(rotate, "EXCHANGE_WAIT_S", 0.1)

    async def scene(at):
        async with at.client() as ours:
            theirs = slots.hold(at.folder)
            assert not await ours.rotation.renew()
            await at.call(ours)
            assert at.gateway.came[-1][1] == 1
            theirs.release()
            at.clock.turn(seconds=601)
            await at.call(ours)
            await ours.rotation.settled()
            await at.call(ours)
            assert at.gateway.came[-1][1] == 2

    at = play(tmp_path, scene)
    assert len(at.gateway.register) == 2


STEPS = ("key", "asked", "certificate", "issued", "current")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_client_killed_at_any_step_has_a_usable_profile_and_never_presents_the_old_one_later(
    tmp_path, monkeypatch, step, when
):
    """Each durable write of a renewal fails once, before or after it is done: a kill there. The next process goes on."""

    class Killed(BaseException):
        pass

    armed = [True]

    def killing(real):
        def write(path, content):
            done = {"key.pem": "key", "certificate.pem": "certificate", "current": "current"}.get(
                path.name
            )
            if path.name == "renewal.json":
                done = json.loads(content)["state"]
            if path.parent.name not in {"1", "slots"} or done != step or not armed[0]:
                return real(path, content)
            armed[0] = False
            if when == "after":
                real(path, content)
            raise Killed

        return write

    for module in (rotate, renewal, slots):
        monkeypatch.setattr(module, "write_private", killing(module.write_private))

    async def scene(at):
        async with at.client() as client:
            with suppress(Killed):
                await client.rotation.renew()
        async with at.client() as client:
            await at.call(client)
            await client.rotation.settled()
            await at.call(client)
            if at.gateway.came[-1][1] == 1:
                assert await client.rotation.renew()
            await at.call(client)

    at = play(tmp_path, scene)
    assert not armed[0]
    generations = [generation for _, generation in at.gateway.came]
    assert generations == sorted(generations)
    assert generations[-1] == max(found.generation for found in at.gateway.register.values()) == 2
    assert [found.state for found in at.gateway.register.values() if found.used] == [
        Reason.CERT_SUPERSEDED,
        None,
    ]


def test_papers_that_are_not_of_this_form_are_used_as_they_are(tmp_path):
    async def scene(at):
        async with at.client() as client:
            at.profile.certificate.write_bytes(at.gateway.papers.server[1])
            client.rotation._known = None
            at.clock.turn(seconds=seconds(10))
            client.rotation.look()
            assert client.rotation._task is None

    play(tmp_path, scene)
