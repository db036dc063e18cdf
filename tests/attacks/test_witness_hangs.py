"""Attack 25: witnesses that never read, never say what they want or never answer; nobody else's call waits for one.

Witnesses ask the gateway, it asks none of them: what they do to it is to hold calls open and to stay silent.
"""

import asyncio

from tests.coverage.rpcs import Watch, a_batch, eventually, kept_token
from tests.vouching import a_cosigner, enter, offered
from tests.world import PASSWORD, World, fresh_ground

WITNESSING = "/gateway.v1.AuditService/GetWitnessing"
CHECKPOINT = "/gateway.v1.AuditService/GetCheckpoint"
HANGING = 8


async def hold(world, token):
    """Open calls that say nothing of what they want and read nothing; return them."""
    channel = await world.channel(world.other_county, "administration")
    metadata = (("authorization", f"Bearer {token}"),)
    calls = [
        channel.stream_stream(WITNESSING)(metadata=metadata, timeout=90) for _ in range(HANGING)
    ]
    await asyncio.gather(*(one.wait_for_connection() for one in calls))
    return calls


def test_25_black_holed_witnesses_delay_nobody(cluster, capfd):
    async def go(ground):
        async with World.open(ground, ("identity", "intake", "administration")) as world:
            for _ in range(HANGING):
                enter(world, a_cosigner())
            tokens = {
                one: await kept_token(world, one) for one in (world.other_county, world.county)
            }
            watch = Watch(world)
            calls = await hold(world, tokens[world.other_county])
            guard = world.guard("administration")
            await eventually(lambda: guard._running >= HANGING)
            # While all of them hang the good city uploads, and is told the newest checkpoint.
            batch = a_batch(world, world.county).SerializeToString()
            assert len(await world.upload(world.county, tokens[world.county], batch)) == 1
            assert await world.call(world.county, CHECKPOINT, b"", token=tokens[world.county])
            assert guard._running >= HANGING
            assert world.doors["intake"].recorder.state.phase == "normal"
            offered(world)
            for one in calls:
                one.cancel()
            leaves = await watch.leaves()
            kinds = [(leaf["kind"], leaf["decision"], leaf.get("reason")) for leaf in leaves]
            hung = ("audit.witnessing", "error", "CANCELLED")
            assert kinds.count(hung) == HANGING
            rest = [kind for kind, *_ in kinds if (kind, *_) != hung]
            assert sorted(rest) == ["audit.checkpoint", "upload"]
            # What nobody cosigns is told of; nothing is refused for it.
            assert world.sql("SELECT count(*) FROM gateway.cosignature") == [(0,)]
            assert await world.call(world.county, CHECKPOINT, b"", token=tokens[world.county])

    with fresh_ground(cluster) as ground:
        asyncio.run(go(ground))
    said = capfd.readouterr()
    assert PASSWORD not in said.out + said.err
