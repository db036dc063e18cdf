"""What the register says, on a real one."""

import asyncio
from typing import Any

import pytest

from gateway.config.settings import Settings
from gateway.errors import Reason, Refusal
from gateway.front import standing
from tests.front.stage import CITY, OTHER, Stage, serial, stage

TROUBLES = {
    Reason.CERT_PROFILE: "UPDATE gateway.certificate SET purpose = 2",
    Reason.ORGANISATION_SUSPENDED: "UPDATE gateway.organisation SET state = 2",
    Reason.SYSTEM_SUSPENDED: "UPDATE gateway.system SET state = 2",
}
DEFECTS = {
    Reason.CERT_REVOKED: "UPDATE gateway.certificate SET state = 2, revoked_us = 7",
    Reason.CERT_SUPERSEDED: "UPDATE gateway.certificate SET state = 3, revoked_us = 7",
    Reason.LINEAGE_LOCKED: "UPDATE gateway.lineage SET locked_us = 7",
}


@pytest.mark.parametrize("reason", list(TROUBLES))
def test_trouble_is_found_at_admission_and_afterwards(
    cluster: Any, database_settings: Settings, reason: Reason
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            number = serial(at.good())
            assert (await _find(at, number)).life.registered() is None
            before = await standing.epochs(at.database)
            at.sql(TROUBLES[reason])
            assert await standing.epochs(at.database) != before or reason is Reason.CERT_PROFILE
            found = await standing.standings(at.database, [number, "ab"])
            assert list(found) == [number]
            assert found[number].refusal() is reason
            with pytest.raises(Refusal) as refusal:
                await _find(at, number)
            assert refusal.value.reason is reason

    asyncio.run(run())


@pytest.mark.parametrize("reason", list(DEFECTS))
def test_a_defect_is_told_of_and_moves_an_epoch(
    cluster: Any, database_settings: Settings, reason: Reason
) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            number = serial(at.good())
            before = await standing.epochs(at.database)
            at.sql(DEFECTS[reason])
            assert await standing.epochs(at.database) != before
            found = await _find(at, number)
            assert found.refusal() is None
            assert found.life.registered() is reason
            assert 7 in (found.life.ended_us, found.life.locked_us)
            assert (await standing.standings(at.database, [number]))[number] == found

    asyncio.run(run())


async def _find(at: Stage, number: str, **changes: Any) -> standing.Standing:
    digest = at.sql("SELECT certificate_sha256 FROM gateway.certificate WHERE serial = %s", number)
    values = {"subject": CITY, "sha256": digest[0][0] if digest else b"", **changes}
    return await standing.find(at.database, values["subject"], number, values["sha256"])


def test_a_row_of_another_certificate_is_none(cluster: Any, database_settings: Settings) -> None:
    """Same serial, other bytes; same certificate, another subject; no row at all."""

    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            number = serial(at.good())
            for changes in ({"sha256": bytes(32)}, {"subject": OTHER}):
                with pytest.raises(Refusal) as refusal:
                    await _find(at, number, **changes)
                assert refusal.value.reason is Reason.CERT_UNKNOWN
            with pytest.raises(Refusal) as refusal:
                await _find(at, "ab")
            assert refusal.value.reason is Reason.CERT_UNKNOWN

    asyncio.run(run())


def test_no_register_no_admission(cluster: Any, database_settings: Settings) -> None:
    async def run() -> None:
        async with stage(cluster, database_settings) as at:
            number = serial(at.good())
            await at.database.close()
            with pytest.raises(Refusal) as refusal:
                await standing.find(at.database, CITY, number, b"")
            assert refusal.value.reason is Reason.STORE_AWAY

    asyncio.run(run())
