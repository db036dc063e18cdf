"""[P8] kill -9 of every process in turn, 20 in all, during uploads: nothing acknowledged is lost, nothing is twice.

FULL=1: a hundred, whoever and whenever the lot says.
"""

import asyncio
import itertools
import json
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import pytest

from gateway.client.client import Client
from gateway.client.upload import Upload
from gateway.client.verify import Sent
from gateway.clock import SYSTEM
from gateway.demo import host as hosts
from gateway.demo import province as provinces
from gateway.demo.host import Host
from gateway.demo.insiders import VERIFIED, export_and_verify
from gateway.demo.province import COUNTIES, NOBODY_OCTET, Province
from gateway.demo.uploading import Findings, batches, records
from gateway.sample import tables as sample_tables
from gateway.sample.province import Province as Sample
from gateway.sample.units import centre_code
from gateway.store.database import Database
from gateway.store.roles import conninfo
from tests.coverage.rpcs import eventually

KILLS = 20
LONG = 100
VICTIMS = (
    *("supervisor", "postgres", "signer", "front", "identity", "intake", "disclosure"),
    "administration",
)
# Attacks 50 and 51. Whoever dies between these and the next supervisor keeps no leaf of theirs from the log.
TOLD = ("front", "identity", "intake")
# With so many deaths in between, its leaf is written before the supervisor's own.
JOURNALLED = 2
RECEIPTS_BETWEEN = 3
# Of a machine that does much else besides.
PROGRESS_TIMEOUT_S = 180.0
COUNTY = COUNTIES[0]


@pytest.mark.serial
@pytest.mark.timeout(1200)
def test_everything_the_client_holds_a_receipt_for_is_stored_exactly_once():
    _province(list(itertools.islice(itertools.cycle(VICTIMS), KILLS)))


@pytest.mark.serial
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_at_random(capsys: pytest.CaptureFixture[str]):
    victims = [secrets.choice(VICTIMS) for _ in range(LONG)]
    receipts = _province(victims)
    with capsys.disabled():
        print(f"\n{LONG} kills {dict(Counter(victims))}, {receipts} receipts, 0 lost")


def _province(victims: Sequence[str]) -> int:
    """Upload while these are killed, check, and return how many receipts the client holds."""
    with mock.patch.object(hosts, "START_TIMEOUT_S", PROGRESS_TIMEOUT_S):
        return _killed_and_checked(victims)


def _killed_and_checked(victims: Sequence[str]) -> int:
    folder = Path(tempfile.mkdtemp(prefix="gateway-kills-", dir="/tmp"))
    folder.chmod(0o711)
    host = Host.at(folder / "home")
    try:
        host.init(provinces.owners(), [NOBODY_OCTET])
        host.start()
        return asyncio.run(_kill_and_check(host, folder, victims))
    finally:
        host.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _kill_and_check(host: Host, folder: Path, victims: Sequence[str]) -> int:
    province = await provinces.found(host)
    stopped = asyncio.Event()
    findings = Findings(lambda _count: None)
    member = province.members[COUNTY]
    async with Client(member.profile, password=lambda: member.password) as client:
        uploading = asyncio.create_task(
            Upload(client, _until(stopped, province), findings, patience_s=120).run()
        )
        for victim in victims:
            await _progress(findings, uploading)
            await asyncio.to_thread(_kill, host, victim)
        await _progress(findings, uploading)
        stopped.set()
        await uploading
        await client.settle()
    assert not findings.refusals
    await _told_once_each(host, victims)
    await _stored_exactly_once(host, findings)
    assert await asyncio.to_thread(export_and_verify, province, folder / "log") == VERIFIED
    return len(findings.receipts)


def _until(stopped: asyncio.Event, province: Province) -> Iterator[Sent]:
    """Yield small batches of generated families until told to stop."""
    tables = sample_tables.load(province.host.home.policies)
    sample = Sample(tables, province.members[COUNTY].units, seed=11, children=20_000)
    items = records(sample.families())  # type: ignore[arg-type]
    return itertools.takewhile(
        lambda _: not stopped.is_set(), batches(centre_code(COUNTY), items, items_max=25)
    )


async def _progress(findings: Findings, uploading: asyncio.Task[None]) -> None:
    """Wait until some more batches are answered."""
    wanted = len(findings.receipts) + RECEIPTS_BETWEEN
    async with asyncio.timeout(PROGRESS_TIMEOUT_S):
        while len(findings.receipts) < wanted:
            if uploading.done():
                await uploading
            await asyncio.sleep(0.02)


def _kill(host: Host, victim: str) -> None:
    if victim == "supervisor":
        host.stop(signal.SIGKILL)
        host.start()
        return
    os.kill(_pid(host, victim), signal.SIGKILL)


def _pid(host: Host, process: str) -> int:
    """Return the pid of a process, once it has one again."""
    deadline = SYSTEM.monotonic() + PROGRESS_TIMEOUT_S
    while SYSTEM.monotonic() < deadline:
        status = json.loads(host.home.supervisor_status.read_text())
        if pid := status["children"].get(process, {}).get("pid"):
            return int(pid)
        time.sleep(0.05)
    raise AssertionError(f"{process} does not come back")


async def _told_once_each(host: Host, victims: Sequence[str]) -> None:
    """One leaf tells of each that was killed; that everybody was served afterwards, the upload shows."""
    most = Counter(one for one in victims if one in TOLD)
    least = Counter(
        one
        for place, one in enumerate(victims, 1)
        if one in TOLD and "supervisor" not in victims[place : place + JOURNALLED]
    )
    database = await Database.open(conninfo(host.home, host.settings, "owner"), application="test")

    async def all_told() -> bool:
        return await _killed(database) >= least

    try:
        # The supervisor writes its leaves beside the doors' work: the last may still be on its way.
        await eventually(all_told, PROGRESS_TIMEOUT_S)
        assert await _killed(database) <= most
    finally:
        await database.close()


async def _killed(database: Database) -> Counter[str]:
    """How often the log tells that each of TOLD was killed."""
    rows = await database.fetch("SELECT leaf FROM gateway.audit_entry ORDER BY idx")
    leaves = [json.loads(bytes(row[0])) for row in rows]
    restarted = [one["detail"] for one in leaves if one["kind"] == "process.restarted"]
    killed = [one["process"] for one in restarted if one.get("signal") == signal.SIGKILL]
    return Counter(one for one in killed if one in TOLD)


async def _stored_exactly_once(host: Host, findings: Findings) -> None:
    where = conninfo(host.home, host.settings, "owner")
    database = await Database.open(where, application="test", size=1)
    try:
        async with database.transaction() as tx:
            stored = await tx.fetch(
                "SELECT b.request_id::text, count(i.item_index) FROM gateway.batch AS b"
                " LEFT JOIN gateway.item AS i USING (batch_id) GROUP BY b.batch_id"
            )
            twice = await tx.fetch(
                "SELECT unit_code, record_id FROM gateway.dose GROUP BY 1, 2 HAVING count(*) > 1"
            )
    finally:
        await database.close()
    held = sorted((receipt.request_id, len(receipt.items)) for receipt, _ in findings.receipts)
    assert sorted(stored) == held
    assert not twice
