"""An incremental backup is worth what it goes on from: a parent that is away, another one, later, or of another cluster is refused before anything is opened."""

import shutil
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest

from gateway.backups import chain, checking, manifest, recipients
from gateway.backups.cluster import Wal, Whole
from tests.backups.stand import IDENTITY, Stand, code


def checked(stand: Stand, chained, folder: Path) -> str:
    """The reason; a chain that is whole is good afterwards."""
    reason = code(lambda: checking.check(folder, stand.keys))
    good = checking.check(stand.kept.folder, stand.keys)
    assert good.parents == ()
    return reason


def test_a_chain_is_good_from_its_first_to_its_last(stand: Stand, chained) -> None:
    base, first, second = chained
    assert [one.manifest.form for one in chained] == ["base", "incremental", "incremental"]
    assert first.manifest.parent == manifest.sha256(base.manifest.encode())
    assert second.manifest.parent == manifest.sha256(first.manifest.encode())
    found = checking.rehearse(second.folder, stand.keys, IDENTITY)
    assert [one.folder for one in found.whole] == [one.folder for one in chained]
    assert checking.rehearse(base.folder, stand.keys, IDENTITY).parents == ()
    sizes = [one.manifest.parts[1].plain_bytes for one in chained]
    assert max(sizes[1:]) < sizes[0]


def test_a_missing_parent_is_told(stand: Stand, chained, tmp_path: Path) -> None:
    base, first, second = chained
    aside = first.folder.rename(tmp_path / first.folder.name)
    assert checked(stand, chained, second.folder) == "BACKUP_PARENT_MISSING"
    # Under the name of what is being removed or was made half it is nobody's parent.
    aside.rename(base.folder.with_name(f".partial-{first.folder.name}"))
    assert checked(stand, chained, second.folder) == "BACKUP_PARENT_MISSING"
    alone = shutil.copytree(second.folder, tmp_path / "alone" / second.folder.name)
    assert checked(stand, chained, alone) == "BACKUP_PARENT_MISSING"


def test_another_backup_in_a_parents_place_is_not_it(stand: Stand, chained) -> None:
    """Attack: under the parent's name lies another good backup of this very gateway."""
    _, first, second = chained
    shutil.rmtree(first.folder)
    shutil.copytree(stand.kept.folder, first.folder)
    assert checked(stand, chained, second.folder) == "BACKUP_PARENT_MISSING"


@pytest.mark.parametrize("name", manifest.PARTS)
def test_a_flipped_bit_in_a_parent_is_found_in_the_child(stand: Stand, chained, name) -> None:
    base, _, second = chained
    with (base.folder / name).open("r+b") as file:
        file.seek(50)
        byte = file.read(1)
        file.seek(50)
        file.write(bytes([byte[0] ^ 1]))
    assert checked(stand, chained, second.folder) == "BACKUP_PART_CHANGED"


def test_a_cut_parent_and_one_that_the_log_does_not_name_are_found(stand: Stand, chained) -> None:
    base, first, second = chained
    part = first.folder / manifest.CLUSTER_PART
    part.write_bytes(part.read_bytes()[:-1])
    assert checked(stand, chained, second.folder) == "BACKUP_PART_LENGTH"
    shutil.copy(base.folder / manifest.RECEIPT_FILE, first.folder / manifest.RECEIPT_FILE)
    assert checked(stand, chained, second.folder) == "BACKUP_UNSIGNED"


def test_another_key_opens_no_chain(stand: Stand, chained) -> None:
    wrong = pyrage.x25519.Identity.from_str(recipients.new()[0])
    folder = chained[-1].folder
    assert code(lambda: checking.rehearse(folder, stand.keys, wrong)) == "BACKUP_KEY_WRONG"


@pytest.mark.parametrize(
    "change",
    [
        {"system": "1"},
        {"trust_domain": "other.example"},
        {"server": 17},
        {"made_us": 2**60},
        {"form": "dump"},
        {"wal": Wal(1, "FFFF/28", "FFFF/100")},
        {"wal": Wal(2, "0/28", "0/100")},
    ],
    ids=["cluster", "gateway", "server", "later", "dump", "wal-later", "timeline"],
)
def test_a_parent_that_does_not_fit_is_refused(chained, change) -> None:
    """As if whoever makes backups had named it: its signature would be good."""
    base, first, _ = chained
    chain.require_follows(first.manifest, base.manifest)
    other = replace(base.manifest, **change)
    assert code(lambda: chain.require_follows(first.manifest, other)) == "BACKUP_PARENT_FOREIGN"


WAL = Wal(1, "0/28", "0/100")
BASE = Whole("1", WAL, {"base/1/1": (8, "a"), "PG_VERSION": (2, "b"), "backup_label": (1, "l")}, "")
LATER = Whole(
    "1",
    Wal(1, "0/200", "0/300"),
    {"base/1/INCREMENTAL.1": (4, "c"), "PG_VERSION": (2, "b"), "backup_label": (1, "m")},
    "0/28",
)


def test_what_comes_out_of_a_chain_fits() -> None:
    chain.require_since(BASE, None)
    chain.require_since(LATER, BASE)
    chain.require_since(replace(LATER, since="0/200"), LATER)
    foreign = [
        (LATER, None),  # given in part, and of a base backup
        (replace(LATER, since="0/29"), BASE),
        (replace(LATER, files=LATER.files | {"base/1/INCREMENTAL.2": (1, "")}), BASE),
        (replace(LATER, since=""), None),
    ]
    for whole, parent in foreign:
        reason = code(lambda w=whole, p=parent: chain.require_since(w, p))
        assert reason == "BACKUP_PARENT_FOREIGN"


def test_what_is_combined_is_what_the_server_had() -> None:
    files = {"base/1/1": (8, "z"), "PG_VERSION": (2, "b"), "backup_label": (3, "n")}
    combined = replace(BASE, files=files)
    chain.require_combined(combined, LATER)
    for changed in (
        files | {"PG_VERSION": (2, "x")},
        files | {"base/1/2": (1, "")},
        {name: of for name, of in files.items() if name != "base/1/1"},
    ):
        wrong = replace(BASE, files=changed)
        assert code(lambda w=wrong: chain.require_combined(w, LATER)) == "BACKUP_DAMAGED"


def test_only_the_last_name_tells_what_is_in_part() -> None:
    assert chain.plain("base/1/INCREMENTAL.16384_vm.1") == "base/1/16384_vm.1"
    assert chain.plain("INCREMENTAL.1") == "1"
    assert chain.plain("base/INCREMENTAL.1/2") == "base/INCREMENTAL.1/2"
