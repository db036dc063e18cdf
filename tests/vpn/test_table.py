"""Whose address it is, by the longest prefix; and that a VPN is asked once for many."""

import asyncio
import ipaddress

import pytest

from gateway.clock import US_PER_S, TurnedClock
from gateway.errors import Reason, Refusal
from gateway.vpn.table import Asked, MalformedAnswerError, Peer, Table, address_of, network_of


def peer(name, *networks):
    return Peer(name, tuple(map(ipaddress.ip_network, networks)), None, "")


def refused(table, address):
    with pytest.raises(Refusal) as refusal:
        table.owner(address)
    return refusal.value.reason


def test_the_longest_prefix_decides():
    table = Table(
        [peer("city", "10.0.0.0/8", "fd00::/16"), peer("county", "10.8.0.0/24", "fd00:1::/64")]
    )
    assert table.owner("10.1.1.1").name == "city"
    assert table.owner("10.8.0.255").name == "county"
    assert table.owner("fd00:1::7").name == "county"
    assert table.owner("fd00:2::7").name == "city"
    assert refused(table, "11.0.0.1") is Reason.ORIGIN_NOT_TUNNEL
    assert refused(table, "fe00::1") is Reason.ORIGIN_NOT_TUNNEL
    # The same number in the other family is another address.
    assert refused(Table([peer("v6", "::a08:1/128")]), "10.8.0.1") is Reason.ORIGIN_NOT_TUNNEL


def test_a_whole_family_may_be_one_peers():
    table = Table([peer("all", "0.0.0.0/0")])
    assert table.owner("255.255.255.255").name == "all"
    assert refused(table, "::1") is Reason.ORIGIN_NOT_TUNNEL


def test_two_owners_of_one_network_prove_nothing():
    table = Table([peer("a", "10.0.0.0/24"), peer("b", "10.0.0.0/24"), peer("c", "10.0.0.9/32")])
    assert refused(table, "10.0.0.1") is Reason.ORIGIN_AMBIGUOUS
    assert table.owner("10.0.0.9").name == "c"


def test_other_writings_of_an_address():
    table = Table([peer("a", "10.0.0.0/24")])
    assert table.owner("::ffff:10.0.0.1").name == "a"
    for text in ("10.0.0.1%25lo", "fe80::1%lo", "%5B::1%5D", "010.0.0.1", "", "10.0.0.1:1"):
        assert refused(table, text) is Reason.ORIGIN_NOT_TUNNEL
    assert str(address_of("::ffff:a00:1")) == "10.0.0.1"
    with pytest.raises(MalformedAnswerError):
        network_of("10.0.0.1/24")


def test_many_ask_once_and_again_after_the_time():
    clock, asked = TurnedClock(US_PER_S), []

    async def ask():
        asked.append(1)
        await asyncio.sleep(0)
        return Table([peer(str(len(asked)), "10.0.0.0/24")])

    async def run():
        known = Asked(ask, 1.0, clock, "x")
        tables = await asyncio.gather(*(known.table() for _ in range(50)))
        assert len(asked) == 1
        assert len(set(map(id, tables))) == 1
        clock.turn(seconds=1.0)
        assert await known.table() is tables[0]
        clock.turn(seconds=0.1)
        assert (await known.table()).owner("10.0.0.1").name == "2"
        # A clock that was turned back makes nothing fresh.
        clock.turn(seconds=-5)
        assert (await known.table()).owner("10.0.0.1").name == "3"

    asyncio.run(run())


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(), TimeoutError(), MalformedAnswerError("x")]
)
def test_who_cannot_be_asked_is_away_and_each_has_a_refusal_of_its_own(error):
    broken = True

    async def ask():
        await asyncio.sleep(0)
        if broken:
            raise error
        return Table([])

    async def run():
        nonlocal broken
        known = Asked(ask, 1.0, TurnedClock(1), "x")
        found = await asyncio.gather(known.table(), known.table(), return_exceptions=True)
        assert [one.reason for one in found] == [Reason.ORIGIN_AWAY] * 2
        assert found[0] is not found[1]
        broken = False
        assert isinstance(await known.table(), Table)

    asyncio.run(run())


def test_an_old_answer_is_not_kept_for_who_is_away():
    clock, answers = TurnedClock(1), [Table([])]

    async def ask():
        if not answers:
            raise ConnectionRefusedError
        return answers.pop()

    async def run():
        known = Asked(ask, 1.0, clock, "x")
        await known.table()
        clock.turn(seconds=2)
        with pytest.raises(Refusal):
            await known.table()
        clock.turn(seconds=-2)
        with pytest.raises(Refusal):
            await known.table()

    asyncio.run(run())


def test_the_same_networks_keep_their_routes_and_others_do_not():
    before = Table([peer("a", "10.0.0.0/24"), peer("b", "10.0.1.0/24")])
    moved = Peer("a", before.owner("10.0.0.1").networks, 7, "192.0.2.1:1")
    after = Table([moved, peer("b", "10.0.1.0/24")], before)
    assert after.routes is before.routes
    assert after.owner("10.0.0.1") is moved
    for others in (
        [peer("a", "10.0.0.0/24")],
        [peer("b", "10.0.0.0/24"), peer("a", "10.0.1.0/24")],
    ):
        table = Table(others, after)
        assert table.owner("10.0.0.1") is others[0]
        assert table.routes is not after.routes
    assert refused(Table([], after), "10.0.0.1") is Reason.ORIGIN_NOT_TUNNEL
