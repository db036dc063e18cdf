"""A founded HOME with its cluster and signer running, a recipient on its log, and one backup, per test worker."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.backups.making import Made
from gateway.cli.founding import Founding
from gateway.config.home import Home
from gateway.store.embedded import Cluster
from tests.backups.stand import RECIPIENT, Stand


@pytest.fixture(scope="session")
def stand() -> Iterator[Stand]:
    # Short, because socket paths are; passable, because as root the processes have users of their own.
    root = Path(tempfile.mkdtemp(prefix="gw-"))
    root.chmod(0o711)
    home = Home(root / "home")
    founding = Founding(
        home=home,
        province="140000",
        trust_domain="sx.example",
        dsn="",
        password="",
        base_port=18_843,
        listen=("127.0.0.1",),
    )
    asyncio.run(founding.found(lambda *_, **__: None))
    cluster = Cluster(home)
    cluster.start(mortal=True)
    try:
        made = Stand(home, root / "place")
        made.add("safe-1", RECIPIENT)
        made.enlist("admin", "zhao", "qian")
        made.kept = made.make()
        yield made
    finally:
        cluster.stop()
        shutil.rmtree(root)


@pytest.fixture(scope="session")
def chained_once(stand: Stand) -> list[Made]:
    """A base backup and two incremental ones in a place of their own."""
    place = stand.place.with_name("chained")
    return stand.chain(place)


@pytest.fixture
def chained(chained_once: list[Made], tmp_path: Path) -> list[Made]:
    """A copy of that place, to be spoilt."""
    place = shutil.copytree(chained_once[0].folder.parent, tmp_path / "chained")
    return [replace(one, folder=Path(place) / one.folder.name) for one in chained_once]


@pytest.fixture
def backup(stand: Stand, tmp_path: Path) -> Path:
    """A copy of the stand's backup, to be spoilt."""
    return Path(shutil.copytree(stand.kept.folder, tmp_path / stand.kept.folder.name))
