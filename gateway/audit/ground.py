"""What the log stands on: which database, and whether its files are where their names are.

A server goes on writing into files that were unlinked or put aside under it (hashicorp/vault #3935
is the same of a log file), and a connection may lead to another database than the one before. So
every commit group asks, before COMMIT; what is found other is no commit. pg_relation_size looks by
path, and counts a missing segment's successors as gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.audit.log import LogError
from gateway.store.database import Database

# The ground is looked at after audit_append has put the group's leaves into the file.
APPEND = """
    SELECT first, size, root, hashes,
           (SELECT system_identifier FROM pg_control_system()),
           (SELECT oid FROM pg_database WHERE datname = current_database()),
           'gateway.audit_entry'::regclass::oid, 'gateway.audit_head'::regclass::oid,
           pg_relation_size('gateway.audit_entry'), pg_relation_size('gateway.audit_head')
    FROM gateway.audit_append(%s, %s)
"""
_LOOK = """
    SELECT (SELECT system_identifier FROM pg_control_system()),
           (SELECT oid FROM pg_database WHERE datname = current_database()),
           'gateway.audit_entry'::regclass::oid, 'gateway.audit_head'::regclass::oid,
           pg_relation_size('gateway.audit_entry'), pg_relation_size('gateway.audit_head')
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """Identity of cluster, database, entries and head; bytes of the last two by their paths."""

    system: int
    database: int
    entries: int
    head: int
    entry_bytes: int
    head_bytes: int

    def follow(self, before: "Ground | None") -> "Ground":
        """Return this ground where it is the one of before; raises LogError.

        REPLACED for another database or table, FILES_GONE where a file is not there any more, or a
        shorter one is: entries are never taken away.
        """
        if min(self.entry_bytes, self.head_bytes) <= 0:
            raise LogError("FILES_GONE", "the log's files are not where they were")
        if before is None:
            return self
        if self.identity != before.identity:
            raise LogError("REPLACED", "the log lies in another database than before")
        if self.entry_bytes < before.entry_bytes:
            raise LogError("FILES_GONE", "the log's file is shorter than it was")
        return self

    @property
    def identity(self) -> tuple[int, ...]:
        """Which cluster, database and tables."""
        return (self.system, self.database, self.entries, self.head)


async def look(database: Database) -> Ground:
    """Return what the log stands on now; raises StoreError."""
    [row] = await database.fetch(_LOOK)
    return read(row)


def read(row: Sequence[int]) -> Ground:
    """Return the ground in the last columns of APPEND."""
    return Ground(*map(int, row))
