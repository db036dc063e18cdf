"""The cluster's own files, sealed and put back: the server that is started from them holds what was counted."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from gateway.backups import checking, physical, restoring
from gateway.backups.errors import BackupError
from gateway.config.home import Home
from gateway.store.embedded import Cluster
from tests.backups.stand import IDENTITY, Stand


@pytest.fixture
def staged() -> Iterator[Home]:
    root = Path(tempfile.mkdtemp(prefix="gw-"))
    root.chmod(0o711)
    yield Home(root / "home")
    shutil.rmtree(root)


def test_what_was_copied_runs_again(stand: Stand, staged: Home) -> None:
    found = checking.read(stand.kept.folder, stand.keys)
    put = restoring.place(found, IDENTITY, staged, lambda *_: None)
    with physical.running(put, None):
        with psycopg.connect(Cluster(staged).superuser("gateway")) as connection:
            row = connection.execute("SELECT count(*) FROM gateway.audit_entry").fetchone()
        assert row == (found.manifest.rows["audit_entry"],)
    assert Cluster(staged).pid() is None


def test_another_manifests_database_is_not_taken(stand: Stand, staged: Home, tmp_path) -> None:
    """The part is whole by the server's list, and not the one that the manifest tells of."""
    found = checking.read(stand.kept.folder, stand.keys)
    other = replace(found, manifest=replace(found.manifest, system="1"))
    with pytest.raises(BackupError) as caught:
        restoring.place(other, IDENTITY, staged, lambda *_: None)
    assert caught.value.code == "BACKUP_DAMAGED"
