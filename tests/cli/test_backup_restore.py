"""`gateway backup approve`: a statement by the profile's key over what its own log names; the way to the end: tests/e2e/test_backup.py."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate

from gateway.backups import approval, restoring
from gateway.backups.restoring import Restored, Wanted
from gateway.cli.output import Output
from gateway.client import profile
from gateway.clock import SYSTEM
from gateway.config.home import Home
from gateway.config.settings import PortSettings
from gateway.store.embedded import Cluster
from tests.backups.conftest import backup, stand  # noqa: F401  fixtures
from tests.backups.hosted import Hosted, hosted_once  # noqa: F401
from tests.backups.stand import IDENTITY, KEY, Stand
from tests.backups.test_shipping import forget, turn
from tests.cli.small_admin import cli
from tests.house.tree import ROOT
from tests.supervise.test_supervisor import until


@pytest.fixture
def officer(stand: Stand, tmp_path: Path) -> Path:  # noqa: F811  a fixture
    """The profile of zhao."""
    key, certificate = stand.officers["zhao"]
    remote = profile.Remote(
        host="127.0.0.1",
        server_name="sx.example",
        trust_domain="sx.example",
        organisation="140000",
        account="zhao",
        log_key=str(stand.keys.newest),
        ports=PortSettings(),
    )
    pem = load_der_x509_certificate(certificate).public_bytes(Encoding.PEM)
    root = stand.home.root_certificate.read_bytes()
    return profile.write(tmp_path / "zhao", remote, key=key, certificate=pem, root=root).folder


def approve(folder: Path, officer: Path, out: Path, *more: str) -> int:
    words = ("approve", folder, "--because", "disk-lost", "--out", out, "-p", officer, *more)
    return cli("backup", *map(str, words))


def test_what_is_signed_is_the_backups_digest(stand: Stand, officer, tmp_path, capsys) -> None:  # noqa: F811
    out = tmp_path / "approval"
    assert approve(stand.kept.folder, officer, out, "--json") == 0
    said, made = json.loads(capsys.readouterr().out), approval.parse(out.read_bytes())
    assert (made.manifest_sha256, made.cause) == (said["sha256"], "disk-lost")
    assert made.certificate == stand.officers["zhao"][1]
    assert made.signed_us <= SYSTEM.now_us()


def test_a_second_is_signed_too(stand: Stand, officer, tmp_path, capsys) -> None:  # noqa: F811
    out, until = tmp_path / "approval", "2026-11-26T09:30:00+08:00"
    forget(stand)
    turn(stand, [tmp_path])
    try:
        folder = stand.make(tmp_path).folder
    finally:
        forget(stand)
    assert approve(folder, officer, out, "--until", until, "--json") == 0
    assert json.loads(capsys.readouterr().out)["until"] == until
    made = approval.parse(out.read_bytes())
    assert made.until == until
    assert made.statement().decode().splitlines()[-1] == until


def test_no_officer_signs_a_second_that_no_journal_reaches(
    stand: Stand,  # noqa: F811
    hosted: Hosted,
    officer,
    tmp_path,
    capsys,
) -> None:
    """At night a dump's officers learn it before they sign, not from the restore; without a time they sign."""
    out = tmp_path / "approval"
    assert approve(stand.kept.folder, officer, out, "--until", "tomorrow", "--json") == 1
    assert json.loads(capsys.readouterr().out)["refused"] == "BACKUP_TIME_OUTSIDE"
    key = profile.load(officer).folder / "profile.toml"
    key.write_text(key.read_text().replace(str(stand.keys.newest), str(hosted.keys.newest)))
    for lang in ("en", "zh"):
        assert approve(hosted.kept.folder, officer, out, "--until", "end", "--lang", lang) == 1
        assert Output(lang).text("backup.code.BACKUP_NO_JOURNAL") in capsys.readouterr().err
    assert not out.exists()
    assert approve(hosted.kept.folder, officer, out) == 0


def test_a_password_in_the_dsn_is_refused_and_not_repeated(stand: Stand, tmp_path, capsys) -> None:  # noqa: F811
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "a").write_bytes(stand.approved(stand.kept, "zhao").encode())
    target = stand.home.root.with_name("new")
    words = ["restore", stand.kept.folder, target, "--key", stand.home.log_key]
    words += ["--identity", tmp_path / "key", "--approval", tmp_path / "a"]
    words += ["--dsn", "host=db.example password=guess"]
    assert cli("backup", *map(str, words)) == 2
    said = capsys.readouterr()
    assert "--password-file" in said.err
    assert "guess" not in said.out + said.err
    assert not target.exists()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_rights_that_were_left_out_are_told(stand: Stand, tmp_path, capsys, monkeypatch, lang) -> None:  # noqa: F811  # fmt: skip
    done = Restored(Home(tmp_path), 7, 0, "disk-lost", 1, ("monitoring", "watch"))
    monkeypatch.setattr(restoring, "restore", lambda *_: done)
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "a").write_bytes(stand.approved(stand.kept, "zhao").encode())
    words = ["restore", stand.kept.folder, tmp_path, "--key", stand.home.log_key]
    words += ["--identity", tmp_path / "key", "--approval", tmp_path / "a", "--lang", lang]
    assert cli("backup", *map(str, words)) == 0
    assert "monitoring, watch" in capsys.readouterr().out
    assert cli("backup", *map(str, words), "--json") == 0
    assert json.loads(capsys.readouterr().out)["left_out"] == ["monitoring", "watch"]


def test_nobody_signs_what_his_log_does_not_name(backup, officer, tmp_path, capsys) -> None:  # noqa: F811
    (backup / "manifest.json").write_bytes((backup / "manifest.json").read_bytes() + b" ")
    assert approve(backup, officer, tmp_path / "approval", "--json") == 1
    assert json.loads(capsys.readouterr().out)["refused"] == "BACKUP_FORM"
    assert not (tmp_path / "approval").exists()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_one_approval_restores_nothing(stand: Stand, officer, tmp_path, capsys, lang) -> None:  # noqa: F811
    assert approve(stand.kept.folder, officer, tmp_path / "a", "--lang", lang) == 0
    (tmp_path / "key").write_text(KEY)
    target = stand.home.root.with_name("new")
    words = ["restore", stand.kept.folder, target, "--key", stand.home.log_key]
    words += ["--identity", tmp_path / "key", "--approval", tmp_path / "a", "--lang", lang]
    assert cli("backup", *map(str, words)) == 1
    said = capsys.readouterr()
    assert Output(lang).text("backup.code.BACKUP_NOT_APPROVED") in said.err
    assert KEY not in said.out + said.err
    assert not target.exists()


@pytest.mark.parametrize("reached", ["secrets/signer/log.skey", "database/data/global/pg_control", "database/data/postmaster.pid"])  # fmt: skip
def test_a_killed_restore_leaves_no_home_and_the_next_one_stands(
    stand: Stand,  # noqa: F811
    tmp_path,
    reached,
) -> None:
    """kill -9 among the files, in the database, and while its server runs."""
    target = stand.home.root.with_name("again")
    staged = target.with_name("again.restoring")
    (tmp_path / "key").write_text(KEY)
    words = ["backup", "restore", stand.kept.folder, target, "--key", stand.home.log_key]
    words += ["--identity", tmp_path / "key"]
    approvals = tuple(stand.approved(stand.kept, name) for name in ("zhao", "qian"))
    for number, one in enumerate(approvals):
        (tmp_path / str(number)).write_bytes(one.encode())
        words += ["--approval", tmp_path / str(number)]
    running = subprocess.Popen([sys.executable, "-m", "gateway", *map(str, words)], cwd=ROOT)
    try:
        until(lambda: (staged / reached).exists() or running.poll() is not None)
    finally:
        running.kill()
        running.wait()
    assert not target.exists()
    until(lambda: Cluster(Home(staged)).pid() is None)
    wanted = Wanted(stand.kept.folder, stand.keys, IDENTITY, approvals)
    try:
        assert restoring.restore(wanted, target, SYSTEM).home.root == target
        assert not staged.exists()
    finally:
        shutil.rmtree(target)
