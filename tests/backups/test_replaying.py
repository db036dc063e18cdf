"""A second between two backups comes back, with all before it and nothing after; WAL that is not all there, or not ours, brings nothing."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.audit.event import Event
from gateway.backups import checking, replaying, restoring
from gateway.backups import line as lines
from gateway.backups.making import Made
from gateway.backups.restoring import Wanted
from gateway.clock import SYSTEM, iso, to_datetime
from gateway.config.home import Home
from gateway.store.embedded import Cluster
from tests.backups.stand import IDENTITY, Stand, code
from tests.backups.test_restoring import refused, target  # noqa: F401  a fixture
from tests.backups.test_shipping import folder, forget, grow, turn


def beat(stand: Stand) -> int:
    """Another leaf; how many there are."""
    stand.run(lambda source: source.recorder.append(Event(kind="log.heartbeat", door="host")))
    [(size,)] = stand.sql("SELECT size FROM gateway.audit_head WHERE size >= %s", 0)
    return size


@pytest.fixture(scope="module")
def sent_once(stand: Stand, tmp_path_factory):
    """A backup; leaves after it; a second; more leaves; all of it in two places."""
    root = tmp_path_factory.mktemp("sent")
    places = [root / "a", root / "b"]
    for one in places:
        one.mkdir()
    forget(stand)
    turn(stand, places)
    made = stand.make(places[0])
    grow(stand, 2)
    before = beat(stand)
    between_us = SYSTEM.now_us()
    after = beat(stand)
    grow(stand)
    turn(stand, places)
    [(all_,)] = stand.sql("SELECT size FROM gateway.audit_head WHERE size >= %s", 0)
    yield made, between_us, before, after, all_
    forget(stand)


@pytest.fixture
def sent(sent_once, tmp_path: Path):
    """A copy of the first place, to be spoilt."""
    made, *told = sent_once
    place = Path(shutil.copytree(made.folder.parent, tmp_path / "place"))
    return replace(made, folder=place / made.folder.name), *told


def wanted(stand: Stand, made: Made, until: str, **other) -> Wanted:
    two = tuple(stand.approved(made, name, until=until) for name in ("zhao", "qian"))
    return replace(Wanted(made.folder, stand.keys, IDENTITY, two, until), **other)


def test_to_the_second_and_to_the_end(stand: Stand, sent, target: Path) -> None:  # noqa: F811
    made, between_us, before, after, all_ = sent
    assert before < after <= all_
    done = restoring.restore(wanted(stand, made, iso(between_us)), target, SYSTEM)
    assert done.log_size == before + 1  # the leaf of the restore
    assert done.age_us >= SYSTEM.now_us() - between_us - 60_000_000
    home = Home(target)
    assert "restore_command" not in (Cluster(home).data / "postgresql.auto.conf").read_text()
    assert not (Cluster(home).data / "recovery.signal").exists()
    # It starts again by itself, on a timeline of its own, as any other HOME.
    cluster = Cluster(home)
    cluster.start(mortal=True)
    cluster.stop()
    shutil.rmtree(target)
    done = restoring.restore(wanted(stand, made, "end"), target, SYSTEM)
    assert done.log_size >= all_ + 1


def test_a_time_after_the_last_commit_brings_all_that_was_committed(
    stand: Stand,
    sent,
    target: Path,  # noqa: F811
) -> None:
    made, _, _, _, all_ = sent
    [line] = [lines.read_line(folder(made.folder.parent), stand.keys)]
    *_, last = lines.chain(folder(made.folder.parent), line, list(made.manifest.wal.segments())[-1])
    done = restoring.restore(wanted(stand, made, iso(last.time_us)), target, SYSTEM)
    assert done.log_size >= all_ + 1


def test_without_the_time_in_their_approvals_nothing_is_restored(
    stand: Stand,
    sent,
    target: Path,  # noqa: F811
) -> None:
    made, between_us, *_ = sent
    until = iso(between_us)
    for other in ("", "end", iso(between_us + 1)):
        approvals = tuple(stand.approved(made, name, until=other) for name in ("zhao", "qian"))
        asked = wanted(stand, made, until, approvals=approvals)
        assert refused(stand, target, asked) == "BACKUP_NOT_APPROVED"
    one = wanted(stand, made, until)
    assert (
        refused(stand, target, replace(one, approvals=one.approvals[:1])) == "BACKUP_NOT_APPROVED"
    )


def test_a_time_outside_is_refused(stand: Stand, sent, target: Path) -> None:  # noqa: F811
    made, *_ = sent
    later = iso(SYSTEM.now_us() + 3_600_000_000)
    earlier = iso(made.manifest.made_us)
    naive = to_datetime(SYSTEM.now_us()).replace(tzinfo=None).isoformat()
    assert refused(stand, target, wanted(stand, made, later)) == "BACKUP_TIME_OUTSIDE"
    assert refused(stand, target, wanted(stand, made, earlier)) == "BACKUP_TIME_OUTSIDE"
    assert refused(stand, target, wanted(stand, made, naive)) == "BACKUP_TIME_OUTSIDE"


def test_a_backup_without_a_line_has_no_seconds(stand: Stand, target: Path) -> None:  # noqa: F811
    assert refused(stand, target, wanted(stand, stand.kept, "end")) == "BACKUP_NO_JOURNAL"


def spoil(sent, how: str) -> None:
    """Do this to the second segment after the backup."""
    made = sent[0]
    place = folder(made.folder.parent)
    last = list(made.manifest.wal.segments())[-1]
    whole = sorted(
        one.stem for one in place.glob("*.json") if "-" not in one.stem and len(one.stem) == 24
    )
    first, second = [one for one in whole if one > last][:2]
    age = place / f"{second}.age"
    content = age.read_bytes()
    if how == "missing":
        age.unlink()
    elif how == "entry-missing":
        (place / f"{second}.json").unlink()
    elif how == "cut":
        age.write_bytes(content[:-1])
    elif how == "flipped":
        age.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif how == "swapped":
        shutil.copy(place / f"{first}.age", age)
    elif how == "swapped-with-entry":
        shutil.copy(place / f"{first}.age", age)
        shutil.copy(place / f"{first}.json", place / f"{second}.json")
    elif how == "entry-changed":
        path = place / f"{second}.json"
        path.write_bytes(path.read_bytes().replace(b'"number":', b'"number":1', 1))
    elif how == "no-line":
        (place / "receipt").unlink()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("missing", "BACKUP_WAL_MISSING"),
        ("entry-missing", "BACKUP_WAL_MISSING"),
        ("cut", "BACKUP_PART_LENGTH"),
        ("flipped", "BACKUP_PART_CHANGED"),
        ("swapped", "BACKUP_PART_CHANGED"),
        ("swapped-with-entry", "BACKUP_WAL_FOREIGN"),
        ("entry-changed", "BACKUP_WAL_FOREIGN"),
        ("no-line", "BACKUP_WAL_MISSING"),
    ],
)
def test_wal_that_is_not_all_there_or_not_as_it_was(
    stand: Stand,
    sent,
    target: Path,  # noqa: F811
    how: str,
    reason: str,
) -> None:
    """Attack: whoever can write to the place takes segments away, changes, swaps them."""
    made = sent[0]
    good = made.folder.parent / "good"
    shutil.copytree(folder(made.folder.parent), good)
    spoil(sent, how)
    got = refused(stand, target, wanted(stand, made, "end"))
    assert got == reason or (how == "swapped" and got == "BACKUP_PART_LENGTH")
    place = folder(made.folder.parent)
    shutil.rmtree(place)
    good.rename(place)
    found = checking.check(made.folder, stand.keys)
    assert replaying.way(found, made.folder.parent, "end", stand.keys).entries


def test_another_gateways_wal_is_refused(stand: Stand, sent, target: Path) -> None:  # noqa: F811
    """Attack: segments sealed to the same recipient, which anybody can do, signed by a key of the thief's own."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    made = sent[0]
    place = folder(made.folder.parent)
    line = lines.read_line(place, stand.keys)
    thief = Ed25519PrivateKey.generate()
    entry, _ = lines.read_entry(min(place.glob("0*.json")), line)
    for path in place.glob("0*.json"):
        entry, _ = lines.read_entry(path, line)
        path.write_bytes(entry.encode(thief))
    assert refused(stand, target, wanted(stand, made, "end")) == "BACKUP_WAL_FOREIGN"
    forged = replace(line, public_key=lines.public_hex(thief))
    (place / "line.json").write_bytes(forged.encode())
    assert refused(stand, target, wanted(stand, made, "end")) == "BACKUP_UNSIGNED"


def test_how_a_time_is_written() -> None:
    assert replaying.until_us("end") is None
    assert replaying.until_us("1970-01-01T08:00:01+08:00") == 1_000_000
    for wrong in ("now", "2026-11-26T02:00:00", ""):
        assert code(lambda text=wrong: replaying.until_us(text)) == "BACKUP_TIME_OUTSIDE"


def test_from_an_incremental_backup_to_the_second(
    stand: Stand,
    target: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    """The chain is put together, then the journal of its newest goes on from it."""
    places = [tmp_path / "c", tmp_path / "d"]
    for one in places:
        one.mkdir()
    forget(stand)
    try:
        turn(stand, places)
        stand.make(places[0])
        before = beat(stand)
        made = stand.make(places[0], stand.onto(places[0]))
        assert made.manifest.form == "incremental"
        grow(stand)
        after = beat(stand)
        until_us = SYSTEM.now_us()
        beat(stand)
        grow(stand)
        turn(stand, places)
    finally:
        forget(stand)
    done = restoring.restore(wanted(stand, made, iso(until_us)), target, SYSTEM)
    assert before < after
    assert done.log_size == after + 1  # the leaf of the restore
