"""[P8] kill -9 at every step of making, keeping, sending, restoring and drilling: no half is taken for a whole, and the next run goes on.

Each run begins on what the one killed at the step before left behind. FULL=1: a good run after each of them as well.
"""

# ruff: noqa: F811  fixtures; a parameter
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from gateway.backups import checking, drilling, keeping, restoring, schedule, spreading
from gateway.backups.restoring import Wanted
from gateway.clock import SYSTEM
from gateway.config.home import Home
from gateway.store.embedded import Cluster
from tests.backups.conftest import stand  # noqa: F401
from tests.backups.stand import IDENTITY, KEY, Stand
from tests.backups.test_restoring import target, tree  # noqa: F401
from tests.backups.test_shipping import forget, grow, journal, places, turn, whole_everywhere  # noqa: F401
from tests.faults.backup_sacrifice import Point, rules
from tests.house.tree import ROOT
from tests.supervise.test_supervisor import until

pytestmark = pytest.mark.timeout(600)
ROUNDS = pytest.mark.parametrize(
    "always", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["chain", "each"]
)
# By the numbers of the docstrings of making, keeping, shipping, restoring, drilling.
CREATE = [
    Point("1 alone", "backups.making:_begin"),
    Point("2 look", "backups.making:_look"),
    Point("3 home", "backups.sealing:seal"),
    Point("4 database, in the midst", "backups.cluster:ClusterCheck.end", count=300),
    Point("4 database", "backups.sealing:seal", count=2),
    Point("5 still", "backups.making:_manifest", after=False),
    Point("6 log, the leaf alone", "backups.making:proof_text", after=False),
    Point("6 log", "backups.making:_record"),
    Point("7 name, all but that", "backups.making:named", after=False),
    Point("7 name", "backups.making:named"),
]
KEEP = [
    Point("1 newest, before", "backups.making:make", after=False),
    Point("1 newest", "backups.making:make"),
    Point("2 copies, in the midst", "backups.spreading:_copy", count=3),
    Point("2 copies, all but the name", "backups.spreading:named", after=False),
    Point("2 copies", "backups.spreading:copy"),
    Point("3 log, before", "backups.keeping:Event", after=False),
    Point("3 log", "backups.spreading:prune", after=False),
    Point("4 retention, in the midst", "backups.placed:remove", after=False),
    Point("4 retention", "backups.spreading:prune_wal", count=2),
]
LINE = [
    Point("1 line, the slot alone", "store.wal:Journal.keep"),
    Point("1 line, the leaf alone", "backups.shipping:write_private", after=False),
    Point("1 line, its key alone", "backups.shipping:write_private"),
    Point("1 line", "backups.shipping:_begin"),
]
SEND = [
    Point("2 whole, sealed", "backups.sealing:seal"),
    Point("2 whole, without its entry", "backups.shipping:replace_private", after=False),
    Point("2 whole, not counted", "backups.shipping:replace_private", after=False, count=2),
    Point("2 whole, not released", "store.wal:Journal.release", after=False),
    Point("2 whole", "store.wal:Journal.release"),
    Point("3 tail", "backups.following:drop_tails"),
    Point("4 others, without its entry", "backups.following:replace_private"),
    Point("4 others", "backups.following:follow"),
]
RESTORE = [
    Point("1 good", "backups.checking:check"),
    Point("2 newest", "backups.restoring:_newest_epoch"),
    Point("3 files", "backups.checking:unpack"),
    Point("4 database, in the midst", "backups.placing:Placing.end", count=400),
    Point("4 database", "backups.restoring:place"),
    Point("5 start, the server runs", "store.embedded:Cluster.start"),
    Point("5 start, in the midst of the log", "tlog.frontier:Frontier.append", count=2),
    Point("6 officers", "backups.approval:require"),
    Point("7 void, not committed", "backups.stating:state"),
    Point("7 void", "backups.restoring:_prove"),
    Point("8 name, all but that", "backups.restoring:_name", after=False),
]
NAMED = Point("8 name", "backups.restoring:_name")
UNTIL = [
    Point("4 database, the journal before it", "backups.replaying:put", after=False),
    Point("4 database, the journal with it", "backups.replaying:put"),
    Point("5 start, replayed", "backups.replaying:replay"),
]
DRILL = [
    Point("1 alone", "backups.drilling:_clear"),
    Point("2 good", "backups.checking:check"),
    Point("3 files, in the midst", "backups.placing:Placing.end", count=400),
    Point("3 files", "backups.restoring:place"),
    Point("4 start, the server runs", "store.embedded:Cluster.start"),
    Point("4 start, in the midst of the log", "tlog.frontier:Frontier.append", count=2),
    Point("5 receipts", "backups.receipts:prove"),
    Point("6 away", "backups.drilling:_clear", after=False, count=2),
]


def killed(stand: Stand, flow: str, point: Point, **told: object) -> None:
    """Run a flow in a process of its own until it is dead."""
    words = {"flow": flow, "point": asdict(point), "home": str(stand.home.root), **told}
    program = [sys.executable, "-m", "tests.faults.backup_sacrifice", json.dumps(words)]
    ran = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == -signal.SIGKILL, f"{point.step}: {ran.stderr}"
    # Its signer died with it.
    stand.home.signer_socket.unlink(missing_ok=True)


def nothing_keeps_the_journal(stand: Stand) -> None:
    """Neither a slot nor a sender of a base backup outlives who made it."""
    left = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_basebackup'"
        " UNION ALL SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'gateway_backup%%' AND %s"
    )
    until(lambda: [one for (one,) in stand.sql(left, True)] == [0, 0])


def wholes(stand: Stand, place: Path) -> list[Path]:
    """What passes for a backup in a place; all of it is one."""
    found = [one for one in place.iterdir() if one.name[0] != "." and one.name != "wal"]
    for one in found:
        checking.check(one, stand.keys)
    return sorted(found)


@ROUNDS
def test_a_backup_is_whole_or_is_none(stand: Stand, tmp_path: Path, always: bool) -> None:
    place = tmp_path / "place"
    place.mkdir()
    for point in CREATE:
        before = wholes(stand, place)
        killed(stand, "create", point, place=str(place))
        after = wholes(stand, place)
        assert len(after) == len(before) + (point is CREATE[-1]), point.step
        nothing_keeps_the_journal(stand)
        if always or point is CREATE[-1]:
            made = stand.make(place)
            assert checking.rehearse(made.folder, stand.keys, IDENTITY).manifest == made.manifest
            assert wholes(stand, place) == sorted([*after, made.folder])
            assert len(list(place.iterdir())) == len(after) + 1
    assert not stand.home.password_file("backup.pgpass").exists()


@ROUNDS
def test_what_is_due_comes_into_all_places(
    stand: Stand, tmp_path: Path, monkeypatch, always: bool
) -> None:
    """An older one stands there: it goes with the last step, and never before the newer one stands twice."""
    two = [tmp_path / "a", tmp_path / "b"]
    for one in two:
        one.mkdir()
    old = stand.make(two[0])
    spreading.copy(checking.check(old.folder, stand.keys), two[1], stand.keys)
    told = {"places": [str(one) for one in two], "since_us": SYSTEM.now_us()}
    own = rules([str(one) for one in two])
    monkeypatch.setattr(schedule, "due_since_us", lambda *_: told["since_us"])
    for point in KEEP:
        if always:  # after a good run nothing is due
            told["since_us"] = SYSTEM.now_us()
        killed(stand, "keep", point, **told)
        there = [wholes(stand, one) for one in two]
        assert all(there), point.step
        nothing_keeps_the_journal(stand)
        kept = stand.run(lambda source: keeping.keep(source, own, stand.keys)) if always else None
        assert kept is None or kept.copies == 2
    kept = stand.run(lambda source: keeping.keep(source, own, stand.keys))
    assert (kept.new, kept.copies, kept.missing) == (False, 2, 0)
    for one in two:
        assert [path.name for path in one.iterdir()] == [kept.found.folder.name]
        assert checking.rehearse(one / kept.found.folder.name, stand.keys, IDENTITY)
    assert kept.found.manifest.made_us > old.manifest.made_us


@ROUNDS
def test_a_line_begins_and_goes_on_without_a_gap(stand: Stand, places, always: bool) -> None:
    told = {"places": [str(one) for one in places]}
    for point in LINE:
        killed(stand, "wal", point, **told)
    assert turn(stand, places).copies == 2
    whole_everywhere(stand, places)
    begun = len(stand.leaves("backup.wal"))
    for point in SEND:
        grow(stand, 2)
        killed(stand, "wal", point, **told)
        assert not always or turn(stand, places).copies == 2
    grow(stand)
    assert turn(stand, places).copies == 2
    whole_everywhere(stand, places)
    # It is the same line, and the server throws away again what was sent.
    assert len(stand.leaves("backup.wal")) == begun
    with journal(stand) as found:
        assert found.kept_from() == found.flushed().number
    assert not [one for place in places for one in place.rglob("*.new")]


@pytest.fixture
def asked(stand: Stand, target: Path, tmp_path: Path) -> dict[str, object]:
    """What a process of its own is told of a restore, or a drill."""
    (tmp_path / "key").write_text(KEY)
    return {"identity": str(tmp_path / "key"), "target": str(target), "until": ""}


def officers(stand: Stand, made, folder: Path, until: str = "") -> list[str]:
    folder.mkdir(exist_ok=True)
    for name in ("zhao", "qian"):
        (folder / name).write_bytes(stand.approved(made, name, until=until).encode())
    return [str(folder / name) for name in ("zhao", "qian")]


def stands(stand: Stand, home: Path, whole: int) -> None:
    """It is a HOME whose log has one restore and so many entries before it; it goes on."""
    other, cluster = Stand(Home(home), home), Cluster(Home(home))
    cluster.start(mortal=True)
    try:
        [last] = other.leaves("backup.restore")
        assert last["detail"]["size"] >= whole
        other.add("safe-7", RECIPIENT_7)
    finally:
        cluster.stop()


RECIPIENT_7 = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"


@ROUNDS
def test_a_restore_leaves_no_home_until_it_is_good(
    stand: Stand,
    target: Path,
    asked: dict,
    tmp_path: Path,
    always: bool,
) -> None:
    made = stand.make(tmp_path / "place")
    words = officers(stand, made, tmp_path / "signed")
    told = {**asked, "backup": str(made.folder), "approvals": words}
    restored(stand, made, target, RESTORE, told, always=always)


@ROUNDS
def test_nor_does_one_to_the_end_of_the_journal(
    stand: Stand,
    target: Path,
    asked: dict,
    places,
    tmp_path: Path,
    always: bool,
) -> None:
    turn(stand, places)
    made = stand.make(places[0])
    grow(stand)
    turn(stand, places)
    words = officers(stand, made, tmp_path / "signed", "end")
    told = {**asked, "backup": str(made.folder), "approvals": words, "until": "end"}
    restored(stand, made, target, [*UNTIL, *(RESTORE if always else ())], told, always=always)


def restored(
    stand: Stand,
    made,
    target: Path,
    points: list[Point],
    told: dict,
    *,
    always: bool,
) -> None:
    staged = target.with_name(f"{target.name}{restoring.STAGED}")
    until_ = str(told["until"])
    two = tuple(stand.approved(made, name, until=until_) for name in ("zhao", "qian"))
    size = int(made.manifest.checkpoint.split("\n")[1])
    for point in points:
        killed(stand, "restore", point, **told)
        assert not target.exists(), point.step
        if always:
            asked = Wanted(made.folder, stand.keys, IDENTITY, two, until_)
            assert restoring.restore(asked, target, SYSTEM).log_size > size
            assert not staged.exists()
            shutil.rmtree(target)
    killed(stand, "restore", NAMED, **told)
    assert not staged.exists()
    stands(stand, target, size)


@ROUNDS
def test_a_drill_touches_no_home_and_the_next_clears_up(
    stand: Stand,
    target: Path,
    asked: dict,
    tmp_path: Path,
    always: bool,
) -> None:
    made = stand.make(tmp_path / "place")
    wanted = drilling.Wanted(made.folder, stand.keys, IDENTITY)
    before = tree(stand.home)
    for point in DRILL:
        killed(stand, "drill", point, backup=str(made.folder), **asked)
        assert target.exists(), point.step
        if always or point is DRILL[-1]:
            assert drilling.drill(wanted, stand.home, target, SYSTEM).entries > 0
            assert not target.exists()
    after = tree(stand.home)
    assert {name for name in before if before[name] != after.get(name)} <= {"secrets/signer/state"}


@pytest.fixture(autouse=True)
def _no_server_is_left(target: Path) -> Iterator[None]:
    """Whoever was killed takes his server along."""
    yield
    for one in target.parent.iterdir():
        cluster = Cluster(Home(one))
        gone: Callable[[], bool] = lambda cluster=cluster: cluster.pid() is None  # noqa: E731
        until(gone)
