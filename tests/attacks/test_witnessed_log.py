"""Attacks on the log of someone who has stolen the signer's key (audit.md section 5): what witnesses and comparison catch.

The gateway is the attacker: a small one with the real key, which shows whatever log it likes. In each case the client stops
with a code, signs nothing, keeps what proves it where something can, and goes on with the true log once a person has looked.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.client import alarm
from gateway.client.checkpoints import LogError
from gateway.client.client import Client
from gateway.client.secret import Secret
from gateway.client.witness import STANDS_S, Witness
from gateway.clock import TurnedClock
from gateway.tlog import contradiction
from gateway.tlog.cosignature import Cosigner
from gateway.tlog.keys import LogKeys
from gateway.tlog.note import NoteError, parse_vkey
from gateway.tlog.policy import by_organisation
from tests.client.small_gateway import PASSWORD, Log, SmallGateway
from tests.client.test_alarm import fork_of
from tests.client.test_checkpoints import log_of
from tests.tlog.test_cosignature import W1, W2


@dataclass
class Scene:
    """A city with a witness that cosigned the true log, and the gateway that now deceives it."""

    gateway: SmallGateway
    client: Client
    clock: TurnedClock
    true: Log

    def show(self, log: Log) -> None:
        """From now on this is the log."""
        self.gateway.log = log

    @property
    def cosigned(self) -> int:
        """How many entries the witness has vouched for."""
        found = self.client.witness.cosigned(self.client.checkpoints.keys)
        return 0 if found is None else found.size


def play(folder: Path, attack: Callable[[Scene], Awaitable[str]], code: str, finding: str) -> None:
    """Have the witness vouch, attack, and see the code, no line, the proof, and the true log taken again."""
    clock = TurnedClock(1_800_000_000_000_000)
    gateway = SmallGateway(clock=clock)
    true = log_of(11, gateway.log)

    async def scenario() -> None:
        async with gateway:
            profile = gateway.profile(folder)
            Witness.create(profile)
            ask = {"clock": clock, "password": lambda: Secret(PASSWORD)}
            async with Client(profile, **ask) as client:
                await client.session.token()
                await client.settle()
                before, state = len(gateway.cosignatures), client.witness.state()
                scene = Scene(gateway, client, clock, true)
                assert await attack(scene) == code
                assert len(gateway.cosignatures) == before
                assert client.witness.state() == state
            proof = alarm.standing(profile)
            if finding:
                judged = contradiction.parse(proof.read_text()).judge(
                    parse_vkey(profile.remote.log_key)
                )
                assert judged[0] == finding
                # Nothing goes on before a person has looked.
                with pytest.raises(LogError) as stopped:
                    Client(profile, **ask)
                assert stopped.value.code == "LOG_CONTRADICTED"
                proof.unlink()
            else:
                assert proof is None
            (folder / "checkpoints-unproven").unlink(missing_ok=True)
            gateway.log, gateway.offered_size, gateway.confirmed = true, 0, ""
            async with Client(profile, **ask) as client:
                await client.cosign(client.witness)
                assert len(gateway.cosignatures) > before
        secret = (folder / "witness" / "key").read_text()
        assert not any(line in secret for _, line in gateway.cosignatures)

    asyncio.run(asyncio.wait_for(scenario(), 60))


async def stopped(work: Awaitable[object]) -> str:
    with pytest.raises(LogError) as error:
        await work
    return error.value.code


def test_a_fork_after_what_was_cosigned_once_two_heads_meet(tmp_path: Path) -> None:
    """11: beyond the witnessed size another log of the same size; the key is the real one."""

    async def attack(scene: Scene) -> str:
        kept = scene.client.checkpoints.kept
        scene.show(fork_of(scene.true, 11, kept.size + 9))
        return await stopped(scene.client.cosign(scene.client.witness))

    play(tmp_path, attack, "LOG_INCONSISTENT", "rewritten")


@pytest.mark.parametrize("where", [0, 5, 10])
def test_an_entry_edited_with_the_stolen_key(tmp_path: Path, where: int) -> None:
    """4-7: edited, deleted, inserted or reordered: from that entry on it is another log."""

    async def attack(scene: Scene) -> str:
        scene.show(fork_of(scene.true, where, 20))
        return await stopped(scene.client.cosign(scene.client.witness))

    play(tmp_path, attack, "LOG_INCONSISTENT", "rewritten")


def test_a_log_that_is_shorter_than_what_was_cosigned(tmp_path: Path) -> None:
    """8, 10: truncated, or an old database put back with its old checkpoint."""

    async def attack(scene: Scene) -> str:
        short = Log(seed=scene.true.signer._private.private_bytes_raw())
        scene.show(log_of(7, short))
        return await stopped(scene.client.cosign(scene.client.witness))

    play(tmp_path, attack, "LOG_SHRANK", "")


def test_an_old_checkpoint_is_offered_of_a_log_that_goes_on(tmp_path: Path) -> None:
    """Rollback of what is to be cosigned, though the log itself stands: a witness never goes back."""

    async def attack(scene: Scene) -> str:
        scene.gateway.offered_size = scene.cosigned - 1
        return await stopped(scene.client.cosign(scene.client.witness))

    play(tmp_path, attack, "SIZE_SHRANK", "")


def test_newer_checkpoints_are_withheld(tmp_path: Path) -> None:
    """9, 12: the tail is kept from the witness, so that it may be cut off: the same head again and again is an alarm."""

    async def attack(scene: Scene) -> str:
        scene.gateway.offered_size = scene.cosigned
        scene.clock.turn(seconds=STANDS_S + 1)
        return await stopped(scene.client.cosign(scene.client.witness))

    play(tmp_path, attack, "LOG_STANDS", "")


def test_two_cities_are_shown_two_logs(tmp_path: Path) -> None:
    """Split view: what another city vouched for reaches this one."""

    async def attack(scene: Scene) -> str:
        kept = scene.client.checkpoints.kept
        fork = fork_of(scene.true, 3, kept.size)
        scene.gateway.confirmed = fork.checkpoint()
        return await stopped(scene.client.cosign(scene.client.witness))

    play(tmp_path, attack, "LOG_INCONSISTENT", "fork")


def quorum(cosigners: list[Cosigner]) -> list[tuple[str, object]]:
    return [(f"14{number:02}00", one.key) for number, one in enumerate(cosigners, 1)]


@pytest.mark.parametrize("case", ["replayed", "foreign", "one twice", "forged fork"])
def test_a_quorum_is_not_made_up(case: str) -> None:
    """A cosignature of another size, of a key nobody registered, of one witness twice: no quorum, whoever holds the log's key."""
    log = log_of(9)
    keys = LogKeys.of(log.signer.verifier)
    policy = by_organisation([log.signer.verifier], quorum([W1, W2]), 2)
    note, fork = log.checkpoint(9), fork_of(log, 4, 9).checkpoint()
    text = note.split("\n\n")[0] + "\n"
    good = [one.line(text, 1) for one in (W1, W2)]
    older = log.checkpoint(8).split("\n\n")[0] + "\n"
    stranger = Cosigner(W2.key.name, W2.key.kind, bytes([9]) * 32)
    forged = {
        "replayed": note + good[0] + W2.line(older, 1),
        "foreign": note + good[0] + stranger.line(text, 1),
        "one twice": note + good[0] + W1.line(text, 2),
        "forged fork": fork + "".join(good),
    }[case]
    assert keys.open(forged).size == 9
    if case in {"replayed", "forged fork"}:
        with pytest.raises(NoteError, match="did not cosign"):
            policy.judge(forged)
    else:
        assert not policy.judge(forged)[0]
    assert policy.judge(note + "".join(good))[0]
