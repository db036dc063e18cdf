"""What is offered to witnesses, what suffices, and how long the tail is that nobody vouches for."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable

from gateway.audit import vouching
from gateway.audit.event import Event
from gateway.audit.vouching import Tail
from gateway.clock import US_PER_S
from gateway.config.policies import shipped
from gateway.config.witnesses import WitnessRules, load_witness_rules
from gateway.store.database import Database, Transaction
from gateway.tlog.cosignature import ED25519, ML_DSA_44, Cosigner, verified
from gateway.tlog.note import split
from tests.audit.stage import NOW_US, Stage, stage

Conninfo = Callable[[str], str]
RULES = load_witness_rules(shipped("policies") / "witnesses.toml")
CITIES = ("140100", "140200", "140300")
REGISTER = (
    "INSERT INTO gateway.witness (vkey, public_key, key_id, name, organisation, registered_us)"
    " VALUES (%s, %s, %s, %s, %s, 1)"
)
ORGANISATION = (
    "INSERT INTO gateway.organisation (code, name, kind, parent, state, created_us)"
    " VALUES (%s, 'x', 2, NULL, 1, 1) ON CONFLICT DO NOTHING"
)


async def enter(tx: Transaction, organisation: str, cosigner: Cosigner) -> Cosigner:
    key = cosigner.key
    await tx.execute(ORGANISATION, (organisation,))
    await tx.execute(REGISTER, (str(key), key.public, key.key_id.hex(), key.name, organisation))
    return cosigner


def cosigner(kind: int = ED25519) -> Cosigner:
    return Cosigner("w", kind, secrets.token_bytes(32))


def play(conninfo: Conninfo, work: Callable[[Stage, Transaction], Awaitable[None]]) -> None:
    async def main() -> None:
        async with stage(conninfo) as s:
            await s.recorder.append(Event(kind="log.start", door="intake"))
            database = await Database.open(conninfo("owner"), application="test", size=1)
            try:
                async with database.transaction() as tx:
                    await work(s, tx)
            finally:
                await database.close()

    asyncio.run(main())


def newest(s: Stage) -> tuple[int, str]:
    return s.recorder.checkpoints.newest.size, s.recorder.newest_checkpoint


async def cosign(tx: Transaction, size: int, note: str, one: Cosigner) -> None:
    line = one.line(split(note)[0], 1)
    await vouching.store(tx, size, (str(one.key), line, 1), 1)


def test_an_offer_stays_until_it_is_time_and_there_is_more(conninfo: Conninfo) -> None:
    async def work(s: Stage, tx: Transaction) -> None:
        first = newest(s)
        assert await vouching.offer(tx, first, RULES, NOW_US) == first
        assert await vouching.offered(tx, first[0]) == first[1]
        assert await vouching.offered(tx, first[0] + 1) is None
        await s.recorder.append(Event(kind="log.start", door="intake"))
        almost_us = NOW_US + round(RULES.offer_s * US_PER_S) - 1
        assert await vouching.offer(tx, newest(s), RULES, almost_us) == first
        assert await vouching.offer(tx, first, RULES, almost_us + 1) == first
        assert await vouching.offer(tx, newest(s), RULES, almost_us + 1) == newest(s)

    play(conninfo, work)


def test_the_newest_that_suffices_is_confirmed(conninfo: Conninfo) -> None:
    async def work(s: Stage, tx: Transaction) -> None:
        keys = [(code, await enter(tx, code, cosigner())) for code in CITIES]
        large = await enter(tx, CITIES[0], cosigner(ML_DSA_44))
        known = [(code, one.key) for code, one in keys] + [(CITIES[0], large.key)]
        rules = WitnessRules(2, 1, 10, 60, 60, 0, 24)
        policy = vouching.quorum((), known, rules)
        size, note = await vouching.offer(tx, newest(s), rules, NOW_US)
        for one in (keys[0][1], large):
            await cosign(tx, size, note, one)
            assert await vouching.confirmed(tx, policy) is None
        await cosign(tx, size, note, keys[1][1])
        found = await vouching.confirmed(tx, policy)
        assert found is not None
        assert found.size == size
        cosigned = verified(found.note, [key for _, key in known])
        assert {one.key for one in cosigned} == {keys[0][1].key, keys[1][1].key, large.key}
        # Of those that count no more nothing is shown, and alone they do not suffice.
        fewer = vouching.quorum((), known[1:], rules)
        assert await vouching.confirmed(tx, fewer) is not None or fewer is not None
        alone = vouching.quorum((), known[1:3], rules)
        assert await vouching.confirmed(tx, alone) is None

    play(conninfo, work)


def test_the_tail_begins_where_the_quorum_ends(conninfo: Conninfo) -> None:
    async def work(s: Stage, tx: Transaction) -> None:
        one = await enter(tx, CITIES[0], cosigner())
        policy = vouching.quorum((), [(CITIES[0], one.key)], RULES)
        before = await vouching.tail(tx, policy, NOW_US)
        assert (before.entries, before.confirmed_size, before.asked) == (newest(s)[0], 0, True)
        size, note = await vouching.offer(tx, newest(s), RULES, NOW_US)
        await cosign(tx, size, note, one)
        assert (await vouching.tail(tx, policy, NOW_US)).entries == 0
        entry = await s.recorder.append(Event(kind="log.start", door="intake"))
        [(time_us,)] = await tx.fetch(
            "SELECT time_us FROM gateway.audit_entry WHERE idx = %s", (entry.index,)
        )
        later = await vouching.tail(tx, policy, time_us + 61 * US_PER_S)
        assert later == Tail(1, 61.0, size, asked=True)

    play(conninfo, work)


def test_more_witnesses_than_a_note_has_room_for(conninfo: Conninfo) -> None:
    async def work(s: Stage, tx: Transaction) -> None:
        known = [(CITIES[0], await enter(tx, CITIES[0], cosigner())) for _ in range(120)]
        known += [(code, await enter(tx, code, cosigner())) for code in CITIES[1:]]
        rules = WitnessRules(3, 1, 10, 60, 60, 0, 24)
        policy = vouching.quorum((), [(code, one.key) for code, one in known], rules)
        assert policy is not None
        size, note = await vouching.offer(tx, newest(s), rules, NOW_US)
        for _, one in known:
            await cosign(tx, size, note, one)
        found = await vouching.confirmed(tx, policy)
        assert found is not None
        assert policy.judge(found.note)[0]
        assert len(split(found.note)[1]) <= 100

    play(conninfo, work)


def test_who_asks_for_none_and_who_asks_for_more_than_there_are() -> None:
    none = vouching.quorum((), [], WitnessRules(0, 1, 10, 60, 60, 0, 24))
    assert none is not None
    assert none.suffices(())
    assert vouching.quorum((), [], RULES) is None
    by_day = Tail(1, 61.0, 0, asked=True)
    noon_us = NOW_US - NOW_US % (86_400 * US_PER_S) + 4 * 3600 * US_PER_S
    assert by_day.too_long(RULES, noon_us)
    assert not by_day.too_long(RULES, noon_us + 12 * 3600 * US_PER_S)
    assert Tail(RULES.tail_entries + 1, 0, 0, asked=True).too_long(RULES, noon_us)
    assert not Tail(10**9, 10**9, 0, asked=False).too_long(RULES, noon_us)
