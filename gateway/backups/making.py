"""Makes a backup: sealed parts in a folder that gets its name only when all of it is on the disk.

    1 alone       no other backup into this place, no rotation of a secret meanwhile
    2 look        recipients the log knows; counts, schema, epoch; the newest checkpoint came first
    3 home        the files of HOME, the signer's state before all others
    4 database    the base backup with its WAL, checked against the server's list meanwhile;
                  or a dump, counted meanwhile (`dumping`)
    5 still       no key, certificate or policy changed since 3
    6 log         the leaf with the manifest's digest is committed and signed: the receipt
    7 name        everything synced, then renamed

What breaks off before 7 leaves a folder `.partial-…`, which is no backup to anybody, and which the
next backup into that place removes.
"""

import asyncio
import contextlib
import fcntl
import io
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gateway
from gateway.audit.event import Event
from gateway.audit.receipt import proof_text
from gateway.audit.recorder import Entry, Recorder
from gateway.backups import (
    dumping,
    forms,
    homefiles,
    line,
    lists,
    manifest,
    physical,
    placed,
    recipients,
    sealing,
)
from gateway.backups.errors import BackupError
from gateway.backups.lists import Parent
from gateway.backups.manifest import Manifest
from gateway.backups.physical import Copied
from gateway.backups.sealing import Part, Progress
from gateway.clock import iso
from gateway.config.folders import sync, write_private
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.store import versions
from gateway.store.database import Database, StoreError, Transaction
from gateway.store.tools import ToolError

PARTIAL = ".partial-"
BUSY, MOVED, EXTERNAL = "BACKUP_BUSY", "BACKUP_MOVED", "BACKUP_EXTERNAL"
NOT_WRITTEN, NOT_READ = "BACKUP_NOT_WRITTEN", "BACKUP_NOT_READ"
_TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'gateway'::regnamespace AND relkind = 'r'"
    " ORDER BY relname"
)
_EPOCH = "SELECT value FROM gateway.epoch WHERE name = 'revocation'"


@dataclass(frozen=True, slots=True)
class Source:
    """What is backed up, and who records it; `checkpoint` is the log's newest note."""

    home: Home
    settings: Settings
    database: Database
    recorder: Recorder
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Made:
    """A backup: its folder, what it says, and where the log says so.

    `why` says why it is a base backup where an incremental one was asked for (`lists`).
    """

    folder: Path
    manifest: Manifest
    entry: Entry
    why: str = ""


async def make(
    source: Source,
    place: Path,
    rate_kib: int = 0,
    tell: Progress = int,
    onto: Parent | None = None,
) -> Made:
    """Make a backup in a folder of `place`; `tell` hears how many bytes were read.

    With a parent, which lies in that place, it is of what changed since, where that can be.
    Raises BackupError, what the recorder raises. What fails leaves its leaf and no backup.
    """
    try:
        return await _make(source, place, rate_kib, tell, onto)
    except BackupError as error:
        cause = error.code.lower().replace("_", "-")
        told = {"alert": "backup-failed", "cause": cause}
        await source.recorder.append(_event(decision="error", detail=told))
        raise


async def _make(
    source: Source, place: Path, rate_kib: int, tell: Progress, onto: Parent | None
) -> Made:
    with contextlib.ExitStack() as held, _told(source.home):
        await asyncio.to_thread(_begin, held, source.home, place)  # 1
        now_us = source.recorder.clock.now_us()
        stamp = iso(now_us)[:23].replace("-", "").replace(":", "")
        partial = place / f"{PARTIAL}{stamp}"
        await asyncio.to_thread(partial.mkdir, 0o700)
        try:
            async with source.database.transaction() as tx:
                looked = await _look(tx, line.current(source.home))  # 2
            onto, why = _openable(onto, looked.recipients)
            sealed = await asyncio.to_thread(
                _seal, source, partial, looked.recipients, rate_kib, tell, onto
            )
            made = _manifest(source, now_us, looked, sealed)
            entry = await _record(source.recorder, made, partial)  # 6
            folder = named(partial, place / stamp)  # 7
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        lists.keep(source.home, manifest.sha256(made.encode()), sealed[1].listed)
    return Made(folder, made, entry, why or sealed[1].why)


def _openable(onto: Parent | None, to: tuple[str, ...]) -> tuple[Parent | None, str]:
    """Return a parent that still stands and the same keys open, or why it is none.

    Retention may have taken it away since it was chosen; who came later cannot open it.
    """
    if onto is None:
        return None, ""
    if not onto.stands():
        return None, lists.FIRST
    if set(onto.found.manifest.recipients) != set(to):
        return None, lists.RECIPIENTS
    return onto, ""


@dataclass(frozen=True, slots=True)
class _Looked:
    """What the database says before it is copied."""

    recipients: tuple[str, ...]
    line: str
    rows: dict[str, int]
    epoch: int


async def _look(tx: Transaction, goes_on: str) -> _Looked:
    await tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    to = await recipients.trusted(tx)
    rows = {}
    for (table,) in await tx.fetch(_TABLES):
        [(rows[table],)] = await tx.fetch(f'SELECT count(*) FROM gateway."{table}"')  # noqa: S608  our own names
    [(epoch,)] = await tx.fetch(_EPOCH)
    return _Looked(tuple(to), goes_on, rows, epoch)


def _seal(
    source: Source,
    partial: Path,
    to: tuple[str, ...],
    rate_kib: int,
    tell: Progress,
    onto: Parent | None,
) -> tuple[Part, Copied]:
    """3 to 5; runs in a thread of its own."""
    home = source.home
    before = homefiles.lasting(home)
    files = sealing.seal(
        io.BytesIO(homefiles.tar(home)), partial / manifest.HOME_PART, to, lambda _: None
    )
    if forms.chosen(home, source.settings) == manifest.DUMP:
        database = dumping.copy(home, source.settings, partial, to, rate_kib, tell)
    else:
        database = physical.copy(home, source.settings, partial, to, rate_kib, tell, onto)
    if homefiles.lasting(home) != before:
        raise BackupError(MOVED, "a key, certificate or policy changed meanwhile: make it again")
    return files, database


def _manifest(
    source: Source, now_us: int, looked: _Looked, sealed: tuple[Part, Copied]
) -> Manifest:
    files, database = sealed
    return Manifest(
        made_us=now_us,
        trust_domain=source.settings.trust_domain,
        province=source.settings.province,
        version=gateway.__version__,
        schema=versions.newest(),
        separate_users=os.geteuid() == 0,
        epoch=looked.epoch,
        checkpoint=source.checkpoint,
        rows=looked.rows if database.rows is None else database.rows,
        system=database.system,
        wal=database.wal,
        recipients=looked.recipients,
        parts=(files, database.part),
        line="" if database.form == manifest.DUMP else looked.line,
        form=database.form,
        parent=database.parent,
        server=database.server,
    )


async def _record(recorder: Recorder, made: Manifest, partial: Path) -> Entry:
    content = made.encode()
    write_private(partial / manifest.MANIFEST_FILE, content)
    counts = {"bytes": made.total_bytes, "rows": sum(made.rows.values())}
    detail: dict[str, str | int] = {
        "manifest_sha256": manifest.sha256(content),
        "version": made.schema,
    }
    entry = await recorder.append(_event(counts=counts, detail=detail))
    write_private(partial / manifest.RECEIPT_FILE, proof_text(entry, entry.leaf).encode())
    return entry


def _event(**about: object) -> Event:
    return Event(kind=manifest.KIND, door="host").with_(**about)


def named(partial: Path, folder: Path) -> Path:
    """Give a folder that is whole its name, once all of it is on the disk; raises OSError."""
    for path in [*partial.iterdir(), partial]:
        sync(path)
    partial.rename(folder)
    sync(folder.parent)
    return folder


def _begin(held: contextlib.ExitStack, home: Home, place: Path) -> None:
    """Be the only one there, and remove what a killed command left."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    held.enter_context(alone(place, wait=False))
    held.enter_context(alone(home.secrets("identity")))
    for path in place.glob(f"{PARTIAL}*"):
        placed.remove(path)


@contextlib.contextmanager
def alone(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a folder's lock; raises BackupError (BACKUP_BUSY) where it is held and we do not wait.

    That of `secrets/identity` is the rotation's (supervise.rotation).
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    except BlockingIOError as error:
        raise BackupError(BUSY, f"another backup is being made in {folder}") from error
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _told(home: Home) -> Iterator[None]:
    """Turn what files and programs say into our own codes."""
    try:
        yield
    except OSError as error:
        raise BackupError(
            NOT_WRITTEN, f"{error.filename or ''} {error.strerror}".strip()
        ) from error
    except (ToolError, StoreError) as error:
        raise BackupError(NOT_READ, f"{home.root}: {error}") from error
