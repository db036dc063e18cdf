"""What a restored database must be is asked of a database that lives: it passes, and each thing that differs is told."""

from dataclasses import replace

import pytest

from gateway.backups import proving
from tests.backups.stand import Stand, code


def asked(stand: Stand, said, epoch: int = 0):
    async def work(source):
        async with source.database.transaction() as tx:
            await proving.compare(tx, said, epoch)
            await proving.require_keys(tx, stand.home)
            return await proving.read_log(tx, said)

    return stand.run(work)


def test_the_database_that_it_was_made_of_passes(stand: Stand) -> None:
    assert asked(stand, stand.kept.manifest) >= stand.kept.manifest.rows["audit_entry"]


@pytest.mark.parametrize("table", proving._KEPT)
def test_a_row_that_is_missing_is_told(stand: Stand, table: str) -> None:
    said = stand.kept.manifest
    more = replace(said, rows=dict(said.rows) | {table: 10**9})
    assert code(lambda: asked(stand, more)) == "BACKUP_DAMAGED"


def test_a_revocation_that_is_forgotten_is_told(stand: Stand) -> None:
    assert code(lambda: asked(stand, stand.kept.manifest, 10**9)) == "BACKUP_OLDER"


def test_another_root_than_the_signed_one_is_told(stand: Stand) -> None:
    said = stand.kept.manifest
    head, size, root, *rest = said.checkpoint.split("\n")
    other = "\n".join([head, size, "A" * (len(root) - 1) + "=", *rest])
    assert code(lambda: asked(stand, replace(said, checkpoint=other))) == "BACKUP_LOG_DIFFERS"
