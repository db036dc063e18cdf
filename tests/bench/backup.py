"""`backup.create`, `.restore`, `.wal`, `.ingest`: a served gateway with a database of a GiB, its backups, its cities meanwhile.

Commands are run as they are typed, each in a process of its own. A restore proves the backup that the round made; each
round ends with no more of them on the disk than it began with.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from gateway.backups import checking, sealing, shipping
from gateway.backups.cluster import ClusterCheck
from gateway.backups.making import Source
from gateway.backups.untar import Untar
from gateway.cli import host as hosts
from gateway.config import folders, settings, users
from gateway.config.backups import FILE, load_backup_rules
from gateway.config.home import Home
from gateway.store.embedded import Cluster
from gateway.store.wal import SEGMENT_BYTES
from gateway.supervise import yielding
from tests.bench.backed import Batches, Ground, bare, elsewhere
from tests.bench.figures import Figure, figure
from tests.bench.ingest import stream
from tests.bench.stage import served

MIB, ROUNDS, WAL_ROUNDS = 1024, 5, 20
# A segment that is full, and half of the next one.
_GROW = (
    "SELECT pg_switch_wal();"
    " SELECT pg_logical_emit_message(false, 'bench', repeat('x', {size}), true)"
)
_SENT_BYTES = SEGMENT_BYTES * 3 // 2


def run(mib: int = MIB, rounds: int = ROUNDS) -> list[Figure]:
    """Measure, round by round, each figure beside its limits."""
    with served() as founded:
        province = elsewhere(founded)
        ground = Ground.of(province, mib)
        batches = Batches(province, 2 * rounds + 1)
        asyncio.run(stream(province, batches.next()))  # the first is slower than all others
        seen = Seen()
        for number in range(rounds):
            _copies(ground, seen)
            # In turn, so that neither always comes first.
            for backed in (False, True) if number % 2 else (True, False):
                rate = _backed(ground, batches) if backed else _quiet(ground, batches)
                (seen.backed if backed else seen.quiet).append(rate)
        asyncio.run(_turns(ground, seen))
        return seen.figures(mib)


@dataclass(slots=True)
class Seen:
    """What the rounds gave: MiB/s, records/s, ms."""

    create: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    seal: list[float] = field(default_factory=list)
    restore: list[float] = field(default_factory=list)
    untar: list[float] = field(default_factory=list)
    quiet: list[float] = field(default_factory=list)
    backed: list[float] = field(default_factory=list)
    turn_ms: list[float] = field(default_factory=list)
    write_ms: list[float] = field(default_factory=list)

    def figures(self, mib: int) -> list[Figure]:
        """Return them as figures."""
        of = f"{mib:,} MiB of rows planted, the command from its start to its end"
        beside = "value: while `gateway backup create` runs all the time, on the machine of clients and gateway"
        wal = f"a turn sends {_SENT_BYTES >> 20} MiB, a whole segment and a tail, into two places"
        return [
            figure("backup.create", "MiB/s", self.create, {"pg_basebackup": self.bare, "seal": self.seal}, (), of),
            figure("backup.restore", "MiB/s", self.restore, {"tar": self.untar}, (), of),
            figure("backup.wal", "ms", self.turn_ms, {"write": self.write_ms}, self.turn_ms, wal),
            figure("backup.ingest", "records/s", self.backed, {"quiet": self.quiet}, (),
                   f"3 counties, 1 stream each; {beside}; promise: 0.7 of the quiet rate (limit ÷ value at most 1.43)"),
        ]  # fmt: skip


def _copies(ground: Ground, seen: Seen) -> None:
    """A bare base backup, ours, our part of it alone; a bare way back, ours."""
    began = time.perf_counter()
    seen.bare.append(bare(ground.home, len) / (time.perf_counter() - began))
    made, rate = ground.create()
    seen.create.append(rate)
    with tempfile.TemporaryDirectory(prefix="gateway-bench-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o711)
        seen.seal.append(_seal(ground, folder / "sealed"))
        seen.untar.append(_untar(ground, folder))
        seen.restore.append(_restore(ground, made, folder))
    shutil.rmtree(made)


def _seal(ground: Ground, path: Path) -> float:
    """Check and seal a base backup that lies there; return MiB/s."""
    check, [to] = ClusterCheck(), [str(sealing.identity(ground.key).to_public())]
    untar, began = Untar(check), time.perf_counter()
    with ground.plain.open("rb") as tar:
        part = sealing.seal(tar, path, [to], untar.write)
    untar.close()
    assert check.finish().files
    return part.plain_bytes / 2**20 / (time.perf_counter() - began)


def _untar(ground: Ground, folder: Path) -> float:
    """Unpack a bare base backup, have it on the disk, start it; return MiB/s."""
    cluster, user = Cluster(Home(folder / "bare")), users.user_of("postgres")
    folders.make_folders(Home(folder / "bare"))
    cluster.data.mkdir(0o700)
    began = time.perf_counter()
    words = ["tar", "--no-same-owner", "-xf", str(ground.plain), "-C", str(cluster.data)]
    subprocess.run(words, check=True)
    if users.separate():
        subprocess.run(["chown", "-R", f"{user.uid}:{user.gid}", str(cluster.data)], check=True)
    os.sync()
    try:
        cluster.start(mortal=True)
        return ground.plain.stat().st_size / 2**20 / (time.perf_counter() - began)
    finally:
        cluster.stop()
        shutil.rmtree(folder / "bare")


def _restore(ground: Ground, made: Path, folder: Path) -> float:
    """Two officers sign, then the backup becomes a HOME; return MiB/s."""
    run, words = ground.province.host.run, []
    for number, officer in enumerate(ground.officers):
        approval = str(folder / f"{number}.approval")
        run("backup", "approve", str(made), "--because", "bench", "--out", approval, "-p", str(officer))  # fmt: skip
        words += ["--approval", approval]
    keys = ("--key", str(ground.home.log_key), "--identity", str(ground.key))
    began = time.perf_counter()
    said = json.loads(run("backup", "restore", str(made), str(folder / "home"), *keys, *words, "--json"))  # fmt: skip
    took = time.perf_counter() - began
    assert said["log_size"] > 0
    size = sum(part.plain_bytes for part in checking.read(made, ground.keys).manifest.parts)
    return size / 2**20 / took


def _quiet(ground: Ground, batches: Batches) -> float:
    return asyncio.run(stream(ground.province, batches.next()))


def _backed(ground: Ground, batches: Batches) -> float:
    """Return records/s while a backup is made as the supervisor has it made: its priority, the policy's rate."""
    sent = batches.next()
    rate_kib = load_backup_rules(ground.home.policies / FILE).places.rate_kib
    words = [sys.executable, "-m", "gateway", *ground.create_words(), f"--rate-kib={rate_kib}"]
    with subprocess.Popen(words, stdout=-3, stderr=-3, process_group=0) as backup:
        yielding.give_way(backup.pid)
        try:
            while not any(one.stat().st_size for one in ground.place.glob(".partial-*/database*")):
                assert backup.poll() is None, "the backup failed"
                time.sleep(0.02)
            rate = asyncio.run(stream(ground.province, sent))
            assert backup.poll() is None, "the backup ended before the upload: plant more"
        finally:
            os.killpg(backup.pid, signal.SIGKILL)
    shutil.rmtree(ground.place)
    return rate


async def _turns(ground: Ground, seen: Seen) -> None:
    """Turns of the journal's sender, each beside a bare write of as many bytes."""
    places = [ground.home.root.parent / name for name in ("one", "two")]
    for place in places:
        place.mkdir()
    own = settings.load(ground.home.settings)
    with shipping.sole(ground.home):
        async with hosts.opened(ground.home, "owner") as (database, recorder):
            source = Source(ground.home, own, database, recorder, "")
            await shipping.turn(source, places)
            for _ in range(WAL_ROUNDS):
                with psycopg.connect(
                    Cluster(ground.home).superuser(), autocommit=True
                ) as connection:
                    connection.execute(_GROW.format(size=SEGMENT_BYTES // 2))
                began = time.perf_counter()
                done = await shipping.turn(source, places)
                seen.turn_ms.append((time.perf_counter() - began) * 1000)
                assert (done.copies, done.errors) == (len(places), ())
                assert done.whole
                began = time.perf_counter()
                for place in places:
                    _write(place / "bare", _SENT_BYTES)
                seen.write_ms.append((time.perf_counter() - began) * 1000)


def _write(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for _ in range(size // 2**20):
            file.write(bytes(2**20))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
