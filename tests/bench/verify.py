"""`gateway audit verify` of a million entries on one core, and what the log's evidence weighs.

Limit `hash`: the same entries read and hashed into the tree alone, nothing compared and no leaf judged.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from gateway.audit.verify import verify_folder
from gateway.tlog import tiles
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.frontier import Frontier
from gateway.tlog.merkle import inclusion_path, leaf_hash, root_of
from gateway.tlog.note import Signer
from gateway.tlog.proof import Proof
from gateway.tlog.tiles import TILE_HEIGHT, TILE_WIDTH, Tile
from tests.bench.audit import EVENT, ground, where
from tests.bench.figures import Figure, figure

ENTRIES = 1_000_000
ROUNDS = 3
# What the issue allows.
LIMIT_S = 15
IN_DATABASE = 20_000
BEGIN_US = 1_790_000_000_000_000
LOG = Signer("gateway.invalid/audit", bytes(range(32)))


def leaves(begin: int, end: int) -> list[bytes]:
    return [EVENT.to_leaf(BEGIN_US + index) for index in range(begin, end)]


def write(folder: Path, size: int) -> dict[Tile, bytes]:
    """Write an export a bundle at a time; returns its tiles."""
    made: dict[Tile, bytes] = {}
    rows: list[list[bytes]] = [[]]
    for bundle in tiles.bundles_of(size):
        begin = bundle.n * TILE_WIDTH
        entries = leaves(begin, begin + bundle.width)
        put(folder, bundle, tiles.pack_bundle(entries))
        rows[0] += [leaf_hash(each) for each in entries]
    for tile in tiles.tiles_of(size):
        level = tile.level or 0
        if level == len(rows):
            below = rows[-1]
            whole = len(below) - len(below) % TILE_WIDTH
            rows.append([root_of(below[i : i + TILE_WIDTH]) for i in range(0, whole, TILE_WIDTH)])
        begin = tile.n * TILE_WIDTH
        made[tile] = b"".join(rows[level][begin : begin + tile.width])
        put(folder, tile, made[tile])
    (folder / "checkpoint").write_text(
        Checkpoint(LOG.verifier.name, size, root_of(rows[0])).signed(LOG)
    )
    return made


def put(folder: Path, tile: Tile, content: bytes) -> None:
    path = folder / tile.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def hashed(folder: Path, size: int) -> float:
    """Entries a second that are read and hashed into a root, and no more."""
    began = time.process_time()
    frontier = Frontier()
    for bundle in tiles.bundles_of(size):
        hashes = [
            leaf_hash(each)
            for each in tiles.split_bundle(bundle, (folder / bundle.path).read_bytes())
        ]
        if bundle.width == TILE_WIDTH:
            frontier.append_subtree(root_of(hashes), TILE_HEIGHT)
        else:
            frontier.extend(hashes)
    frontier.root()
    return size / (time.process_time() - began)


def verified(folder: Path, size: int) -> float:
    """Entries a second that are verified; processor time, which on one core of its own is the time it takes."""
    began = time.process_time()
    report = verify_folder(folder, LOG.verifier)
    took = time.process_time() - began
    assert report.failures == ()
    assert report.judging.decisions.total() == size
    return size / took


def sizes(made: dict[Tile, bytes], folder: Path, size: int) -> Iterator[Figure]:
    """What a proof, a receipt's proof with its checkpoint, and an exported entry weigh."""

    def fetch(tile: Tile) -> list[bytes]:
        return tiles.split_hashes(tile, made[tile])

    path = inclusion_path(tiles.node_from_tiles(size, fetch), size // 3, size)
    note = (folder / "checkpoint").read_text()
    text = Proof(size // 3, tuple(path), note, bytes(16)).text()
    told = f"in a log of {size:,} entries"
    yield figure("audit.proof", "bytes", [32 * len(path)], conditions=f"{len(path)} hashes, {told}")
    yield figure(
        "audit.receipt",
        "bytes",
        [len(text.encode())],
        conditions=f"c2sp.org/tlog-proof with salt and checkpoint, {told}",
    )
    weight = sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
    leaf = len(leaves(0, 1)[0])
    yield figure(
        "audit.entry.exported",
        "bytes",
        [weight / size],
        conditions=f"leaf of {leaf} bytes, its hashes, files of an export",
    )


def stored() -> Figure:
    """What an entry weighs in the database, indexes and tiles included."""
    with ground() as home, psycopg.connect(where(home, "intake")) as connection:
        for begin in range(0, IN_DATABASE, 1000):
            connection.execute(
                "SELECT gateway.audit_append(%s, 0)", (leaves(begin, begin + 1000),), binary=True
            )
            connection.commit()
        with psycopg.connect(where(home, "owner")) as owner:
            row = owner.execute(
                "SELECT sum(pg_total_relation_size(t)) FROM unnest(ARRAY['gateway.audit_entry', 'gateway.audit_tile']::regclass[]) AS t"
            ).fetchone()
    assert row is not None
    conditions = (
        f"leaf of {len(leaves(0, 1)[0])} bytes, indexes and tiles of {IN_DATABASE:,} entries"
    )
    return figure(
        "audit.entry.stored", "bytes", [float(row[0]) / IN_DATABASE], conditions=conditions
    )


def run() -> list[Figure]:
    """Measure."""
    size = int(os.environ.get("BENCH_VERIFY_ENTRIES", ENTRIES))
    root = Path(tempfile.mkdtemp(prefix="gw-verify-"))
    try:
        made = write(root / "log", size)
        rates: list[float] = []
        floor: list[float] = []
        for _ in range(ROUNDS):
            rates.append(verified(root / "log", size))
            floor.append(hashed(root / "log", size))
        found = figure(
            "audit.verify.1m",
            "entries/s",
            rates,
            {"hash": floor},
            conditions=f"{size:,} entries of one export in {size / max(rates):.1f}-{size / min(rates):.1f} s of one core; {LIMIT_S} s allowed for a million",
        )
        return [found, *sizes(made, root / "log", size), stored()]
    finally:
        shutil.rmtree(root)
