"""Whose files a backup holds decides where they are put: below HOME, or elsewhere by programs that fit."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.backups import checking, elsewhere, manifest
from gateway.backups.elsewhere import Elsewhere
from gateway.config import folders, users
from gateway.config.home import Home
from gateway.store.embedded import Cluster
from gateway.store.guest import Guest
from gateway.store.tools import Tools
from tests.backups.stand import Stand, code


@pytest.fixture
def other(stand: Stand) -> Iterator[Home]:
    """A HOME whose settings say that its database is another server's."""
    root = Path(tempfile.mkdtemp(prefix="gw-"))
    root.chmod(0o711)
    home = Home(root / "home")
    folders.make_folders(home)
    text = stand.home.settings.read_text()
    ours = "\n".join(line for line in text.splitlines() if not line.startswith("dsn"))
    home.settings.write_text(f'dsn = "host=db.example dbname=vaccines"\n{ours}')
    yield home
    shutil.rmtree(root)


def test_our_own_files_go_below_home(stand: Stand, tmp_path: Path) -> None:
    said = checking.read(stand.kept.folder, stand.keys).manifest
    for given in (None, Elsewhere(None, None)):
        put = elsewhere.cluster(stand.home, said, given)
        assert type(put) is Cluster
        assert elsewhere.reached(put).dsn == ""
    asked = Elsewhere(tmp_path, None)
    assert code(lambda: elsewhere.cluster(stand.home, said, asked)) == "BACKUP_PROGRAMS"


def test_another_servers_files_need_a_folder_and_programs_that_fit(
    stand: Stand, other: Home
) -> None:
    said = checking.read(stand.kept.folder, stand.keys).manifest
    fitting = Tools(other, users.user_of("postgres")).folder
    assert code(lambda: elsewhere.cluster(other, said, None)) == "BACKUP_PROGRAMS"
    asked = Elsewhere(other.root / "data", None)
    assert code(lambda: elsewhere.cluster(other, said, asked)) == "BACKUP_PROGRAMS"
    asked = replace(asked, programs=fitting)
    older = replace(said, server=15)
    assert code(lambda: elsewhere.cluster(other, older, asked)) == "BACKUP_PROGRAMS"
    put = elsewhere.cluster(other, said, asked)
    assert isinstance(put, Guest)
    assert put.data == asked.data
    assert "dbname=vaccines" in elsewhere.reached(put).dsn
    assert "db.example" not in elsewhere.reached(put).dsn
    # A dump goes into a server of ours, whoever's it is of.
    dump = replace(said, form=manifest.DUMP)
    assert type(elsewhere.cluster(other, dump, None)) is Cluster


def test_programs_are_those_that_the_settings_name(stand: Stand, other: Home) -> None:
    said = checking.read(stand.kept.folder, stand.keys).manifest
    fitting = Tools(other, users.user_of("postgres")).folder
    other.settings.write_text(f'programs = "{fitting}"\n{other.settings.read_text()}')
    put = elsewhere.cluster(other, said, Elsewhere(None, None))
    assert isinstance(put, Guest)
    assert put.data == Cluster(other).data
