"""One served province for the tests of this folder: real processes, started once per worker."""

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest

from gateway.demo import exporters
from gateway.demo import province as provinces
from gateway.demo.host import Host
from gateway.demo.province import NOBODY_OCTET, SECOND_WAY


@pytest.fixture(scope="session")
def province():
    folder = Path(tempfile.mkdtemp(prefix="gateway-demo-", dir="/tmp"))
    folder.chmod(0o711)
    host = Host.at(folder / "home")
    try:
        host.init(
            [*provinces.owners(), SECOND_WAY],
            [NOBODY_OCTET],
            provinces.policies(folder / "policies"),
        )
        host.start()
        yield asyncio.run(provinces.found(host))
    finally:
        host.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def people(province):
    """The people of exports in it."""
    return asyncio.run(exporters.enlist(province))
