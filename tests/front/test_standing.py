"""What the register says, on a real one."""

import asyncio
from typing import Any

import pytest

from gateway.config.settings import Settings
from gateway.errors import Reason, Refusal
from gateway.front import standing
from tests.front.stage import CITY, OTHER, Stage, serial, stage

TROUBLES = {
    Reason.CERT_REVOKED: "UPDATE gateway.certificate SET state = 2, revoked_us = 1",
    Reason.ORGANISATION_SUSPENDED: "UPDATE gateway.organisation SET state = 2",
    Reason.SYSTEM_SUSPENDED: "UPDATE gateway.system SET state = 2",
}


@pytest.mark.parametrize("reason", list(TROUBLES))
def test_trouble_is_found_at_admission_and_afterwards(
    cluster: Any, database_settings: Settings, reason: Reason
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            papers = at.good()
            number = serial(papers)
            await _admit(at, number)
            assert await standing.fallen(at.database, [number]) == {}
            before = await standing.epochs(at.database)
            at.sql(TROUBLES[reason])
            assert await standing.epochs(at.database) != before
            assert await standing.fallen(at.database, [number, "ab"]) == {
                number: reason,
                "ab": Reason.CERT_UNKNOWN,
            }
            with pytest.raises(Refusal) as refusal:
                await _admit(at, number)
            assert refusal.value.reason is reason

    asyncio.run(run())


async def _admit(at: Stage, number: str, **changes: Any) -> None:
    digest = at.sql("SELECT certificate_sha256 FROM gateway.certificate WHERE serial = %s", number)
    values = {"subject": CITY, "sha256": digest[0][0] if digest else b"", **changes}
    await standing.admit(at.database, values["subject"], number, values["sha256"])


def test_a_row_of_another_certificate_is_none(cluster: Any, database_settings: Settings) -> None:
    """Same serial, other bytes; same certificate, another subject; no row at all."""

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            number = serial(at.good())
            for changes in ({"sha256": bytes(32)}, {"subject": OTHER}):
                with pytest.raises(Refusal) as refusal:
                    await _admit(at, number, **changes)
                assert refusal.value.reason is Reason.CERT_UNKNOWN
            with pytest.raises(Refusal) as refusal:
                await _admit(at, "ab")
            assert refusal.value.reason is Reason.CERT_UNKNOWN

    asyncio.run(run())


def test_no_register_no_admission(cluster: Any, database_settings: Settings) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            number = serial(at.good())
            await at.database.close()
            with pytest.raises(Refusal) as refusal:
                await standing.admit(at.database, CITY, number, b"")
            assert refusal.value.reason is Reason.STORE_AWAY

    asyncio.run(run())
