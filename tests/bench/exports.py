"""`export.rows`: a million doses from sealed bodies to an age file, beside bare COPY TO of the very same rows.

The build runs in a process of its own, so that its peak resident set is the build's; what the database's process of its
connection holds besides, apart from what all of them share, is looked at while it runs. Afterwards the recipient opens
the file: manifest, trailer and every row must be there.
"""

import asyncio
import contextlib
import json
import resource
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import psycopg
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from gateway.client.manifest import Expected, Opened
from gateway.client.tagged import decrypt
from gateway.clock import SYSTEM
from gateway.config import settings
from gateway.config.home import Home
from gateway.demo import province as provinces
from gateway.demo.host import Host
from gateway.exports import payloads
from gateway.exports.build import Sources, build
from gateway.exports.ticket import opened
from gateway.records.query import Bodies
from gateway.store import export_keys as keys
from gateway.store.database import Database
from gateway.store.embedded import Cluster
from gateway.store.roles import conninfo
from gateway.store.seal import BlindIndex, ContentKey, Opener
from gateway.store.seal_keys import SealRecipients
from gateway.v1.upload_service_pb2 import Item
from tests.bench.figures import Figure, figure
from tests.exports.shipping import Reader, a_reader
from tests.exports.tickets import PLAN
from tests.uploads.county import UNIT, a_dose

ROWS, DOSES_PER_CHILD, BATCH = 1_000_000, 10, 1000
ROUNDS = 5
LIMIT_MIB = 200.0
TICKET = "EX-00000001"
DAY = date(2026, 3, 1)
COLUMNS = (
    "child_token", "record_token", "lot.vaccine_code", "lot.manufacturer_code", "lot.lot_number", "lot.expiry_date",
    "dose_number", "property", "vaccinated_date", "source", "site", "route", "unit_code", "free_of_charge",
)  # fmt: skip
# What a build reads, in no order.
COPY = """
COPY (SELECT b.request_id, i.item_index, i.key_id, i.nonce, i.body, d.child_tag, d.record_id
        FROM gateway.dose AS d JOIN gateway.batch AS b ON b.batch_id = d.batch_id
        JOIN gateway.item AS i ON i.batch_id = d.batch_id AND i.item_index = d.item_index) TO STDOUT (FORMAT BINARY)
"""
TABLES = {
    "batch": (
        "batch_id organisation request_id digest unit_code sequence received_us answer",
        "int8 text uuid bytea text int8 int8 bytea",
    ),
    "content_key": (
        "key_id recipient wrapped organisation created_us",
        "uuid text bytea text int8",
    ),
    "item": (
        "batch_id item_index kind state key_id nonce body",
        "int8 int4 int2 int2 uuid bytea bytea",
    ),
    "dose": (
        "child_tag record_id unit_code vaccine_code series dose_number vaccinated_date route site content_tag revision batch_id item_index",
        "bytea bytea text text text int2 date int2 int2 bytea int8 int8 int4",
    ),
}


def run(rows: int = ROWS, rounds: int = ROUNDS) -> list[Figure]:
    """Measure."""
    speeds, bare, peaks, stores = [], [], [], []
    with stored(rows) as home:
        reader = a_reader(now_us=SYSTEM.now_us())
        pem = home.root / "reader.pem"
        pem.write_bytes(reader.certificate.public_bytes(Encoding.PEM))
        for _ in range(rounds):
            bare.append(rows / copied(home, rows))
            told = built(home, pem)
            speeds.append(rows / told["seconds"])
            peaks.append(told["peak_mib"])
            stores.append(told["store_mib"])
            check(home, reader, told, rows)
    conditions = (
        f"{rows:,} doses of {rows // DOSES_PER_CHILD:,} children, {len(COLUMNS)} columns, CSV"
    )
    return [
        figure("export.rows", "rows/s", speeds, {"copy_to": bare}, (), conditions),
        figure(
            "export.memory",
            "MiB",
            peaks,
            {"limit": [LIMIT_MIB]},
            (),
            f"{conditions}; whole process; the database's process for it {max(stores):,.0f} MiB besides",
        ),
    ]


@contextlib.contextmanager
def stored(rows: int) -> Iterator[Home]:
    """Give a HOME whose database runs and holds so many sealed doses."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-", dir="/tmp"))
    folder.chmod(0o711)
    host = Host.at(folder / "home")
    host.init(provinces.owners(), [])
    cluster = Cluster(host.home)
    cluster.start()
    try:
        asyncio.run(fill(host.home, rows))
        yield host.home
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def fill(home: Home, rows: int) -> None:
    """Store doses as the intake would: a batch of a thousand under a content key each."""
    recipients = SealRecipients.load(home.seal_keys)
    children = [secrets.token_bytes(16) for _ in range(rows // DOSES_PER_CHILD)]
    owner = await Database.open(
        conninfo(home, settings.load(home.settings), "owner"), application="bench", size=1
    )
    try:
        for number in range(1, rows // BATCH + 1):
            key = ContentKey(recipients.body, "140105", number)
            made = batch(number, key, children)
            async with owner.transaction() as tx:
                for table, (columns, types) in TABLES.items():
                    names = ", ".join(columns.split())
                    sql = f"COPY gateway.{table} ({names}) FROM STDIN (FORMAT BINARY)"
                    await tx.copy(sql, made[table], types.split())
        async with await psycopg.AsyncConnection.connect(
            Cluster(home).superuser(), autocommit=True
        ) as connection:
            await connection.execute("VACUUM ANALYZE")
    finally:
        await owner.close()


def batch(
    number: int, key: ContentKey, children: list[bytes]
) -> dict[str, Iterable[tuple[object, ...]]]:
    """The rows of a batch, by table."""
    request = uuid.uuid4()
    dose = a_dose("1" * 18)
    items: list[tuple[object, ...]] = []
    doses: list[tuple[object, ...]] = []
    for index in range(BATCH):
        record, day = uuid.uuid4(), DAY + timedelta(days=index % 200)
        place = (number - 1) * BATCH + index
        dose.record_id, dose.child_code = str(record), f"{place % len(children):018d}"
        dose.vaccinated_date.year, dose.vaccinated_date.month, dose.vaccinated_date.day = (
            day.year,
            day.month,
            day.day,
        )
        dose.dose_number = index % 4 + 1
        item = Item(vaccination=dose)
        nonce, body = key.seal(
            "item", request.bytes + index.to_bytes(4), 0, item.SerializeToString()
        )
        items.append((number, index, 2, 1, key.key_id, nonce, body))
        tag = children[place % len(children)]
        doses.append(
            (
                tag,
                record.bytes,
                UNIT,
                "0202",
                "HepB",
                index % 4 + 1,
                day,
                1,
                1,
                secrets.token_bytes(16),
                0,
                number,
                index,
            )
        )
    envelope = (number, "140105", request, bytes(32), UNIT, number, number, b"")
    return {"batch": [envelope], "content_key": [key.row], "item": items, "dose": doses}


def copied(home: Home, rows: int) -> float:
    """Return how many seconds a bare COPY TO of the same rows takes."""
    with psycopg.connect(conninfo(home, settings.load(home.settings), "owner")) as connection:
        began = time.perf_counter()
        with connection.cursor() as cursor, cursor.copy(COPY) as copy:
            size = sum(map(len, copy))
        took = time.perf_counter() - began
    assert size > rows * 300
    return took


def built(home: Home, pem: Path) -> dict[str, float]:
    """Build in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.exports", str(home.root), str(pem)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def plan_for(reader_sha256: str) -> object:
    """The plan of all doses."""
    return replace(
        PLAN, divisions=("140105",), born_from=None, happened_until=None, vaccine_codes=(), columns=COLUMNS,
        encryption_certificate_sha256=reader_sha256, row_cap=10**7, child_cap=10**7,
    )  # fmt: skip


def check(home: Home, reader: Reader, told: dict[str, float], rows: int) -> None:
    """Open the file as its recipient; every row must be there."""
    plan = plan_for(reader.sha256)
    expected = Expected(TICKET, plan.sha256, reader.sha256, keys.published(home.export_keys))
    made, lines = Opened(expected), 0
    with payloads.path(home.exports, TICKET).open("rb") as payload:
        for piece in made.rows(decrypt(bytes.fromhex(str(told["header"])), payload, reader.key)):
            lines += piece.count(b"\n")
    assert lines == rows + 1
    assert made.trailer["rows"] == rows
    assert made.trailer["children"] == rows // DOSES_PER_CHILD


async def alone(home: Home, pem: bytes) -> None:
    """Build and tell how long it took and how much memory."""
    certificate = load_pem_x509_certificate(pem)
    secret = home.secrets("disclosure")
    role = conninfo(home, settings.load(home.settings), "disclosure")
    database = await Database.open(role, application="bench", size=1)
    bodies = Bodies(Opener.load(secret), BlindIndex.load(secret))
    sources = Sources(database, bodies, lambda: keys.load(home), home.exports, SYSTEM)
    sha256 = Reader(None, certificate).sha256  # type: ignore[arg-type] # only the certificate is asked
    async with database.transaction() as tx:
        row = await tx.fetch_one("SELECT pg_backend_pid()")
    assert row is not None
    store = Store(int(row[0]))
    began = time.perf_counter()
    output = await build(
        sources,
        opened(TICKET, plan_for(sha256), SYSTEM.now_us()),
        certificate,
        bundle="",
        whole_birth=False,
    )
    took = time.perf_counter() - began
    await database.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = {"seconds": took, "peak_mib": peak, "store_mib": store.peak_mib()}
    print(json.dumps({**told, "header": output.header.hex()}))


class Store:
    """Looks at a process of the database from now on, twenty times a second."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._peak_kib = 0
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)
        self._looking.start()

    def peak_mib(self) -> float:
        """Stop looking; the most that it held and shared with none."""
        self._over.set()
        self._looking.join()
        return self._peak_kib / 1024

    def _look(self) -> None:
        while True:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                (line,) = [
                    one
                    for one in self._status.read_text().splitlines()
                    if one.startswith("RssAnon:")
                ]
                self._peak_kib = max(self._peak_kib, int(line.split()[1]))
            if self._over.wait(0.05):
                return


if __name__ == "__main__":
    asyncio.run(alone(Home(Path(sys.argv[1])), Path(sys.argv[2]).read_bytes()))
