"""The client vouches for the log while it uploads, stops with an alarm when it cannot, and goes on when it is merely not heard."""

import asyncio

import pytest

from gateway.client import alarm
from gateway.client.checkpoints import LogError
from gateway.client.client import Client
from gateway.client.secret import Secret
from gateway.client.witness import Witness
from gateway.clock import TurnedClock
from gateway.errors import Reason, Refusal
from gateway.tlog import contradiction
from gateway.tlog.cosignature import verified
from tests.client.small_gateway import PASSWORD, Log, SmallGateway
from tests.client.test_alarm import fork_of
from tests.client.test_checkpoints import log_of

START_US = 1_800_000_000_000_000


def play(folder, scene, *, witness=True):
    clock = TurnedClock(START_US)
    gateway = SmallGateway(clock=clock)
    log_of(11, gateway.log)

    async def scenario():
        async with gateway:
            profile = gateway.profile(folder)
            if witness:
                Witness.create(profile)
            async with Client(profile, clock=clock, password=lambda: Secret(PASSWORD)) as client:
                await scene(gateway, client)

    asyncio.run(asyncio.wait_for(scenario(), 60))
    return gateway


async def settled(client):
    await client.session.token()
    await client.settle()


def test_what_was_settled_is_vouched_for(tmp_path):
    async def scene(gateway, client):
        await settled(client)
        [(size, first), (_, second)] = gateway.cosignatures
        note = gateway.log.checkpoint(size) + first + second
        assert len(verified(note, client.witness.keys)) == 2
        await settled(client)
        assert gateway.cosignatures[2][0] > size

    assert "AddCosignatures" in play(tmp_path, scene).calls


def test_who_is_no_witness_asks_for_nothing(tmp_path):
    async def scene(gateway, client):
        await settled(client)

    assert "GetWitnessing" not in play(tmp_path, scene, witness=False).calls


def test_a_witness_that_is_not_registered_uploads_all_the_same(tmp_path):
    async def scene(gateway, client):
        gateway.witness_unknown = True
        await settled(client)
        assert client.uncosigned.reason is Reason.WITNESS_UNKNOWN
        with pytest.raises(Refusal):
            await client.cosign(client.witness)
        gateway.witness_unknown = False
        await settled(client)
        assert client.uncosigned is None

    play(tmp_path, scene)


def test_keys_of_the_log_are_followed_before_anything_is_judged(tmp_path):
    async def scene(gateway, client):
        await settled(client)
        size, new = client.checkpoints.kept.size, gateway.log.follow(overlap=False)
        assert (await client.cosign(client.witness)).size > size
        assert client.checkpoints.keys.newest == new.verifier

    play(tmp_path, scene)


def test_a_disk_that_is_full_lets_nothing_be_cosigned(tmp_path):
    async def scene(gateway, client):
        (tmp_path / "witness" / "lock").mkdir()
        with pytest.raises(LogError) as error:
            await client.cosign(client.witness)
        assert error.value.code == "WITNESS_STATE"
        assert gateway.cosignatures == []

    play(tmp_path, scene)


def test_a_request_that_is_none_is_refused(tmp_path):
    async def scene(gateway, client):
        answer = await client.ask_witness(0)

        async def nonsense(_):
            answer.add_checkpoint = "nonsense"
            return answer

        client.ask_witness = nonsense
        with pytest.raises(LogError) as error:
            await client.cosign(client.witness)
        assert error.value.code == "REQUEST_FORM"

    play(tmp_path, scene)


def test_what_others_vouched_for_is_of_the_same_log(tmp_path):
    """Split view: the other city's line came through, upon another log."""

    async def scene(gateway, client):
        await settled(client)
        gateway.confirmed = fork_of(gateway.log, 5, client.checkpoints.kept.size).checkpoint()
        with pytest.raises(LogError) as error:
            await client.cosign(client.witness)
        assert error.value.code == "LOG_INCONSISTENT"
        proof = alarm.standing(client.profile)
        assert contradiction.parse(proof.read_text()).judge()[0] == "fork"

    play(tmp_path, scene)


def test_what_others_are_said_to_vouch_for_is_signed_by_the_log(tmp_path):
    async def scene(gateway, client):
        await settled(client)
        before = len(gateway.cosignatures)
        gateway.confirmed = log_of(5, Log()).checkpoint()
        with pytest.raises(LogError) as error:
            await client.cosign(client.witness)
        assert error.value.code == "SIGNATURE_MISSING"
        assert len(gateway.cosignatures) == before
        assert alarm.standing(client.profile) is None

    play(tmp_path, scene)
