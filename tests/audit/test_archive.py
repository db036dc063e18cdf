"""Exports are whole, atomic and verifiable; what the database lost or changed is found in them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.audit.archive import ArchiveError, Exported, export
from gateway.audit.verify import verify_folder
from gateway.config import log_keys
from gateway.store.database import Database
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.merkle import leaf_hash, root_of
from tests.audit.folder import ORIGIN, SIGNER
from tests.audit.test_append_sql import made
from tests.audit.test_log import damage, fill

Conninfo = Callable[[str], str]


def checkpoint(size: int) -> str:
    return Checkpoint(ORIGIN, size, root_of([leaf_hash(made(i)) for i in range(size)])).signed(
        SIGNER
    )


def exported(
    conninfo: Conninfo,
    folder: Path,
    size: int,
    note: str | None = None,
    notes: tuple[str, ...] = (),
) -> Exported:
    steps: list[tuple[int, int]] = []

    async def main() -> Exported:
        database = await Database.open(conninfo("administration"), application="test")
        try:
            signed = checkpoint(size) if note is None else note
            key = str(SIGNER.verifier)
            return await export(
                database, signed, key, folder, lambda *step: steps.append(step), notes=notes
            )
        finally:
            await database.close()

    done = asyncio.run(main())
    assert not steps or steps[-1] == (done.size, done.size)
    return done


def test_an_export_brings_the_notes_of_the_keys_before(conninfo: Conninfo, tmp_path: Path) -> None:
    fill(conninfo, 5)
    exported(conninfo, tmp_path / "log", 5, notes=("one\n", "two\n"))
    assert log_keys.read(tmp_path / "log" / "log-keys") == ["one\n", "two\n"]


def codes(folder: Path) -> set[str]:
    return {each.code for each in verify_folder(folder, SIGNER.verifier).failures}


@pytest.mark.parametrize("size", [0, 1, 256, 5000])
def test_an_export_verifies(conninfo: Conninfo, tmp_path: Path, size: int) -> None:
    fill(conninfo, 5000)
    done = exported(conninfo, tmp_path / "deep" / "log", size)
    assert done == Exported(size, 5000, ())
    report = verify_folder(
        tmp_path / "deep" / "log", SIGNER.verifier, older=[checkpoint(size // 2)]
    )
    assert report.failures == ()
    assert report.judging.kinds.total() == size
    assert (tmp_path / "deep" / "log" / "log.vkey").read_text() == f"{SIGNER.verifier}\n"
    assert [each.name for each in (tmp_path / "deep").iterdir()] == ["log"]


def test_upper_tiles_are_exported(conninfo: Conninfo, tmp_path: Path) -> None:
    fill(conninfo, 66_000)
    exported(conninfo, tmp_path / "log", 66_000)
    assert codes(tmp_path / "log") == set()
    assert (tmp_path / "log" / "tile/1/000").stat().st_size == 8192
    assert (tmp_path / "log" / "tile/1/001.p/1").stat().st_size == 32


def test_an_earlier_export_is_replaced_and_nothing_else(conninfo: Conninfo, tmp_path: Path) -> None:
    fill(conninfo, 600)
    folder = tmp_path / "log"
    exported(conninfo, folder, 300)
    (folder / "tile/entries/stray").write_text("x")
    exported(conninfo, folder, 600)
    assert codes(folder) == set()
    assert not (folder / "tile/entries/stray").exists()
    other = tmp_path / "home"
    other.mkdir()
    (other / "file").write_text("mine")
    with pytest.raises(ArchiveError) as error:
        exported(conninfo, other, 600)
    assert error.value.code == "FOLDER_EXISTS"
    assert (other / "file").read_text() == "mine"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["home", "log"]


def test_a_failed_export_leaves_the_earlier_one(
    conninfo: Conninfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(conninfo, 300)
    exported(conninfo, tmp_path / "log", 300)

    def full(*_: object) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr("gateway.audit.archive._put", full)
    with pytest.raises(OSError, match="no space"):
        exported(conninfo, tmp_path / "log", 300)
    assert codes(tmp_path / "log") == set()
    assert [each.name for each in tmp_path.iterdir()] == ["log"]


def test_what_is_no_checkpoint(conninfo: Conninfo, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError) as error:
        exported(conninfo, tmp_path / "log", 0, "nonsense")
    assert error.value.code == "CHECKPOINT_FORM"


EDIT = "convert_to(replace(convert_from(leaf, 'UTF8'), 'test', 'best'), 'UTF8')"
ATTACKS = {
    f"UPDATE gateway.audit_entry SET leaf = {EDIT} WHERE idx = 77": ["ENTRY_DIFFERS"],
    f"UPDATE gateway.audit_entry SET leaf = {EDIT} WHERE idx = 590": ["ENTRY_DIFFERS"],
    f"UPDATE gateway.audit_entry SET leaf = {EDIT}, leaf_hash = sha256('\\x00'::bytea || {EDIT})": [
        "ENTRY_DIFFERS",
        "ROOT_DIFFERS",
    ],
    "UPDATE gateway.audit_tile SET hashes = overlay(hashes PLACING '\\x00' FROM 9) WHERE n = 1": [
        "ENTRY_DIFFERS",
        "ROOT_DIFFERS",
        "TILE_DIFFERS",
    ],
    "UPDATE gateway.audit_tile SET root = sha256('x') WHERE n = 1": ["TILE_DIFFERS"],
}


@pytest.mark.parametrize("sql", ATTACKS)
def test_what_was_changed_in_the_database_is_found(
    conninfo: Conninfo, cluster: object, tmp_path: Path, sql: str
) -> None:
    fill(conninfo, 600)
    damage(conninfo, cluster, sql)
    exported(conninfo, tmp_path / "log", 600)
    assert sorted(codes(tmp_path / "log")) == ATTACKS[sql]


LOSSES = {
    "DELETE FROM gateway.audit_entry WHERE idx = 77": {"BUNDLE_SHORT"},
    "DELETE FROM gateway.audit_entry WHERE idx < 256": {"BUNDLE_MISSING"},
    "DELETE FROM gateway.audit_entry WHERE idx >= 590": {"BUNDLE_SHORT", "TILE_MISSING"},
    "DELETE FROM gateway.audit_tile": {"TILE_MISSING"},
}


@pytest.mark.parametrize("sql", LOSSES)
def test_what_was_removed_from_the_database_is_told_and_found(
    conninfo: Conninfo, cluster: object, tmp_path: Path, sql: str
) -> None:
    fill(conninfo, 600)
    damage(conninfo, cluster, sql)
    done = exported(conninfo, tmp_path / "log", 600)
    assert done.missing
    assert LOSSES[sql] <= codes(tmp_path / "log")


def test_a_log_cut_off_together_with_its_head(
    conninfo: Conninfo, cluster: object, tmp_path: Path
) -> None:
    """Attack 8: the database is consistent in itself, but shorter than what was signed."""
    fill(conninfo, 300)
    done = exported(conninfo, tmp_path / "log", 300, checkpoint(600))
    assert (done.size, done.log_size) == (600, 300)
    assert {"BUNDLE_SHORT", "TILE_MISSING"} <= codes(tmp_path / "log")
