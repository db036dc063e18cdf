"""What the benchmarks of backups stand on: a served gateway with ballast, a recipient, two officers, and records to upload."""

import asyncio
import gc
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from gateway.cli.backup_files import trusted
from gateway.client import profile as profiles
from gateway.client.verify import Sent
from gateway.config import settings
from gateway.config.home import Home
from gateway.demo import province as provinces
from gateway.demo.province import COUNTIES, PROVINCE, PROVINCE_OCTET, Province
from gateway.sample import tables as sample_tables
from gateway.sample.province import Province as Sample
from gateway.store import basebackup
from gateway.store.embedded import Cluster
from gateway.tlog.keys import LogKeys
from gateway.v1 import options_pb2 as options
from tests.bench.ingest import Sender

CHILDREN = 1200  # whose records are uploaded each time
OFFICERS = ("zhao", "qian")
# A row of 16,128 bytes that nothing packs: two of its parts fill a page.
ROWS_PER_MIB = 64
_PLANT = (
    "CREATE SCHEMA bench",
    "CREATE TABLE bench.ballast (at int, body bytea STORAGE EXTERNAL)",
    "INSERT INTO bench.ballast SELECT i, decode(repeat(md5(i::text), 1008), 'hex') FROM generate_series(1, {rows}) AS i",
    # What a vacuum does to new pages is journal, and belongs to no backup.
    "VACUUM (FREEZE) bench.ballast",
    "CHECKPOINT",
)


@dataclass(frozen=True, slots=True)
class Ground:
    """A served gateway with ballast in its database, a recipient, two officers; a place beside it."""

    province: Province
    home: Home
    place: Path
    key: Path
    plain: Path  # the tar of a base backup, for what is measured without a server
    officers: tuple[Path, ...]

    @classmethod
    def of(cls, province: Province, mib: int) -> "Ground":
        """Plant what is to be backed up."""
        home, host = province.host.home, province.host
        beside, key = home.root.parent, home.root.parent / "safe-1.key"
        with psycopg.connect(Cluster(home).superuser(), autocommit=True) as connection:
            for statement in _PLANT:
                connection.execute(statement.format(rows=mib * ROWS_PER_MIB))
        made = json.loads(host.run("backup", "recipient", "new", str(key), "--json"))
        host.run("backup", "recipient", "add", str(home.root), "safe-1", made["recipient"])
        plain = beside / "base.tar"
        with plain.open("wb") as file:
            bare(home, file.write)
        return cls(province, home, beside / "place", key, plain, asyncio.run(_enlist(province)))

    @property
    def keys(self) -> LogKeys:
        """The log's keys."""
        return trusted(self.home.root, None)

    def create(self) -> tuple[Path, float]:
        """Make a backup; return its folder and MiB/s."""
        began = time.perf_counter()
        said = json.loads(self.province.host.run(*self.create_words(), "--json"))
        took = time.perf_counter() - began
        return Path(said["folder"]), said["bytes"] / 2**20 / took

    def create_words(self) -> tuple[str, ...]:
        """Return the command that makes one."""
        return ("backup", "create", str(self.home.root), "--to", str(self.place))


def elsewhere(province: Province) -> Province:
    """Bring the cities' profiles out of HOME: what they note there is no part of a backup."""
    root = province.host.home.root
    folder = Path(shutil.copytree(root / "profiles", root.parent / "profiles"))
    members = {
        code: replace(one, profile=profiles.load(folder / one.profile.folder.name))
        for code, one in province.members.items()
    }
    return replace(province, members=members)


async def _enlist(province: Province) -> tuple[Path, ...]:
    channels = province.admin.channels()
    try:
        clerk = provinces._Clerk(province.host, channels, province.admin.session(channels))
        where, role = province.host.address(PROVINCE_OCTET), options.ROLE_SECURITY_OFFICER
        found = [await clerk._enlist(PROVINCE, name, role, where) for name in OFFICERS]
        return tuple(one.folder for one in found)
    finally:
        await channels.close()


class Batches:
    """Sealed batches for so many uploads; no record comes twice."""

    def __init__(self, province: Province, uploads: int) -> None:
        units = [unit for code in COUNTIES for unit in province.members[code].units]
        tables = sample_tables.load(province.host.home.policies)
        sample = Sample(tables, units, seed=8, children=CHILDREN * uploads)
        self._families, self._uploads, self._sender = list(sample.families()), uploads, Sender()
        self._given = 0
        # As in `ingest`: the generated people are not the client's.
        gc.collect()
        gc.freeze()

    def next(self) -> dict[str, list[Sent]]:
        """Return the next, by county."""
        mine = self._families[self._given :: self._uploads]
        self._given += 1
        return {
            code: self._sender.batches(code, [f for f in mine if f.unit.organisation_code == code])
            for code in COUNTIES
        }


def bare(home: Home, tell: Callable[[bytes], object]) -> float:
    """Run the tool as `create` does; return how many MiB came."""
    size = 0
    with basebackup.base_backup(home, settings.load(home.settings)) as tar:
        while piece := tar.read(2**20):
            tell(piece)
            size += len(piece)
    return size / 2**20
