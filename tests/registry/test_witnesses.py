"""Witnesses: a key is one organisation's, once; ended is for ever; a door may end one and change nothing else."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable

import psycopg
import pytest

from gateway.errors import ConflictError, InvalidError, NotFoundError
from gateway.registry import organisations, witnesses
from gateway.registry.organisations import Kind, Organisation
from gateway.store.database import Database, StoreError, Transaction
from gateway.tlog.cosignature import ED25519, ML_DSA_44, Cosigner, WitnessKey

DIVISIONS = {"140000", "140100"}
Conninfo = Callable[[str], str]


def key(kind: int = ED25519, name: str = "w") -> WitnessKey:
    return Cosigner(name, kind, secrets.token_bytes(32)).key


def within(conninfo: Conninfo, work: Callable[[Transaction], Awaitable[None]]) -> None:
    async def run() -> None:
        database = await Database.open(conninfo("administration"), application="test", size=1)
        try:
            async with database.transaction() as tx:
                province = Organisation("140000", "山西省", Kind.PROVINCE, None)
                await organisations.create(tx, province, DIVISIONS, 1)
                city = Organisation("140100", "市", Kind.CITY, "140000")
                await organisations.create(tx, city, DIVISIONS, 1)
                await work(tx)
        finally:
            await database.close()

    asyncio.run(run())


def test_registered_ended_and_never_again(conninfo: Conninfo) -> None:
    async def work(tx: Transaction) -> None:
        one, large = key(), key(ML_DSA_44)
        for each in (one, large, one):
            found = await witnesses.register(tx, "140100", str(each), 5)
            assert (found.organisation, found.key, found.registered_us) == ("140100", each, 5)
        assert {each.key for each in await witnesses.counting(tx)} == {one, large}
        for moment in (7, 8):
            await witnesses.end(tx, "140100", one.key_id.hex(), moment)
        assert [each.key for each in await witnesses.counting(tx)] == [large]
        assert {each.ended_us for each in await witnesses.every(tx)} == {7, None}
        with pytest.raises(ConflictError):
            await witnesses.register(tx, "140100", str(one), 9)

    within(conninfo, work)


def test_one_key_has_one_name_and_one_organisation(conninfo: Conninfo) -> None:
    async def work(tx: Transaction) -> None:
        one = key()
        await witnesses.register(tx, "140100", str(one), 1)
        for organisation, vkey in (
            ("140000", str(one)),
            ("140100", str(WitnessKey("another", ED25519, one.public))),
        ):
            with pytest.raises(ConflictError):
                await witnesses.register(tx, organisation, vkey, 2)
        with pytest.raises(NotFoundError):
            await witnesses.end(tx, "140000", one.key_id.hex(), 3)

    within(conninfo, work)


@pytest.mark.parametrize(
    ("organisation", "vkey", "rules"),
    [
        ("999999", str(key()), {"organisation-unknown"}),
        ("140100", "nonsense", {"witness-key"}),
        ("140100", str(key(name="x" * 121)), {"witness-key"}),
        ("140100", str(key(name="\u202ename")), {"witness-key"}),
        ("999999", "", {"organisation-unknown", "witness-key"}),
    ],
    # The keys are random, and the workers must agree on names.
    ids=["another organisation", "no key", "a long name", "a hidden name", "nothing right"],
)
def test_what_is_no_witness(
    conninfo: Conninfo, organisation: str, vkey: str, rules: set[str]
) -> None:
    async def work(tx: Transaction) -> None:
        with pytest.raises(InvalidError) as error:
            await witnesses.register(tx, organisation, vkey, 1)
        assert {one.rule for one in error.value.violations} == rules

    within(conninfo, work)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM gateway.cosignature",
        "UPDATE gateway.cosignature SET line = ''",
        "DELETE FROM gateway.offered_checkpoint",
        "UPDATE gateway.offered_checkpoint SET note = ''",
        "DELETE FROM gateway.witness",
        "UPDATE gateway.witness SET public_key = ''",
    ],
)
def test_evidence_is_changed_by_no_door(conninfo: Conninfo, statement: str) -> None:
    async def work(tx: Transaction) -> None:
        await tx.execute(statement)

    with pytest.raises((StoreError, psycopg.Error)):
        within(conninfo, work)
