"""The log's signing key is lost or exchanged, its state is not: nothing is signed, and nobody takes another key for it unasked."""

import secrets

import pytest

from gateway.client.checkpoints import Checkpoints, LogError
from gateway.tlog import note
from gateway.v1 import audit_service_pb2 as audit
from tests.cli.test_signer import CHECKPOINT, incident


async def newest(at) -> audit.GetCheckpointResponse:
    token = await at.world.login(at.world.auditor)
    reply = await at.world.call(at.world.auditor, CHECKPOINT, b"", token=token)
    return audit.GetCheckpointResponse.FromString(reply)


async def restart(at) -> None:
    await at.world.kill_signer()
    await at.start_signer()


def test_a_key_that_is_lost_stops_everything_and_its_copy_ends_that(cluster, tmp_path, capsys):
    """No command goes on without it, and none says on the log that it did."""

    async def work(at):
        key = at.world.home.signing_keys
        copy = key.read_bytes()
        key.unlink()
        await restart(at)
        await at.refused_everywhere()
        size = at.world.size()
        await at.ask("wei", "tang")
        approvals = [await at.approve("wei"), await at.approve("tang")]
        assert (await at.resume(*approvals, status=2))["refused"] == "FILE_MISSING"
        assert at.told() == []
        assert at.world.size() == size
        key.write_bytes(copy)
        await at.served_again()
        recovered = [one for one in at.world.leaves(size) if one["kind"] == "log.recover"]
        assert {one["detail"]["cause"] for one in recovered} == {"signer"}
        assert copy.decode().strip().split("+", 4)[4] not in repr(at.world.leaves())

    incident(cluster, tmp_path, capsys, work, lost=False)


def test_another_key_in_its_place_signs_nothing_and_with_two_officers_convinces_no_city(
    cluster, tmp_path, capsys
):
    """They can let the signer go on under a key that nothing vouches for; whoever knows the one before refuses what it signs."""

    async def work(at):
        home = at.world.home
        copy, state = home.signing_keys.read_bytes(), at.state.read_bytes()
        name = note.parse_skey(copy.decode().strip()).verifier.name
        other = note.Signer(name, secrets.token_bytes(note.KEY_LENGTH))
        home.signing_keys.write_text(other.secret_line())
        await restart(at)
        await at.refused_everywhere()
        await at.ask("wei", "tang")
        approvals = [await at.approve("wei"), await at.approve("tang")]
        done = await at.resume(*approvals)
        # It is on the log, first of all that the new key signs: who let it go on, and from which size.
        [leaf] = at.told()
        assert (leaf["index"], leaf["detail"]["approvers"]) == (done["leaf"], "tang.wei")
        await at.served_again()
        shown = await newest(at)
        assert shown.log_keys == []
        for city in ("wei", "tang"):
            kept = Checkpoints(at.profiles[city])
            before = kept.kept
            kept.follow(shown.log_keys)
            with pytest.raises(LogError) as raised:
                kept.see(shown.checkpoint)
            assert raised.value.code == "SIGNATURE_MISSING"
            assert Checkpoints(at.profiles[city]).kept == before
        # The true key and its state come back: what the other signed is no part of what cities know, and the log goes on.
        await at.world.kill_signer()
        home.signing_keys.write_bytes(copy)
        at.state.write_bytes(state)
        await at.start_signer()
        await at.served_again()
        Checkpoints(at.profiles["wei"]).see((await newest(at)).checkpoint)
        assert other.secret_line().split("+", 4)[4] not in repr(at.world.leaves())

    incident(cluster, tmp_path, capsys, work, lost=False)
