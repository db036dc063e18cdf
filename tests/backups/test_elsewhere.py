"""Whose files a backup holds decides where they are put: below HOME, or elsewhere by programs that fit."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from gateway.backups import checking, drilling, elsewhere, manifest, restoring
from gateway.backups.elsewhere import Elsewhere
from gateway.backups.making import Made
from gateway.clock import SYSTEM
from gateway.config import folders, users
from gateway.config.backups import FILE
from gateway.config.home import Home
from gateway.store.embedded import Cluster
from gateway.store.guest import Guest
from gateway.store.tools import Tools
from tests.backups.hosted import NAME, Hosted, hosted_once  # noqa: F401  a fixture
from tests.backups.stand import IDENTITY, Stand, code

# What runs elsewhere, and outlives the server if nobody ends it; it looks for the key of the log.
HOSTILE = """
CREATE FUNCTION public.theirs() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $theirs$
BEGIN COPY (SELECT 1) TO PROGRAM
 'case "$PWD" in *drill*) id -un >>{0}/who; cat ../../secrets/signer/log.skey >>{0}/key 2>/dev/null;
  setsid sh -c ''echo $$ >>{0}/left; exec sleep 900'' </dev/null >/dev/null 2>&1 &
  while [ ! -s {0}/left ]; do sleep 0.01; done;; esac; cat >/dev/null';
END $theirs$;
CREATE EVENT TRIGGER theirs ON login EXECUTE FUNCTION public.theirs();
ALTER EVENT TRIGGER theirs ENABLE ALWAYS;
"""
CLEAN = "DROP EVENT TRIGGER theirs; DROP FUNCTION public.theirs()"
apart = pytest.mark.skipif(not users.separate(), reason="only root starts another's programs")


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


@apart
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


@apart
def test_programs_are_those_that_the_settings_name(stand: Stand, other: Home) -> None:
    said = checking.read(stand.kept.folder, stand.keys).manifest
    fitting = Tools(other, users.user_of("postgres")).folder
    other.settings.write_text(f'programs = "{fitting}"\n{other.settings.read_text()}')
    put = elsewhere.cluster(other, said, Elsewhere(None, None, scratch=True))
    assert isinstance(put, Guest)
    assert put.data == Cluster(other).data


@apart
def test_only_a_drill_puts_them_below_home(stand: Stand, other: Home) -> None:
    """Who restores would have a HOME whose settings name the server that lives, or nothing."""
    said = checking.read(stand.kept.folder, stand.keys).manifest
    asked = Elsewhere(None, Tools(other, users.user_of("postgres")).folder)
    assert code(lambda: elsewhere.cluster(other, said, asked)) == "BACKUP_PROGRAMS"


def test_without_a_user_of_their_own_nothing_of_theirs_is_started(
    stand: Stand, other: Home, monkeypatch
) -> None:
    """Attack: programs that their superuser left in it would read the log's key and a recipient's."""
    said = checking.read(stand.kept.folder, stand.keys).manifest
    fitting = Tools(other, users.user_of("postgres")).folder
    monkeypatch.setattr(users, "separate", lambda: False)
    for asked in (Elsewhere(other.root / "data", fitting), Elsewhere(None, fitting, scratch=True)):
        assert code(lambda asked=asked: elsewhere.cluster(other, said, asked)) == "BACKUP_ROOT"
    assert type(elsewhere.cluster(stand.home, said, None)) is Cluster  # our own is no guest


@pytest.fixture
def based(hosted: Hosted, tmp_path: Path) -> Iterator[Made]:
    """A backup of another's server's files, whose superuser has something in them."""
    rules = hosted.home.policies / FILE
    before = rules.read_text()
    rules.write_text(re.sub(r'(?m)^form = ".*"', 'form = "offered"', before))
    try:
        yield hosted.make(tmp_path)
    finally:
        rules.write_text(before)


@pytest.fixture
def fresh() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="gw-"))
    root.chmod(0o711)
    yield root
    shutil.rmtree(root)


@apart
def test_a_restore_without_a_data_directory_leaves_no_home(
    hosted: Hosted, based: Made, fresh: Path
) -> None:
    assert based.manifest.form == manifest.BASE
    two = (hosted.approved(based, "zhao"), hosted.approved(based, "qian"))
    fitting = Tools(hosted.home, users.user_of("postgres")).folder
    asked = restoring.Wanted(based.folder, hosted.keys, IDENTITY, two, "", Elsewhere(None, fitting))
    home = fresh / "home"
    assert code(lambda: restoring.restore(asked, home, SYSTEM)) == "BACKUP_PROGRAMS"
    assert list(fresh.iterdir()) == []
    asked = replace(asked, elsewhere=Elsewhere(fresh / "data", fitting))
    assert restoring.restore(asked, home, SYSTEM).log_size > 0


@apart
@pytest.mark.parametrize("stands", ["on", "off"])
def test_what_their_superuser_left_in_it_reads_no_key_and_ends_with_the_drill(
    hosted: Hosted, tmp_path: Path, fresh: Path, request, stands: str
) -> None:
    """Attack: a trigger at login runs programs on the host of whoever holds the drill; on: by a setting above ours."""
    seen = fresh / "seen"
    seen.mkdir()
    seen.chmod(0o777)
    setting = f"ALTER DATABASE {NAME} SET event_triggers = on"
    with psycopg.connect(hosted.server.superuser(NAME), autocommit=True) as connection:
        connection.execute(HOSTILE.format(seen))
        if stands == "on":
            connection.execute(setting)
    try:
        made = request.getfixturevalue("based")
    finally:
        with psycopg.connect(hosted.server.superuser(NAME), autocommit=True) as connection:
            connection.execute(CLEAN)
            connection.execute(setting.replace("SET event_triggers = on", "RESET event_triggers"))
    fitting = Tools(hosted.home, users.user_of("postgres")).folder
    asked = drilling.Wanted(made.folder, hosted.keys, IDENTITY, "", fitting)
    assert drilling.drill(asked, hosted.home, fresh / "drill", SYSTEM).rows > 0
    if stands == "off":
        assert list(seen.iterdir()) == []
        return
    assert set((seen / "who").read_text().split()) == {users.user_name("postgres")}
    assert (seen / "key").read_text() == ""
    left = (seen / "left").read_text().split()
    assert left
    assert not any(Path(f"/proc/{one}").exists() for one in left)
