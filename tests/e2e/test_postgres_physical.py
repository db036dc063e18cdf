"""A gateway on Debian's PostgreSQL is lost with the server's disk and comes back to a second and to the end, by the server's own programs."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gateway.backups import manifest
from gateway.clock import SYSTEM, to_datetime
from gateway.demo.host import Host
from gateway.pki.ceremony import key_pem
from gateway.store import wal
from tests import debian
from tests.debian import Server
from tests.e2e import losing
from tests.e2e.losing import County, Elsewhere, found, founded, ran, told, words
from tests.e2e.test_backup_to_a_second import Stage, once_more, to_a_second, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.serial,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(debian.NONE), reason=debian.NONE),
]
PLACES = ("folders = []", 'folders = ["{folder}/a", "{folder}/b"]')


class Debians(Server):
    """Laid out as Debian does, its configuration in a folder of its own; and it lets in by TLS alone."""

    @property
    def configuration(self) -> Path:
        return self.folder / "etc"

    def create(self) -> None:
        super().create()
        etc = self.configuration
        etc.mkdir()
        for name in ("postgresql.conf", "pg_ident.conf"):
            (self.data / name).rename(etc / name)
        (self.data / "pg_hba.conf").unlink()
        entries = (
            f"hostssl {what} all 127.0.0.1/32 scram-sha-256\n" for what in ("all", "replication")
        )
        (etc / "pg_hba.conf").write_text("".join(entries))
        key = ec.generate_private_key(ec.SECP256R1())
        (etc / "server.key").write_bytes(key_pem(key))
        (etc / "server.crt").write_bytes(self_signed(key))
        (etc / "server.key").chmod(0o600)
        with (etc / "postgresql.conf").open("a") as file:
            file.write(f"data_directory = '{self.data}'\nssl = on\n")
            for name, value in {
                "hba_file": "pg_hba.conf", "ident_file": "pg_ident.conf",
                "ssl_cert_file": "server.crt", "ssl_key_file": "server.key",
            }.items():  # fmt: skip
                file.write(f"{name} = '{etc / value}'\n")
        owner = self.folder.stat()
        for path in [etc, *etc.iterdir()]:
            shutil.chown(path, owner.st_uid, owner.st_gid)


def self_signed(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "postgres")])
    now = to_datetime(SYSTEM.now_us())
    one = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=9))
    return one.sign(key, SHA256()).public_bytes(Encoding.PEM)


class Outside(Host):
    """A gateway whose database is another's server's."""

    server: Server
    # Of the dsn, and of settings.toml.
    way, also = "", ""

    def run(self, *arguments: str) -> str:
        if arguments[0] == "init":
            secret = str(self.server.folder / "password")
            arguments += ("--dsn", self.server.dsn("vaccines"), "--password-file", secret)
        return super().run(*arguments)

    def init(self, *arguments, **options) -> None:
        super().init(*arguments, **options)
        text = self.home.settings.read_text()
        where = f"host=127.0.0.1 port={self.server.port} dbname=vaccines {self.way}"
        self.home.settings.write_text(f'dsn = "{where}"\n{self.also}{text}')

    def start(self) -> None:
        """By the commands of docs/backups.md: the files are given to the server's user, and it is started."""
        if self.server.running is None:
            owner = self.server.folder.stat()
            for path in [self.server.data, *self.server.data.rglob("*")]:
                shutil.chown(path, owner.st_uid, owner.st_gid)
            self.server.start()
        super().start()


class OutsideStage(Stage):
    """Lost is the host with HOME, and the server's disk."""

    def lose(self) -> int:
        lost_us = super().lose()
        self.host.server.stop()
        shutil.rmtree(self.host.server.data)
        return lost_us

    def back_up(self, lines: int) -> Path:
        """Once the supervisor is through with one of its own."""
        while True:
            try:
                return super().back_up(lines)
            except AssertionError as error:
                if "BACKUP_BUSY" not in str(error):
                    raise
                time.sleep(0.5)


@pytest.fixture
def outside(monkeypatch) -> Iterator[OutsideStage]:
    """A gateway that is served, on Debian's server; its recipient's key is at hand."""
    monkeypatch.setattr("gateway.demo.host.START_TIMEOUT_S", 240.0)  # a busy machine is no fault
    monkeypatch.setattr(losing, "Host", Outside)
    with debian.served() as server:
        server.sql("CREATE DATABASE vaccines")
        server.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '1GB'", "SELECT pg_reload_conf()")
        monkeypatch.setattr(Outside, "server", server, raising=False)
        with founded(PLACES, ("tail_s = 60.0", "tail_s = 1.0")) as (host, folder):
            new = told(f"    gateway backup recipient new {folder / 'safe.key'}")
            ran(f"    gateway backup recipient add {host.home.root} safe-1 {new['recipient']}")
            more = f" --programs {debian.PROGRAMS} --data-directory {server.data}"
            yield OutsideStage(host, folder, {}, Elsewhere(folder, host.home), more)
            host.stop()  # before its server


def test_a_province_on_anothers_server_comes_back_to_the_second(outside, capsys) -> None:
    province, officers = found(outside.host)
    outside.officers |= officers
    city = County(outside.folder, province, children=150)
    figures = to_a_second(outside, city)
    figures += once_more(outside, city)
    with capsys.disabled():
        print("".join(f"\nRPO {rpo} s, RTO {rto} s" for rpo, rto in figures))


def refused(line: str) -> str:
    """The reason of what a command refuses."""
    done = subprocess.run(
        [*words(line), "--json"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode
    reason: str = json.loads(done.stdout)["refused"]
    return reason


@pytest.fixture
def debians(monkeypatch, request) -> OutsideStage:
    """The same, on a server whose configuration lies elsewhere and which speaks TLS alone, as our own programs cannot."""
    monkeypatch.setattr(debian, "Server", Debians)
    monkeypatch.setattr(Outside, "way", "sslmode=require")
    monkeypatch.setattr(Outside, "also", f'programs = "{debian.PROGRAMS}"\n')
    stage: OutsideStage = request.getfixturevalue("outside")
    return stage


def test_what_does_not_fit_is_refused_and_what_is_not_given_is_a_dump(debians) -> None:
    """Programs of another version, a missing segment; and the right to replicate taken away."""
    outside, host, folder, server = debians, debians.host, debians.folder, debians.host.server
    home, c = host.home.root, folder / "c"
    backup = outside.back_up(1)
    *_, last = manifest.parse(placed(backup)).wal.segments()
    first, second = (wal.segment_name(1, wal.segment_number(last) + further) for further in (1, 2))
    for _ in range(3):
        server.sql("SELECT pg_logical_emit_message(true, 'test', 'x')", "SELECT pg_switch_wal()")
    until(lambda: [*outside.place.glob(f"wal/*/{second}.json")])
    # A copy, which nobody sends into; without the segment that grows.
    place = Path(
        shutil.copytree(
            outside.place, folder / "copy", ignore=shutil.ignore_patterns("*-*", "*.new")
        )
    )
    drill = f"    gateway backup drill {place / backup.name} --home {home} --identity {folder / 'safe.key'} --until end"
    assert refused(f"{drill} --programs {another(folder)}") == "BACKUP_PROGRAMS"
    [segment] = place.glob(f"wal/*/{first}.json")
    away = segment.rename(folder / "away")
    assert refused(drill) == "BACKUP_WAL_MISSING"
    away.rename(segment)
    assert told(drill)["entries"] > 0

    # With the attribute gone the next is a dump, from which no journal goes on; with it back it is files again.
    server.sql("ALTER ROLE gateway_backup NOREPLICATION")
    try:
        made = told(f"    gateway backup create {home} --to {c}")
        said = manifest.parse(placed(Path(made["folder"])))
        assert (said.form, said.line) == (manifest.DUMP, "")
    finally:
        server.sql("ALTER ROLE gateway_backup REPLICATION")
    said = manifest.parse(
        placed(Path(told(f"    gateway backup create {home} --to {c}")["folder"]))
    )
    assert (said.form, said.server) == (manifest.BASE, int(debian.PROGRAMS.parent.name))


def placed(backup: Path) -> bytes:
    return (backup / manifest.MANIFEST_FILE).read_bytes()


def another(folder: Path) -> Path:
    """A folder whose `postgres` says that it is of another version."""
    made = folder / "programs"
    made.mkdir(mode=0o755)
    (made / "postgres").write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 18.1'\n")
    (made / "postgres").chmod(0o755)
    return made
