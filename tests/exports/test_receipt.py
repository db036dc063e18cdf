"""What a recipient signs names the ticket and the very bytes, and is kept once of each kind."""

import asyncio
from collections.abc import Callable
from datetime import date

import psycopg
import pytest

from gateway.exports import receipt, ticket_rows
from gateway.store.database import Database, StoreError
from tests.exports.tickets import PLAN, START_US

Conninfo = Callable[[str], str]


def test_the_bytes_are_those_of_decision_0014() -> None:
    assert receipt.statement("EX-00000007", "ab" * 32) == (
        b"sxgw-receipt-v1\nEX-00000007\n" + b"ab" * 32 + b"\n"
    )
    assert receipt.attestation("EX-00000007", "cd" * 32, date(2026, 11, 5)) == (
        b"sxgw-destroyed-v1\nEX-00000007\n" + b"cd" * 32 + b"\n2026-11-05\n"
    )


def test_a_receipt_is_kept_as_it_was_signed_and_never_twice(conninfo: Conninfo) -> None:
    async def work() -> None:
        database = await Database.open(conninfo("disclosure"), application="test", size=1)
        try:
            async with database.transaction() as tx:
                ticket = await ticket_rows.create(tx, PLAN, START_US)
                await receipt.keep(tx, ticket, "ef" * 32, b"first", START_US + 1)
                await receipt.keep(
                    tx, ticket, "ef" * 32, b"second", START_US + 2, date(2026, 11, 5)
                )
            with pytest.raises(StoreError):
                async with database.transaction() as tx:
                    await receipt.keep(tx, ticket, "ef" * 32, b"third", START_US + 3)
        finally:
            await database.close()

    asyncio.run(work())
    with psycopg.connect(conninfo("owner")) as connection:
        rows = connection.execute(
            "SELECT kind, signature, signed_us, destroyed_on FROM gateway.export_receipt"
            " ORDER BY signed_us"
        ).fetchall()
    assert rows == [
        ("receipt", b"first", START_US + 1, None),
        ("destroyed", b"second", START_US + 2, date(2026, 11, 5)),
    ]
