"""A backup of a real cluster is whole or is not there: what it holds, and what stops its making."""

import errno
import json
import os
import shutil
import subprocess
from pathlib import Path

import pyrage
import pytest

from gateway.backups import checking, homefiles, lists, making, manifest, recipients
from gateway.backups.errors import BackupError
from gateway.config import folders
from gateway.store.embedded import Cluster
from tests.backups.stand import IDENTITY, KEY, Stand, code


def test_it_opens_by_the_recipients_key_and_its_leaf_names_it(stand: Stand) -> None:
    made = stand.kept
    found = checking.rehearse(made.folder, stand.keys, IDENTITY)
    assert found.manifest == made.manifest
    assert found.leaf == made.entry.index
    leaf = json.loads(made.entry.leaf)
    assert (leaf["kind"], leaf["decision"]) == ("backup.create", "allow")
    assert leaf["detail"]["manifest_sha256"] == found.sha256
    assert found.manifest.rows["audit_entry"] == 2  # the founding's and the recipient's
    assert {one.stat().st_mode & 0o777 for one in made.folder.iterdir()} == {0o600}
    assert sorted(one.name for one in made.folder.iterdir()) == sorted(
        ["manifest.json", "receipt", *manifest.PARTS]
    )


def test_nothing_readable_and_no_private_key_of_a_recipient_is_anywhere(stand: Stand) -> None:
    secret = stand.home.signing_keys.read_text().strip().encode()
    for path in stand.kept.folder.iterdir():
        content = path.read_bytes()
        assert secret not in content
        assert b"PG_VERSION" not in content
    for path in stand.home.root.rglob("*"):
        if path.is_file() and "data" not in path.parts:
            assert KEY.encode() not in path.read_bytes()


def test_what_must_not_be_in_it_is_not(stand: Stand) -> None:
    stand.home.exports.joinpath("newest-leaf.json").write_text("{}")
    names = set(homefiles.lasting(stand.home))
    assert checking.NEEDED - {"secrets/signer/state"} <= names
    assert not [one for one in names if one.split("/")[0] in homefiles.LEFT_OUT]


def test_without_a_recipient_nothing_is_made(stand: Stand, tmp_path: Path) -> None:
    stand.remove("safe-1")
    try:
        assert code(lambda: stand.make(tmp_path)) == "BACKUP_NO_RECIPIENT"
    finally:
        stand.add("safe-1", str(IDENTITY.to_public()))
    refused(stand, tmp_path, "backup-no-recipient")


def test_a_recipient_whom_the_log_does_not_know_is_sent_nothing(
    stand: Stand, tmp_path: Path
) -> None:
    """Attack: whoever writes the database enters himself as a recipient."""
    stand.sql(
        "INSERT INTO gateway.secret (kind, name, generation, key_id, made_us)"
        " VALUES ('backup-recipient', 'mine', 1, %s, 1)",
        "age1mine",
    )
    try:
        assert code(lambda: stand.make(tmp_path)) == "BACKUP_RECIPIENT_STRANGE"
    finally:
        stand.sql("DELETE FROM gateway.secret WHERE name = 'mine'")
    refused(stand, tmp_path, "backup-recipient-strange")


def refused(stand: Stand, place: Path, cause: str) -> None:
    """One leaf says so, nothing stays, and the next backup is good."""
    last = stand.leaves("backup.create")[-1]
    assert last["decision"] == "error"
    assert last["detail"] == {"alert": "backup-failed", "cause": cause}
    assert list(place.iterdir()) == []
    made = stand.make(place)
    assert checking.check(made.folder, stand.keys).manifest == made.manifest


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_full_target_disk_leaves_no_half_backup(stand: Stand, tmp_path: Path) -> None:
    """A tmpfs of 4 MiB, which the base backup does not fit on."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", small], check=True)
    try:
        before = len(stand.leaves("backup.create"))
        with pytest.raises(BackupError, match=os.strerror(errno.ENOSPC)) as caught:
            stand.make(small)
        assert caught.value.code == "BACKUP_NOT_WRITTEN"
        assert list(small.iterdir()) == []
        assert len(stand.leaves("backup.create")) == before + 1
    finally:
        subprocess.run(["umount", small], check=True)
    (tmp_path / "place").mkdir()
    refused(stand, tmp_path / "place", "backup-not-written")


def test_a_key_that_changes_meanwhile_stops_it(stand: Stand, tmp_path: Path) -> None:
    path = stand.home.public / "meanwhile"
    try:
        told = lambda _: path.exists() or folders.write_public(path, b"x")  # noqa: E731
        work = lambda source: making.make(source, tmp_path, tell=told)  # noqa: E731
        assert code(lambda: stand.run(work)) == "BACKUP_MOVED"
    finally:
        path.unlink()
    refused(stand, tmp_path, "backup-moved")


def test_one_at_a_time_into_a_place(stand: Stand, tmp_path: Path) -> None:
    with making.alone(tmp_path):
        assert code(lambda: stand.make(tmp_path)) == "BACKUP_BUSY"
    refused(stand, tmp_path, "backup-busy")


def test_what_a_killed_command_left_is_no_backup_and_goes(stand: Stand, tmp_path: Path) -> None:
    """All but the name is there: even so nobody takes it for one."""
    half = tmp_path / f"{making.PARTIAL}x"
    shutil.copytree(stand.kept.folder, half)
    (half / manifest.RECEIPT_FILE).unlink()
    assert code(lambda: checking.check(half, stand.keys)) == "BACKUP_PART_MISSING"
    stand.make(tmp_path)
    assert not half.exists()


def test_what_changed_since_a_parent_is_an_incremental_one(stand: Stand, tmp_path: Path) -> None:
    """On the log and signed as any other; its server's list is kept for the next one."""
    base = stand.make(tmp_path)
    made = stand.make(tmp_path, stand.onto(tmp_path))
    assert (made.manifest.form, made.why) == ("incremental", "")
    found = checking.rehearse(made.folder, stand.keys, IDENTITY)
    assert [one.folder for one in found.whole] == [base.folder, made.folder]
    assert stand.leaves("backup.create")[-1]["detail"]["manifest_sha256"] == found.sha256
    listed = stand.home.database / lists.FOLDER / found.sha256
    assert b"INCREMENTAL." in listed.read_bytes()
    assert listed.stat().st_mode & 0o777 == 0o600


def test_a_recipient_who_came_later_is_given_a_whole_one(stand: Stand, tmp_path: Path) -> None:
    """His key does not open what the parent holds."""
    stand.make(tmp_path)
    onto = stand.onto(tmp_path)
    later, public = recipients.new()
    stand.add("safe-4", public)
    try:
        made = stand.make(tmp_path, onto)
    finally:
        stand.remove("safe-4")
    assert (made.manifest.form, made.manifest.parent, made.why) == ("base", "", "recipients")
    key = pyrage.x25519.Identity.from_str(later)
    assert checking.rehearse(made.folder, stand.keys, key).parents == ()


def test_where_the_server_lost_its_summaries_a_whole_one_is_made(
    stand: Stand, tmp_path: Path
) -> None:
    """No alarm: one leaf, of a good backup; and from that one on it is incremental again."""
    stand.make(tmp_path)
    onto, before = stand.onto(tmp_path), len(stand.leaves("backup.create"))
    stand.make(tmp_path / "elsewhere")  # so that what changed is summarized in files
    for path in (Cluster(stand.home).data / "pg_wal" / "summaries").iterdir():
        path.unlink()
    made = stand.make(tmp_path, onto)
    assert (made.manifest.form, made.why) == ("base", "unsummarized")
    assert [one["decision"] for one in stand.leaves("backup.create")[before:]] == ["allow"] * 2
    assert sorted(one.name for one in made.folder.iterdir()) == sorted(
        ["manifest.json", "receipt", *manifest.PARTS]
    )
    assert checking.rehearse(made.folder, stand.keys, IDENTITY).parents == ()
    assert stand.make(tmp_path, stand.onto(tmp_path)).manifest.form == "incremental"


def test_a_parent_that_went_meanwhile_is_not_gone_on_from(stand: Stand, tmp_path: Path) -> None:
    """Chosen, and taken away by the retention of another run before this one had the place for itself."""
    base = stand.make(tmp_path)
    onto = stand.onto(tmp_path)
    shutil.rmtree(base.folder)
    made = stand.make(tmp_path, onto)
    assert (made.manifest.form, made.manifest.parent, made.why) == ("base", "", "first")
    assert checking.rehearse(made.folder, stand.keys, IDENTITY)
