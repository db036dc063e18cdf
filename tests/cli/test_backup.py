"""`gateway backup` of a gateway that is served, with its real processes: made, listed, checked, opened; killed in the middle."""

import asyncio
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gateway.backups import making
from gateway.cli import rotation
from gateway.cli.output import Output
from gateway.clock import SYSTEM
from gateway.config import settings
from gateway.config.home import Home
from gateway.messages.texts import catalogue
from gateway.store import roles
from gateway.store.embedded import Cluster
from tests.cli.small_admin import cli
from tests.house.tree import ROOT
from tests.supervise.test_supervisor import Served, until


@pytest.fixture(scope="module")
def served(founded: Home) -> Iterator[Home]:
    one = Served(founded)
    one.start()
    try:
        yield founded
    finally:
        if one.process is not None and one.process.poll() is None:
            one.end(signal.SIGTERM)
        Cluster(founded).stop()


def leaves(home: Home, kind: str) -> list[dict]:
    conninfo = roles.conninfo(home, settings.load(home.settings), "owner")
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute(
            "SELECT leaf FROM gateway.audit_entry WHERE kind = %s ORDER BY idx", [kind]
        ).fetchall()
    return [json.loads(leaf) for (leaf,) in rows]


@pytest.fixture
def told(capsys):
    def run(*words: object, status: int = 0) -> dict:
        capsys.readouterr()
        done = cli("backup", *map(str, words), "--json")
        out = capsys.readouterr().out
        assert done == status, out
        return json.loads(out)

    return run


@pytest.fixture
def recipient(told, served: Home, tmp_path: Path) -> Iterator[Path]:
    """A recipient in force, and the file of its private key."""
    file = tmp_path / "key"
    made = told("recipient", "new", file)
    told("recipient", "add", served.root, "safe-1", made["recipient"])
    yield file
    told("recipient", "remove", served.root, "safe-1")


def test_a_backup_from_its_recipient_to_its_rehearsal(
    told, served: Home, recipient: Path, tmp_path: Path
) -> None:
    """By the key in HOME, and by the line alone that every city holds; the log tells of each act on the gateway."""
    counted = {kind: len(leaves(served, kind)) for kind in ("backup.check", "backup.rehearse")}
    place, line = tmp_path / "place", ("--key", served.log_key)
    [listed] = told("recipient", "list", served.root)["recipients"]
    assert listed["name"] == "safe-1"
    assert asyncio.run(rotation.read(served, SYSTEM.now_us())).recipients == 1
    made = told("create", served.root, "--to", place)
    assert made["recipients"] == [listed["recipient"]]
    last = leaves(served, "backup.create")[-1]
    assert last["detail"]["manifest_sha256"] == made["sha256"]
    assert recipient.read_text().strip() not in json.dumps(last)
    for trusted in (("--home", served.root), line):
        [one] = told("list", place, *trusted)["backups"]
        assert one["folder"] == made["folder"]
        assert told("check", made["folder"], *trusted)["sha256"] == made["sha256"]
        opened = told("rehearse", made["folder"], *trusted, "--identity", recipient)
        assert opened["leaf"] == made["leaf"]
    for kind, before in counted.items():
        assert len(leaves(served, kind)) == before + 1


def test_a_spoilt_one_is_told_and_recorded_and_the_next_is_good(
    told, served: Home, recipient: Path, tmp_path: Path
) -> None:
    made = told("create", served.root, "--to", tmp_path / "place")
    spoilt = Path(shutil.copytree(made["folder"], tmp_path / "place" / "20200101T000000"))
    (spoilt / "receipt").write_text("nothing")
    first, second = told("list", tmp_path / "place", "--home", served.root)["backups"]
    assert first["folder"] == made["folder"]
    assert second["refused"] == "BACKUP_UNSIGNED"
    before = len(leaves(served, "backup.check"))
    refused = told("check", spoilt, "--home", served.root, status=1)
    assert refused["refused"] == "BACKUP_UNSIGNED"
    told("check", made["folder"], "--home", served.root)
    *_, deny, allow = leaves(served, "backup.check")
    assert (deny["decision"], deny["detail"]) == ("error", {"cause": "backup-unsigned"})
    assert allow["decision"] == "allow"
    assert len(leaves(served, "backup.check")) == before + 2


def test_another_key_opens_nothing_and_is_recorded_without_it(
    told, served: Home, recipient: Path, tmp_path: Path
) -> None:
    made = told("create", served.root, "--to", tmp_path / "place")
    told("recipient", "new", tmp_path / "other")
    of = ("rehearse", made["folder"], "--home", served.root, "--identity")
    assert told(*of, tmp_path / "other", status=1)["refused"] == "BACKUP_KEY_WRONG"
    last = leaves(served, "backup.rehearse")[-1]
    assert last["detail"] == {"cause": "backup-key-wrong"}
    told(*of, recipient)


def test_a_killed_command_leaves_nothing_that_passes_for_a_backup(
    told, served: Home, recipient: Path, tmp_path: Path
) -> None:
    """kill -9 in the midst of the database, which comes at the least rate there is."""
    place = tmp_path / "place"
    words = ["backup", "create", str(served.root), "--to", str(place), "--rate-kib", "32"]
    running = subprocess.Popen(
        [sys.executable, "-m", "gateway", *words],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: any(place.glob(f"{making.PARTIAL}*/database.tar.age")))
        until(lambda: any(one.stat().st_size for one in place.glob("*/database.tar.age")))
        [partial] = place.iterdir()
    finally:
        running.kill()
        running.wait()
    [one] = told("list", place, "--home", served.root)["backups"]
    assert one["refused"] == "BACKUP_PART_MISSING"
    assert told("check", partial, "--home", served.root, status=1)["refused"] == one["refused"]
    made = told("create", served.root, "--to", place)
    assert [str(path) for path in place.iterdir()] == [made["folder"]]
    told("rehearse", made["folder"], "--home", served.root, "--identity", recipient)
    assert not served.password_file("backup.pgpass").exists()


def test_what_is_no_use_is_refused(told, served: Home, tmp_path: Path) -> None:
    inside = ("create", served.root, "--to", served.root / "backups")
    assert told(*inside, status=2)["refused"] == "PLACE_INSIDE"
    assert told("create", served.root, "--to", tmp_path / "p", status=1)["refused"] == (
        "BACKUP_NO_RECIPIENT"
    )
    assert told("list", tmp_path, status=2)["refused"] == "USAGE"
    assert told("recipient", "add", served.root, "x", "age1x", status=1)["refused"] == (
        "FIELD_INVALID"
    )
    assert told("recipient", "remove", served.root, "x", status=1)["refused"] == "NOT_FOUND"
    assert told("recipient", "list", served.root)["recipients"] == []


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_it_speaks_the_users_language(served: Home, tmp_path: Path, capsys, lang) -> None:
    (tmp_path / "place").mkdir()
    for words in (
        ("list", tmp_path / "place", "--home", served.root),
        ("recipient", "list", served.root),
        ("recipient", "new", tmp_path / "key"),
    ):
        assert cli("backup", *map(str, words), "--lang", lang) == 0
    said = capsys.readouterr().out
    assert Output(lang).text("backup.none") in said
    assert "backup." not in said
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "key").read_text().strip() not in said


def test_every_code_has_its_words_and_its_line_in_the_document() -> None:
    codes = {
        word.removeprefix("backup.code.")
        for word in catalogue("zh")
        if word.startswith("backup.code.")
    }
    written = {
        code
        for path in (ROOT / "gateway/backups").glob("*.py")
        for code in re.findall(r'"(BACKUP_[A-Z_]+)"', path.read_text())
    }
    assert written == codes
    page = (ROOT / "docs/backups.md").read_text(encoding="utf-8")
    assert {code for code in codes if f"`{code}`" not in page} == set()


def test_what_changed_is_backed_up_where_that_is_asked_for_and_can_be(
    told, served: Home, recipient: Path, tmp_path: Path, capsys
) -> None:
    """A swapped parent is told with one leaf, and the chain with its own is good."""
    place, word = tmp_path / "place", "--incremental"
    made = [told("create", served.root, "--to", place, *more) for more in ([word], [word], [])]
    assert [one["form"] for one in made] == ["base", "incremental", "base"]
    assert [one["why"] for one in made] == ["first", "", ""]
    base, child, later = (Path(one["folder"]) for one in made)
    told("rehearse", child, "--home", served.root, "--identity", recipient)
    aside = base.rename(tmp_path / "aside")
    shutil.copytree(later, base)
    before = len(leaves(served, "backup.check"))
    refused = told("check", child, "--home", served.root, status=1)
    assert refused["refused"] == "BACKUP_PARENT_MISSING"
    [last] = leaves(served, "backup.check")[before:]
    assert last["detail"] == {"cause": "backup-parent-missing"}
    shutil.rmtree(base)
    aside.rename(base)
    told("check", child, "--home", served.root)
    assert cli("backup", "create", str(served.root), "--to", str(tmp_path / "new"), word) == 0
    assert Output("en").text("backup.why.first") in capsys.readouterr().out
