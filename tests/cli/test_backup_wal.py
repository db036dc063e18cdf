"""`gateway backup wal`: once at a word, and by itself while the gateway is served; what fails is a leaf `backup.wal`."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.cli import backup_wal
from gateway.config.home import Home
from tests.backups.small import small
from tests.cli.test_backup import leaves, recipient, served, told  # noqa: F401  fixtures
from tests.supervise.test_backups import policy


def test_it_is_sent_at_a_word(
    told,  # noqa: F811
    served: Home,  # noqa: F811
    recipient: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    places = [tmp_path / "a", tmp_path / "b"]
    file = served.policies / "backups.toml"
    before = file.read_text()
    try:
        policy(served, *places)
        assert told("wal", served.root, "--once", status=1)["refused"] == "BACKUP_PLACE_AWAY"
        failed = leaves(served, "backup.wal")[-1]
        assert failed["detail"] == {"alert": "backup-wal-failed", "cause": "backup-place-away"}
        for one in places:
            one.mkdir()
        first = told("wal", served.root, "--once")
        assert (first["copies"], first["missing"]) == (2, 0)
        # Another test of this HOME may have begun the line that goes on here.
        assert "begin" in [one["detail"].get("step") for one in leaves(served, "backup.wal")]
        assert told("wal", served.root, "--once")["until"] > first["until"]
        sent = [sorted(path.name for path in one.rglob("*")) for one in places]
        assert sent[0] == sent[1] != []
        # It is no backup, and the list says nothing of it.
        assert told("list", places[0], "--home", served.root)["backups"] == []
    finally:
        file.write_text(before)


def test_where_policy_says_never_it_ends_by_itself(
    told,  # noqa: F811
    served: Home,  # noqa: F811
    recipient: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch,
) -> None:
    """Fault: changed to 0 while it runs, it would send without a pause until the gateway stops."""
    places = [tmp_path / "a", tmp_path / "b"]
    for one in places:
        one.mkdir()
    file = served.policies / "backups.toml"
    before = file.read_text()
    asked = SimpleNamespace(is_served=lambda _: pytest.fail("it goes on"))
    monkeypatch.setattr(backup_wal, "state", asked)
    try:
        policy(served, *places)
        file.write_text(file.read_text().replace("tail_s = 60.0", "tail_s = 0.0"))
        assert told("wal", served.root)["copies"] == 2
    finally:
        file.write_text(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_full_places_are_one_leaf_and_the_next_turn_sends(
    told,  # noqa: F811
    served: Home,  # noqa: F811
    recipient: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Every place is full: one alarm with its cause, nothing half in them; with room it goes on in the same line."""
    places = [tmp_path / "a", tmp_path / "b"]
    file = served.policies / "backups.toml"
    before = file.read_text()
    try:
        policy(served, *places)
        for one in places:
            one.mkdir()
        with small(places[0], "64k"), small(places[1], "64k"):
            told("wal", served.root, "--once", status=1)
            count = len(leaves(served, "backup.wal"))
            refused = told("wal", served.root, "--once", status=1)["refused"]
            assert refused == "BACKUP_NOT_WRITTEN"
            [failed] = leaves(served, "backup.wal")[count:]
            cause = {"alert": "backup-wal-failed", "cause": "backup-not-written"}
            assert (failed["decision"], failed["detail"]) == ("error", cause)
            left = [one for place in places for one in place.rglob("*") if one.is_file()]
            assert {one.name for one in left} <= {"line.json", "receipt"}
        assert told("wal", served.root, "--once")["copies"] == 2
        assert leaves(served, "backup.wal")[-1] == failed
    finally:
        file.write_text(before)
