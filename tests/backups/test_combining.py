"""What is put together from a chain is what the server had at its end: with the rows of each part of it; or it is refused."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from gateway.backups import checking, combining, manifest, physical, restoring
from gateway.backups.making import Made
from gateway.config import users
from gateway.config.home import Home
from gateway.store.embedded import Cluster
from gateway.store.tools import Tools
from tests.backups.stand import IDENTITY, Stand, code

ROWS = "SELECT DISTINCT subject_name FROM gateway.certificate WHERE subject_name LIKE 'row-%%'"


@pytest.fixture
def staged() -> Iterator[Home]:
    root = Path(tempfile.mkdtemp(prefix="gw-"))
    root.chmod(0o711)
    yield Home(root / "home")
    shutil.rmtree(root)


def placed(stand: Stand, made: Made, staged: Home) -> None:
    found = checking.check(made.folder, stand.keys)
    restoring.place(found, IDENTITY, staged, lambda *_: None)


@pytest.mark.parametrize("upto", [0, 1, 2])
def test_each_end_of_a_chain_has_the_rows_up_to_it(
    stand: Stand, chained, staged: Home, upto: int
) -> None:
    placed(stand, chained[upto], staged)
    cluster = Cluster(staged)
    assert [one.name for one in cluster.data.parent.iterdir() if "data" in one.name] == ["data"]
    assert not list(cluster.data.rglob("INCREMENTAL.*"))
    with (
        physical.running(cluster, None),
        psycopg.connect(cluster.superuser("gateway")) as connection,
    ):
        found = {name for (name,) in connection.execute(ROWS).fetchall()}
    assert found >= {f"row-{number}" for number in range(1, upto + 1)}
    assert f"row-{upto + 1}" not in found
    # Every page of the stopped cluster, by the checksum that the server wrote into it.
    tools = Tools(staged, users.user_of("postgres"))
    assert "Bad checksums:  0" in tools.run("pg_checksums", "--check", f"--pgdata={cluster.data}")


def test_a_part_of_another_chain_is_refused_before_anything_is_combined(
    stand: Stand, chained, staged: Home
) -> None:
    """As if manifests lied: the parent's files are whole, and not those that the child goes on from."""
    found = checking.check(chained[-1].folder, stand.keys)
    other = replace(found, parents=(found.parents[0],))
    reason = code(lambda: restoring.place(other, IDENTITY, staged, lambda *_: None))
    assert reason == "BACKUP_PARENT_FOREIGN"
    assert not Cluster(staged).data.exists()


def test_a_file_that_is_changed_after_it_was_combined_is_found(
    stand: Stand, chained, staged: Home
) -> None:
    placed(stand, chained[-1], staged)
    data = Cluster(staged).data
    whole = combining.read(data)
    checking.require_same(whole, chained[-1].manifest)
    path = data / "global" / "pg_control"
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert code(lambda: combining.read(data)) == "BACKUP_DAMAGED"
    path.write_bytes(content)
    [segment] = [data / "pg_wal" / name for name in whole.wal.segments()][:1]
    segment.unlink()
    assert code(lambda: combining.read(data)) == "BACKUP_WAL_MISSING"


def test_a_parent_whose_content_is_another_ones_is_found(
    stand: Stand, chained, staged: Home
) -> None:
    """Attack: the sealed database of a parent is another good one's; nothing is combined."""
    base, first, second = chained
    found = checking.check(second.folder, stand.keys)
    shutil.copy(first.folder / manifest.CLUSTER_PART, base.folder / manifest.CLUSTER_PART)
    reason = code(lambda: restoring.place(found, IDENTITY, staged, lambda *_: None))
    assert reason == "BACKUP_DAMAGED"
