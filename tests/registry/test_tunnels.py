"""Tunnels: a peer stands for one organisation, its addresses for nobody else, and removed is for ever."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import replace

import psycopg
import pytest

from gateway.errors import ConflictError, InvalidError, NotFoundError
from gateway.registry import organisations, tunnels
from gateway.registry.organisations import Kind, Organisation
from gateway.registry.tunnels import ACTIVE, LOCKED, REMOVED, Tunnel
from gateway.store.database import Database, StoreError, Transaction

DIVISIONS = {"140000", "140100", "140200"}


def key(number: int) -> str:
    return base64.b64encode(bytes([number]) * 32).decode()


OURS = Tunnel("wireguard", key(1), "140100", ("10.14.1.0/24", "fd14::/64"))
THEIRS = Tunnel("strongswan", "city@140200.example", "140200", ("10.14.2.0/24",))


def within(conninfo: Callable[[str], str], work: Callable[[Transaction], Awaitable[None]]) -> None:
    async def found(tx: Transaction) -> None:
        await organisations.create(
            tx, Organisation("140000", "山西省", Kind.PROVINCE, None), DIVISIONS, 1
        )
        for code in ("140100", "140200"):
            await organisations.create(
                tx, Organisation(code, "市", Kind.CITY, "140000"), DIVISIONS, 1
            )
        await work(tx)

    again(conninfo, found)


def again(conninfo: Callable[[str], str], work: Callable[[Transaction], Awaitable[None]]) -> None:
    """Do what administration may, in a transaction of its own."""

    async def run() -> None:
        database = await Database.open(conninfo("administration"), application="test", size=1)
        try:
            async with database.transaction() as tx:
                await work(tx)
        finally:
            await database.close()

    asyncio.run(run())


def rules(error: pytest.ExceptionInfo[InvalidError]) -> set[str]:
    return {one.rule for one in error.value.violations}


def test_a_tunnel_is_registered_once_and_locked_unlocked_removed(
    conninfo: Callable[[str], str],
) -> None:
    async def work(tx: Transaction) -> None:
        made = await tunnels.add(tx, OURS, 5)
        assert made == replace(OURS, created_us=5, changed_us=5)
        assert await tunnels.add(tx, OURS, 9) == made
        with pytest.raises(ConflictError):
            await tunnels.add(tx, replace(OURS, addresses=("10.14.1.7/32",)), 9)
        locked = await tunnels.set_state(tx, replace(OURS, state=LOCKED), 10)
        assert (locked.state, locked.changed_us) == (LOCKED, 10)
        assert await tunnels.set_state(tx, replace(OURS, state=LOCKED), 11) == locked
        assert (await tunnels.set_state(tx, replace(OURS, state=ACTIVE), 12)).state == ACTIVE
        gone = await tunnels.set_state(tx, replace(OURS, state=REMOVED), 13)
        assert await tunnels.read(tx, "wireguard", OURS.peer) == gone
        with pytest.raises(InvalidError) as refused:
            await tunnels.set_state(tx, replace(OURS, state=ACTIVE), 14)
        assert rules(refused) == {"tunnel-removed"}
        # Registered again it is what it was: removed.
        assert await tunnels.add(tx, OURS, 15) == gone
        for stranger in (replace(OURS, organisation="140200"), replace(OURS, peer=key(9))):
            with pytest.raises(NotFoundError):
                await tunnels.set_state(tx, replace(stranger, state=LOCKED), 16)
        with pytest.raises(InvalidError) as refused:
            await tunnels.set_state(tx, replace(OURS, state=4), 17)
        assert rules(refused) == {"tunnel-state"}

    within(conninfo, work)


def test_the_store_itself_lets_no_removed_tunnel_return(conninfo: Callable[[str], str]) -> None:
    async def work(tx: Transaction) -> None:
        await tunnels.add(tx, OURS, 1)
        await tunnels.set_state(tx, replace(OURS, state=REMOVED), 2)
        with pytest.raises(StoreError):
            await tx.execute("UPDATE gateway.tunnel SET state = 1 WHERE peer = %s", (OURS.peer,))

    within(conninfo, work)


def test_no_address_is_of_two_organisations(conninfo: Callable[[str], str]) -> None:
    async def work(tx: Transaction) -> None:
        await tunnels.add(tx, OURS, 1)
        await tunnels.add(tx, THEIRS, 1)
        for address in ("10.14.1.9/32", "10.0.0.0/8", "fd14::1/128"):
            with pytest.raises(InvalidError) as refused:
                await tunnels.add(tx, replace(THEIRS, peer="other", addresses=(address,)), 2)
            assert rules(refused) == {"tunnel-overlap"}
        await tunnels.set_state(tx, replace(OURS, state=LOCKED), 3)
        with pytest.raises(InvalidError):
            await tunnels.add(tx, replace(THEIRS, peer="other", addresses=("10.14.1.9/32",)), 4)
        await tunnels.set_state(tx, replace(OURS, state=REMOVED), 5)
        await tunnels.add(tx, replace(THEIRS, peer="other", addresses=("10.14.1.9/32",)), 6)

    within(conninfo, work)


def test_a_key_follows_another_of_the_same_organisation_with_its_addresses(
    conninfo: Callable[[str], str],
) -> None:
    async def work(tx: Transaction) -> None:
        await tunnels.add(tx, OURS, 1)
        await tunnels.add(tx, THEIRS, 1)
        next_ = replace(OURS, peer=key(2), follows=OURS.peer)
        assert (await tunnels.add(tx, next_, 2)).follows == OURS.peer
        for wrong in (
            replace(next_, peer=key(3), follows=key(8)),
            replace(next_, peer=key(3), follows=key(3)),
            replace(next_, peer=key(3), organisation="140200", addresses=("10.9.0.0/24",)),
            replace(next_, kind="strongswan", peer="x", follows=THEIRS.peer),
        ):
            with pytest.raises(InvalidError) as refused:
                await tunnels.add(tx, wrong, 3)
            assert rules(refused) == {"tunnel-follows"}

    within(conninfo, work)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"kind": "static"}, "tunnel-kind"),
        ({"peer": ""}, "tunnel-peer"),
        ({"peer": key(1)[:-1]}, "tunnel-peer"),
        ({"peer": base64.b64encode(b"x" * 31).decode()}, "tunnel-peer"),
        # The same 32 bytes, spelt otherwise.
        ({"peer": "A" * 42 + "B="}, "tunnel-peer"),
        ({"peer": "钥" * 44}, "tunnel-peer"),
        ({"kind": "strongswan", "peer": "county 1"}, "tunnel-peer"),
        ({"kind": "strongswan", "peer": "11010519491231002X"}, "tunnel-peer"),
        ({"kind": "strongswan", "peer": "0351-1234567"}, "tunnel-peer"),
        ({"organisation": "140299"}, "organisation-unknown"),
        ({"addresses": ()}, "tunnel-addresses"),
        ({"addresses": tuple(f"10.1.1.{n}/32" for n in range(17))}, "tunnel-addresses"),
        ({"addresses": ("10.14.1.5/24",)}, "tunnel-addresses"),
        ({"addresses": ("0.0.0.0/0",)}, "tunnel-addresses"),
        ({"addresses": ("::/0",)}, "tunnel-addresses"),
        ({"addresses": ("here",)}, "tunnel-addresses"),
    ],
)
def test_what_is_no_tunnel_is_refused(
    conninfo: Callable[[str], str], changes: dict[str, object], rule: str
) -> None:
    async def work(tx: Transaction) -> None:
        with pytest.raises(InvalidError) as refused:
            await tunnels.add(tx, replace(OURS, **changes), 1)  # type: ignore[arg-type]  # wrong on purpose
        assert rules(refused) == {rule}

    within(conninfo, work)


def test_tunnels_are_listed_page_by_page(conninfo: Callable[[str], str]) -> None:
    async def work(tx: Transaction) -> None:
        for one in (THEIRS, replace(OURS, peer=key(3)), OURS):
            await tunnels.add(tx, one, 1)
        first = await tunnels.page(tx, "", tunnels.FIRST, 2)
        last = first[-1]
        rest = await tunnels.page(tx, "", (last.organisation, last.kind, last.peer), 2)
        assert [one.organisation for one in [*first, *rest]] == ["140100", "140100", "140200"]
        assert [one.peer for one in await tunnels.page(tx, "140200", tunnels.FIRST, 9)] == [
            THEIRS.peer
        ]

    within(conninfo, work)


def seen(conninfo: Callable[[str], str], *peers: str, at_us: int) -> None:
    """Let the front note these at work."""
    with psycopg.connect(conninfo("front"), autocommit=True) as connection:
        kinds = [OURS.kind] * len(peers)
        connection.execute("SELECT gateway.tunnel_seen(%s, %s, %s)", (kinds, list(peers), at_us))


def test_old_and_new_know_of_each_other_and_when_the_new_one_was_first_used(
    conninfo: Callable[[str], str],
) -> None:
    new = replace(OURS, peer=key(2), follows=OURS.peer)

    async def register(tx: Transaction) -> None:
        await tunnels.add(tx, OURS, 1)
        assert (await tunnels.add(tx, new, 2)).overlaps

    within(conninfo, register)
    for at_us in (10, 20):
        seen(conninfo, new.peer, at_us=at_us)

    async def work(tx: Transaction) -> None:
        old = await tunnels.read(tx, OURS.kind, OURS.peer)
        assert old is not None
        assert (old.followed_by, old.followed_us, old.overlaps) == (new.peer, 10, False)
        found = await tunnels.read(tx, new.kind, new.peer)
        assert found is not None
        assert (found.first_seen_us, found.last_seen_us, found.followed_by) == (10, 20, None)
        # A second successor that nobody used yet does not hide the first.
        await tunnels.add(tx, replace(new, peer=key(3)), 3)
        old = await tunnels.read(tx, OURS.kind, OURS.peer)
        assert old is not None
        assert old.followed_by == new.peer
        # A locked successor replaces nobody.
        for peer in (new.peer, key(3)):
            await tunnels.set_state(tx, replace(new, peer=peer, state=LOCKED), 30)
        old = await tunnels.read(tx, OURS.kind, OURS.peer)
        assert old is not None
        assert (old.followed_by, old.followed_us) == (None, None)

    again(conninfo, work)


def test_what_may_be_due_is_found_and_unused_is_told_once_until_it_is_used(
    conninfo: Callable[[str], str],
) -> None:
    async def register(tx: Transaction) -> None:
        await tunnels.add(tx, OURS, 1)
        await tunnels.add(tx, replace(OURS, peer=key(2), addresses=("10.14.3.0/24",)), 100)
        assert [one.peer for one in await tunnels.attended(tx, 99)] == [OURS.peer]
        assert await tunnels.tell_unused(tx, OURS, 99)
        assert not await tunnels.tell_unused(tx, OURS, 99)
        assert await tunnels.attended(tx, 99) == []

    within(conninfo, register)
    seen(conninfo, OURS.peer, at_us=150)

    async def work(tx: Transaction) -> None:
        found = await tunnels.read(tx, OURS.kind, OURS.peer)
        assert found is not None
        assert (found.unused_told_us, found.last_seen_us) == (None, 150)
        assert [one.peer for one in await tunnels.attended(tx, 149)] == [key(2)]
        assert len(await tunnels.attended(tx, 150)) == 2
        # Whose successor is at work is looked at whatever else was told of it.
        await tunnels.add(tx, replace(OURS, peer=key(4), follows=key(2)), 160)
        assert await tunnels.tell_unused(tx, replace(OURS, peer=key(2)), 160)
        assert await tunnels.attended(tx, 149) == []

    again(conninfo, work)
    seen(conninfo, key(4), at_us=170)

    async def last(tx: Transaction) -> None:
        assert [one.peer for one in await tunnels.attended(tx, 0)] == [key(2)]

    again(conninfo, last)
