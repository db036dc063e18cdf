"""The database of a backup as a dump of it alone: of another's server that gives no more.

It is made in one snapshot with the counts that stand in the manifest, sealed while it is read, and
counted meanwhile: every table has exactly the rows that were counted. No WAL goes on from it, so
that no second between two dumps is reached.
"""

from pathlib import Path

from gateway.backups import counting, manifest, sealing
from gateway.backups.cluster import Wal
from gateway.backups.pace import Pace
from gateway.backups.physical import Copied
from gateway.backups.sealing import Progress
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.store import dump

# A dump ends with itself: no segment belongs to it (`Wal.segments`).
NO_WAL = Wal(0, "0/0", "0/0")


def copy(
    home: Home,
    settings: Settings,
    partial: Path,
    to: tuple[str, ...],
    rate_kib: int,
    tell: Progress,
) -> Copied:
    """Seal a dump of the database; raises BackupError, ToolError, StoreError."""
    read, pace = 0, Pace(rate_kib)
    with dump.dumped(home, settings) as (snapshot, stream), dump.counted() as (sink, script):

        def watch(piece: bytes) -> None:
            nonlocal read
            sink.write(piece)
            pace.keep(len(piece))
            read += len(piece)
            tell(read)

        part = sealing.seal(stream, partial / manifest.DUMP_PART, to, watch)
    counting.require_rows(script.rows, snapshot.rows)
    return Copied(
        part=part,
        system=snapshot.system,
        wal=NO_WAL,
        form=manifest.DUMP,
        server=snapshot.server,
        rows=snapshot.rows,
    )
