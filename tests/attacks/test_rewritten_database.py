"""Root with the stolen signer key and the signer's state rewrites the real database; a witness that cosigned before finds out.

Everything at the gateway agrees with itself afterwards: entries, head, signer. Nothing there can tell (audit.md section 5, 4-8 and 11).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.client.checkpoints import LogError
from gateway.client.witness import Witness
from gateway.clock import US_PER_S
from gateway.services.server import open_door
from gateway.signer import STATE_FILE
from gateway.signer.memory import SLOT_BYTES, SLOTS
from gateway.tlog import contradiction, witness
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.contradiction import Contradiction
from gateway.tlog.frontier import Frontier
from gateway.tlog.keys import LogKeys
from gateway.tlog.merkle import leaf_hash
from gateway.tlog.note import parse_skey, parse_vkey
from gateway.v1 import audit_service_pb2 as audit
from tests.coverage.rpcs import Watch, kept_token, new_id
from tests.people import COUNTY
from tests.services.test_witness_service import SERVICE
from tests.vouching import enter, profile
from tests.world import World, fresh_ground

DOORS = ("identity", "administration")


@dataclass
class Case:
    """A province, and the witness of one of its counties."""

    world: World
    own: Witness
    keys: LogKeys

    async def asked(self) -> witness.AddCheckpoint:
        """What the log asks the witness now."""
        before = self.own.cosigned(self.keys)
        request = audit.GetWitnessingRequest(old_size=before.size if before else 0)
        reply = await self.call("GetWitnessing", request)
        return witness.parse(audit.GetWitnessingResponse.FromString(reply).add_checkpoint)

    async def cosign(self) -> int:
        """Vouch for what is offered; raises LogError."""
        request = await self.asked()
        now_s = self.world.clock.now_us() // US_PER_S
        lines = self.own.answer(request, self.keys, now_s)
        size = self.keys.open(request.checkpoint).size
        given = audit.AddCosignaturesRequest(request_id=new_id(), size=size, cosignatures=lines)
        await self.call("AddCosignatures", given)
        return size

    async def call(self, name: str, request: object) -> bytes:
        token = await kept_token(self.world, self.world.county)
        return await self.world.call(self.world.county, SERVICE + name, request, token=token)

    async def rewrite(self, change: Callable[[list[bytes]], list[bytes]]) -> None:
        """Stop the gateway, replace its log and all that vouches for it at home, and start it again."""
        for door in DOORS:
            await self.world.doors[door].stop()
        await self.world.kill_signer()
        leaves = [
            bytes(one)
            for (one,) in self.world.sql("SELECT leaf FROM gateway.audit_entry ORDER BY idx")
        ]
        self._put(change(leaves))
        await self.world.start_signer()
        for door in DOORS:
            self.world.doors[door] = await open_door(self.world.home, door, self.world.clock)

    def _put(self, leaves: list[bytes]) -> None:
        sql, frontier = self.world.sql, Frontier()
        frontier.extend(map(leaf_hash, leaves))
        # Below one full tile the entries and the head are all there is.
        assert len(leaves) < 256
        for table in ("audit_entry", "audit_head"):
            sql(f"ALTER TABLE gateway.{table} DISABLE TRIGGER USER")
        sql("DELETE FROM gateway.audit_entry WHERE idx >= %s", len(leaves))
        for index, one in enumerate(leaves):
            sql(
                "UPDATE gateway.audit_entry SET leaf = %s, leaf_hash = %s WHERE idx = %s",
                *(one, leaf_hash(one), index),
            )
        sql(
            "UPDATE gateway.audit_head SET size = %s, root = %s, frontier = %s",
            *(len(leaves), frontier.root(), frontier.hashes),
        )
        for table in ("audit_entry", "audit_head"):
            sql(f"ALTER TABLE gateway.{table} ENABLE TRIGGER USER")
        sql("DELETE FROM gateway.cosignature")
        sql("DELETE FROM gateway.offered_checkpoint")
        home = self.world.home
        thief = parse_skey(home.signing_keys.read_text().split()[0])
        signed = Checkpoint(thief.verifier.name, len(leaves), frontier.root()).signed(thief)
        state = {"checkpoint": signed, "frontier": [one.hex() for one in frontier.hashes]}
        slot = json.dumps(state).encode().ljust(SLOT_BYTES)
        (home.secrets("signer") / STATE_FILE).write_bytes(slot * SLOTS)


def play(cluster, folder: Path, work: Callable[[Case], Awaitable[None]]) -> None:
    async def scenario() -> None:
        with fresh_ground(cluster) as ground:
            async with World.open(ground, DOORS) as world:
                place = profile(world, world.county, folder)
                own = Witness.create(place)
                for key in own.keys:
                    enter(world, _Public(key), COUNTY)
                case = Case(world, own, LogKeys.of(parse_vkey(place.remote.log_key)))
                for _ in range(3):
                    await world.login(world.auditor)
                await case.cosign()
                await work(case)

    asyncio.run(asyncio.wait_for(scenario(), 110))


@dataclass(frozen=True)
class _Public:
    """A witness of whom only the public key is known here."""

    key: object


def edited(leaves: list[bytes], index: int) -> list[bytes]:
    """The log with one entry told otherwise, of the same length."""
    return [
        *leaves[:index],
        leaves[index].replace(b"allow", b"error", 1) + b"",
        *leaves[index + 1 :],
    ]


@pytest.mark.parametrize("attack", ["edited", "deleted", "reordered"])
def test_a_rewritten_log_agrees_with_itself_and_not_with_its_witness(
    cluster, tmp_path, attack
) -> None:
    """LOG_INCONSISTENT or LOG_FORKED or SIZE_SHRANK; no line is given; the two notes prove it; the door goes on."""

    async def work(case: Case) -> None:
        before = case.own.state()

        def change(leaves: list[bytes]) -> list[bytes]:
            if attack == "edited":
                return edited(leaves, 2)
            if attack == "deleted":
                return [*leaves[:2], *leaves[3:]]
            return [*leaves[:2], leaves[3], leaves[2], *leaves[4:]]

        await case.rewrite(change)
        # The log goes on past what was cosigned, and everything at the gateway verifies.
        for _ in range(4):
            await case.world.login(case.world.auditor)
        watch = Watch(case.world)
        request = await case.asked()
        assert (await watch.only_leaf())["kind"] == "audit.witnessing"
        with pytest.raises(LogError) as error:
            case.own.answer(request, case.keys, case.world.clock.now_us() // US_PER_S)
        assert error.value.code == "LOG_INCONSISTENT"
        assert case.own.state() == before
        found = Contradiction(
            str(case.keys.newest), (), before.note, request.checkpoint, request.hashes
        )
        known = case.own.cosigned(case.keys)
        assert known is not None
        # Of a size that is a power of two the answer alone proves nothing; it is an alarm all the same.
        wanted = "unproven" if not known.size & (known.size - 1) else "rewritten"
        assert contradiction.parse(found.text()).judge(case.keys.newest)[0] == wanted
        assert case.world.sql("SELECT 1 FROM gateway.cosignature") == []

    play(cluster, tmp_path, work)


def test_a_log_that_was_cut_off_agrees_with_itself_and_not_with_its_witness(
    cluster, tmp_path
) -> None:
    """8, 10: truncated with database and signer state alike: SIZE_SHRANK while it is shorter, and no line."""

    async def work(case: Case) -> None:
        before = case.own.state()
        await case.rewrite(lambda leaves: leaves[:3])
        request = await case.asked()
        size = case.keys.open(request.checkpoint).size
        known = case.own.cosigned(case.keys)
        assert known is not None
        with pytest.raises(LogError) as error:
            case.own.answer(request, case.keys, case.world.clock.now_us() // US_PER_S)
        assert error.value.code == ("SIZE_SHRANK" if size < known.size else "LOG_INCONSISTENT")
        assert case.own.state() == before

    play(cluster, tmp_path, work)


def test_what_nobody_had_cosigned_yet_is_rewritten_unseen(cluster, tmp_path) -> None:
    """9, 11, 12, told in docs/threats.md: the tail rests on the signer alone. The witness vouches for what it is shown."""

    async def work(case: Case) -> None:
        known = case.own.cosigned(case.keys)
        assert known is not None
        await case.world.login(case.world.auditor)
        case.world.clock.turn(seconds=21)
        await case.rewrite(lambda leaves: edited(leaves, len(leaves) - 1))
        assert await case.cosign() > known.size

    play(cluster, tmp_path, work)
