import asyncio

import pytest

from gateway.client.checkpoints import LogError
from gateway.client.client import Client
from gateway.client.secret import Secret
from gateway.clock import TurnedClock
from gateway.errors import Reason, Refusal
from gateway.tlog import note
from gateway.tlog.keys import Succession
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


def test_a_key_that_follows_is_followed_while_both_sign(tmp_path):
    """By the way, with the next proof of the log; nothing is asked for it."""

    async def scene(gateway, client, clock):
        await client.session.token()
        new = gateway.log.follow()
        await client.settle()
        assert client.checkpoints.keys.newest == new.verifier
        gateway.log.signers = [new]
        await client.call(client.audit.GetCheckpoint, v1.GetCheckpointRequest())
        await client.settle()

    calls = ["Login", "GetCheckpoint", "GetConsistencyProof"]
    assert play(tmp_path, scene).calls[:3] == calls


def test_a_client_that_was_away_while_both_signed_asks_before_it_believes(tmp_path):
    async def scene(gateway, client, clock):
        new = gateway.log.follow(overlap=False)
        again = gateway.log.follow(overlap=False)
        await client.session.token()
        assert client.checkpoints.kept is None
        assert not client.checkpoints.unproven
        answer = await client.call(client.audit.GetCheckpoint, v1.GetCheckpointRequest())
        assert client.checkpoints.keys.verifiers[1:] == [new.verifier, again.verifier]
        assert client.checkpoints.see(answer.checkpoint).size
        await client.settle()
        assert client.checkpoints.kept is not None

    play(tmp_path, scene)
    assert len(list((tmp_path / "log-keys").iterdir())) == 2


def test_a_client_that_ends_before_it_asked_asks_at_its_end(tmp_path):
    async def scene(gateway, client, clock):
        gateway.log.follow(overlap=False)
        await client.session.token()

    assert play(tmp_path, scene).calls == ["Login", "GetCheckpoint"]
    assert (tmp_path / "log-keys" / "1").exists()
    assert (tmp_path / "checkpoints-unproven").stat().st_size


def stolen(log):
    """The gateway's place is taken by somebody with a key of his own and no note, or a forged one."""
    log.signers = [note.Signer(log.signer.verifier.name, bytes(32))]


def forged(log):
    stolen(log)
    made = Succession(log.signer.verifier, log.signers[0].verifier, 1)
    log.notes = [note.sign(made.text(), *log.signers)]


@pytest.mark.parametrize(("attack", "code"), [(stolen, "SIGNATURE_MISSING"), (forged, "KEY_NOTE_OLD")])  # fmt: skip
@pytest.mark.parametrize("asks", [True, False])
def test_a_strangers_key_is_told_in_the_call_or_at_the_end(tmp_path, attack, code, asks):
    async def scene(gateway, client, clock):
        attack(gateway.log)
        await client.session.token()
        if asks:
            await client.call(client.audit.GetCheckpoint, v1.GetCheckpointRequest())

    with pytest.raises(LogError) as raised:
        play(tmp_path, scene)
    assert raised.value.code == code
    assert not (tmp_path / "log-keys").exists()
    assert not (tmp_path / "checkpoint").exists()


def test_where_nobody_can_be_asked_a_strange_key_is_told_as_such(tmp_path):
    async def scene(gateway, client, clock):
        gateway.log.follow(overlap=False)
        await client.session.token()
        gateway.audit_away = True

    with pytest.raises(LogError) as raised:
        play(tmp_path, scene)
    assert raised.value.code == "SIGNATURE_MISSING"
