import asyncio

import pytest

from gateway.client.client import Client
from gateway.client.secret import Secret
from gateway.clock import TurnedClock
from gateway.errors import Reason, Refusal
from gateway.v1 import audit_service_pb2 as v1
from tests.client.small_gateway import PASSWORD, SmallGateway


def play(folder, scene):
    clock = TurnedClock(1_800_000_000_000_000)
    gateway = SmallGateway(clock=clock)
    gateway.log.append(b"first")

    async def scenario():
        async with gateway:
            profile = gateway.profile(folder)
            async with Client(profile, clock=clock, password=lambda: Secret(PASSWORD)) as client:
                await scene(gateway, client, clock)

    asyncio.run(asyncio.wait_for(scenario(), 20))
    return gateway


def test_a_call_whose_session_ended_is_made_again_with_a_new_one(tmp_path):
    async def scene(gateway, client, clock):
        await client.session.token()
        gateway.tokens.clear()
        answer = await client.call(client.audit.GetCheckpoint, v1.GetCheckpointRequest())
        assert answer.checkpoint == gateway.log.checkpoint()

    assert play(tmp_path, scene).calls == ["Login", "GetCheckpoint", "Login", "GetCheckpoint"]


def test_a_password_that_is_asked_for_again_is_given_and_the_call_goes_on(tmp_path):
    async def scene(gateway, client, clock):
        gateway.unconfirmed = True
        assert (await client.call(client.audit.GetCheckpoint, v1.GetCheckpointRequest())).checkpoint

    calls = ["Login", "GetCheckpoint", "Confirm", "GetCheckpoint"]
    assert play(tmp_path, scene).calls == calls


def test_another_refusal_is_raised(tmp_path):
    async def scene(gateway, client, clock):
        gateway.audit_away = True
        with pytest.raises(Refusal) as raised:
            await client.call(client.audit.GetCheckpoint, v1.GetCheckpointRequest())
        assert raised.value.reason is Reason.AUDIT_DEGRADED

    play(tmp_path, scene)


def test_what_replies_carried_is_proven_and_kept(tmp_path):
    async def scene(gateway, client, clock):
        await client.session.token()
        assert client.checkpoints.unproven
        await client.settle()
        assert client.checkpoints.kept.size == 2

    play(tmp_path, scene)


def test_it_is_proven_once_a_minute_and_later_when_nobody_answers(tmp_path):
    async def scene(gateway, client, clock):
        await client.session.token()
        await client.settle_when_due()
        assert client.checkpoints.kept is None
        clock.turn(seconds=61)
        gateway.audit_away = True
        await client.settle_when_due()
        assert client.checkpoints.kept is None
        gateway.audit_away = False
        await client.settle_when_due()
        assert client.checkpoints.kept is None
        clock.turn(seconds=61)
        await client.settle_when_due()
        assert client.checkpoints.kept is not None

    play(tmp_path, scene)


def test_what_is_not_proven_is_written_down_at_the_end(tmp_path):
    async def scene(gateway, client, clock):
        await client.session.token()

    play(tmp_path, scene)
    assert (tmp_path / "checkpoints-unproven").stat().st_size
