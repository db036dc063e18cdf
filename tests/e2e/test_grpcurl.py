"""The grpcurl commands of docs/integrate.md against a real gateway: log in, upload, hold a receipt."""

import asyncio
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from gateway.demo import province as provinces
from gateway.demo.host import Host
from gateway.demo.province import COUNTIES

SCRIPT = Path(__file__).parent / "java" / "grpcurl.sh"

pytestmark = [
    pytest.mark.serial,
    pytest.mark.skipif(shutil.which("grpcurl") is None, reason="needs grpcurl on the path"),
]


@pytest.fixture
def folder():
    # Short, because socket paths are; passable, because as root the processes have users of their own.
    made = Path(tempfile.mkdtemp(prefix="gateway-grpcurl-", dir="/tmp"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_a_stranger_with_grpcurl_uploads_and_holds_a_receipt(folder):
    host = Host.at(folder / "home")
    try:
        host.init(provinces.owners())
        host.start()
        member = asyncio.run(provinces.found(host)).members[COUNTIES[0]]
        remote, papers = member.profile.remote, member.profile.folder
        (papers / "password").write_text(member.password.value)
        arguments = (
            papers,
            remote.host,
            remote.ports.identity,
            remote.ports.intake,
            remote.server_name,
            remote.account,
            member.units[0].unit_code,
        )
        ran = subprocess.run(
            [SCRIPT, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
        )
    finally:
        host.stop()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "ITEM_STATE_ACCEPTED" in ran.stdout
    assert "c2sp.org/tlog-proof@v1" in ran.stdout
