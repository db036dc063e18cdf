"""A manifest is the one that this gateway's log names, byte for byte, or it is nothing."""

from dataclasses import replace

import pytest

from gateway.backups import manifest
from gateway.tlog import proof
from gateway.tlog.keys import LogKeys
from gateway.tlog.note import Signer
from tests.backups.stand import Stand, code


def files(stand: Stand) -> tuple[bytes, str]:
    folder = stand.kept.folder
    return (folder / "manifest.json").read_bytes(), (folder / "receipt").read_text()


def test_what_was_written_is_read(stand: Stand) -> None:
    content, receipt = files(stand)
    assert manifest.parse(content) == stand.kept.manifest
    assert manifest.verify(content, receipt, stand.keys) == stand.kept.entry.index


@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"",
        lambda _: b"{}",
        lambda content: content + b"\n",
        lambda content: content.replace(b"sxgw-backup-v1", b"sxgw-backup-v2"),
        lambda content: content.replace(b'"epoch"', b'"Epoch"'),
        lambda content: content.replace(b"home.tar.age", b"../x.tar.age"),
        lambda content: content.replace(b'"timeline"', b'"timelime"'),
        lambda content: content.replace(b'"checkpoint":[', b'"checkpoint":["",'),
    ],
    ids=["empty", "nothing", "newline", "form", "field", "name", "wal", "note"],
)  # fmt: skip
def test_another_form_is_refused(stand: Stand, change) -> None:
    """A note with a line more is of our form, and not what was signed."""
    content, receipt = files(stand)
    assert change(content) != content
    changed = change(content)
    assert code(lambda: manifest.parse(changed)) in ("BACKUP_FORM", "")
    assert code(lambda: manifest.verify(changed, receipt, stand.keys)) == "BACKUP_UNSIGNED"


def test_each_field_is_signed(stand: Stand) -> None:
    content, receipt = files(stand)
    made = manifest.parse(content)
    for change in ({"epoch": 0}, {"made_us": 1}, {"trust_domain": "x.example"}, {"rows": {}}):
        other = replace(made, **change).encode()
        assert code(lambda c=other: manifest.verify(c, receipt, stand.keys)) == "BACKUP_UNSIGNED"


def test_one_that_another_gateway_signed_is_foreign(stand: Stand) -> None:
    content, receipt = files(stand)
    same_name = Signer(stand.keys.origin, bytes(32)).verifier
    another = Signer("another.example/audit", bytes(32)).verifier
    for key in (same_name, another):
        assert (
            code(lambda k=key: manifest.verify(content, receipt, LogKeys.of(k))) == "BACKUP_FOREIGN"
        )


def test_a_receipt_of_another_leaf_of_this_log_proves_nothing(stand: Stand) -> None:
    """Attack: the log holds that leaf, and it names no manifest."""
    content, receipt = files(stand)
    real = proof.parse(receipt)
    stranger = replace(real, extra=b'{"kind":"upload"}').text()
    assert code(lambda: manifest.verify(content, stranger, stand.keys)) == "BACKUP_UNSIGNED"
    assert code(lambda: manifest.verify(content, "", stand.keys)) == "BACKUP_UNSIGNED"
    bare = replace(real, extra=None).text()
    assert code(lambda: manifest.verify(content, bare, stand.keys)) == "BACKUP_UNSIGNED"


def test_what_the_database_part_is_stands_in_it_and_an_older_one_says_nothing(stand: Stand) -> None:
    """A base backup of our own server is written as it was before there were others."""
    content, _ = files(stand)
    made = manifest.parse(content)
    assert (made.form, made.parent, made.server) == ("base", "", 18)
    assert not [one for one in (b'"form"', b'"parent"', b'"server"') if one in content]
    later = replace(made, form="incremental", parent="ab" * 32, server=19)
    assert manifest.parse(later.encode()) == later
    assert later.database_part == made.database_part == "database.tar.age"
    dump = replace(
        made, form="dump", parts=(made.parts[0], replace(made.parts[1], name="database.dump.age"))
    )
    assert manifest.parse(dump.encode()) == dump


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"form": "sparse"}, "BACKUP_VERSION"),
        ({"form": "incremental"}, "BACKUP_FORM"),
        ({"parent": "ab" * 32}, "BACKUP_FORM"),
        ({"form": "dump"}, "BACKUP_FORM"),
    ],
    ids=["unknown", "no-parent", "a-parent", "another-part"],
)  # fmt: skip
def test_a_form_that_does_not_fit_is_refused(stand: Stand, change, reason) -> None:
    other = replace(manifest.parse(files(stand)[0]), **change).encode()
    assert code(lambda: manifest.parse(other)) == reason
