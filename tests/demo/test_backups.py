"""Each row of the demo about backups is as promised, with its leaf; the gateway serves on, and the damaged copy is whole again."""

import asyncio
import json
import shutil
import tempfile
from pathlib import Path

import pytest

from gateway.demo import backups
from gateway.demo import province as provinces
from gateway.demo.host import Host
from gateway.demo.tried import Tried
from gateway.demo.watch import Watch


@pytest.mark.serial
@pytest.mark.timeout(600)
def test_every_row_is_as_promised(monkeypatch):
    monkeypatch.setattr("gateway.demo.host.START_TIMEOUT_S", 120.0)  # a busy machine is no fault
    folder = Path(tempfile.mkdtemp(prefix="gateway-demo-", dir="/tmp"))
    folder.chmod(0o711)
    host = Host.at(folder / "home")

    async def scenario() -> list:
        there = await provinces.found(host)
        channels = there.auditor.channels()
        try:
            tried = Tried(Watch(channels, there.auditor.session(channels)))
            await backups.tell(host, tried, folder)
            # The auditor is served all the while.
            assert await tried.watch.newest() > 0
            return tried.rows
        finally:
            await channels.close()

    try:
        own = provinces.policies(folder / "policies", backups.places(folder))
        host.init(provinces.owners(), policies=own)
        host.start()
        rows = asyncio.run(scenario())
        listed = json.loads(
            host.run("backup", "list", "--home", str(host.home.root), "--check", "--json")
        )
    finally:
        host.stop()
        shutil.rmtree(folder, ignore_errors=True)
    assert [row.tried for row in rows if not row.kept] == []
    assert [row.tried for row in rows if row.leaf is not None] == [
        f"demo.row.backup-{name}" for name in ("kept", "flipped", "drilled")
    ]
    assert [one["places"] for one in listed["backups"]] == [2]
    assert rows[3].happened != "0 rows proven"
