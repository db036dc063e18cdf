"""WAL from the places put behind a backup: the server goes on to a second that is asked for.

    1 line      the one that the backup names, this gateway's by its log
    2 chain     from the backup's last segment on without a gap, each signed, as long and as it was
    3 reach     the second lies after the backup and within what is there
    4 open      each segment is opened by the recipient's key into the restored cluster's own folder

The server then replays it and ends where it was told, on a timeline of its own (PostgreSQL
documentation, "Continuous Archiving and Point-in-Time Recovery").
"""

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pyrage import x25519

from gateway.backups import line as lines
from gateway.backups import sealing
from gateway.backups.checking import Checked
from gateway.backups.errors import BackupError
from gateway.backups.line import Entry
from gateway.backups.manifest import Manifest
from gateway.backups.untar import DAMAGED
from gateway.clock import from_datetime, iso
from gateway.config.folders import write_private
from gateway.config.users import SystemUser, separate
from gateway.store.embedded import Cluster, ClusterError
from gateway.store.wal import SEGMENT_BYTES
from gateway.tlog.keys import LogKeys

END = "end"
REACH, NO_JOURNAL = "BACKUP_TIME_OUTSIDE", "BACKUP_NO_JOURNAL"
_SIGNAL_FILE = "recovery.signal"
# A day's journal of a province is replayed in minutes; a slow disk must not end it.
_REPLAY_TIMEOUT_S = 86_400.0
# What the server says where nothing was committed after that second (xlogrecovery.c).
_NOTHING_AFTER = "recovery ended before configured recovery target was reached"


@dataclass(frozen=True, slots=True)
class Way:
    """From a backup to a second: the segments, where they lie, and the second (None: their end)."""

    folder: Path
    entries: tuple[Entry, ...]
    until_us: int | None
    reached_us: int


def until_us(text: str) -> int | None:
    """Return the moment of an ISO 8601 text with its zone, None for "end"; raises BackupError."""
    if text == END:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BackupError(REACH, "a time is written as 2026-11-26T02:00:00+08:00") from error
    if moment.tzinfo is None:
        raise BackupError(REACH, "a time needs its zone, as in 2026-11-26T02:00:00+08:00")
    return from_datetime(moment)


def require_goes_on(said: Manifest, until: str) -> int | None:
    """Return the moment (`until_us`) to which a journal may go on from this backup.

    Raises BackupError: BACKUP_NO_JOURNAL where none does, as from every dump; BACKUP_TIME_OUTSIDE.
    """
    wanted_us = until_us(until)
    if not said.line:
        raise BackupError(NO_JOURNAL, "nothing was sent when it was made, or it is a dump")
    return wanted_us


def way(found: Checked, place: Path, until: str, keys: LogKeys) -> Way:
    """Return the way from a backup to a second, judged without a key (1 to 3).

    Raises BackupError.
    """
    said, wanted_us = found.manifest, require_goes_on(found.manifest, until)
    folder = place / lines.FOLDER / said.line
    line = lines.read_line(folder, keys)  # 1
    if line.system != said.system:
        raise BackupError(lines.FOREIGN, "the WAL is another cluster's")
    *_, last = said.wal.segments()
    entries = lines.chain(folder, line, last)  # 2
    for one in entries:
        lines.require(folder, one)
    reach_us = max((one.time_us for one in entries), default=said.made_us)
    if wanted_us is not None and not said.made_us < wanted_us <= reach_us:  # 3
        raise BackupError(REACH, f"it reaches from {iso(said.made_us)} to {iso(reach_us)}")
    return Way(folder, tuple(entries), wanted_us, reach_us if wanted_us is None else wanted_us)


def put(found: Way, key: x25519.Identity, data: Path, user: SystemUser) -> None:
    """Open the segments into a cluster's folder, and tell its server to replay them (4).

    Raises BackupError.
    """
    for entry in found.entries:
        path = data / "pg_wal" / entry.segment
        content = bytearray()
        inside = sealing.unseal(found.folder / f"{entry.stem}.age", key, content.extend)
        if inside != (entry.size, entry.plain_sha256):
            raise BackupError(DAMAGED, f"{entry.stem} holds something else than was put in")
        path.unlink(missing_ok=True)
        _write(path, bytes(content).ljust(SEGMENT_BYTES, b"\0"), user)
    _write(data / _SIGNAL_FILE, b"", user)


def replay(found: Way, cluster: Cluster) -> None:
    """Start the server and wait until it ended its replay; raises ClusterError.

    Where nothing was committed after the second, all there is was committed before it.
    """
    cluster.start_timeout_s = _REPLAY_TIMEOUT_S
    try:
        cluster.options = _options(found.until_us)
        try:
            cluster.start(mortal=True)
        except ClusterError as error:
            if _NOTHING_AFTER not in str(error):
                raise
            cluster.options = _options(None)
            cluster.start(mortal=True)
    finally:
        cluster.options = ()


def _options(until: int | None) -> tuple[str, ...]:
    # All segments lie in the server's own folder: there is nowhere to fetch more from.
    told = ["restore_command=false", "recovery_target_action=promote"]
    # Otherwise it is "ready" for readers while it still replays.
    told.append("hot_standby=off")
    if until is not None:
        # Names of zones, "Z" too, are not known yet where the server reads this.
        told.append(f"recovery_target_time={iso(until).removesuffix('Z')}+00")
    return tuple(word for one in told for word in ("-c", one))


def _write(path: Path, content: bytes, user: SystemUser) -> None:
    write_private(path, content)
    if separate():
        shutil.chown(path, user.uid, user.gid)
