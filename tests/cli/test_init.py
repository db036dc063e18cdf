"""`gateway init` as its operator runs it: what it makes, what it refuses, what it leaves behind."""

import asyncio
import grp
import json
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gateway.cli.main import application, run
from gateway.client import profile
from gateway.config import policies, settings, users
from gateway.config.home import Home
from gateway.identity.passwords import Passwords
from gateway.policy import bundle
from gateway.store import roles
from gateway.store.embedded import Cluster


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the server's user can reach."""
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def init(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        run(application("init"), ["init", *words])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_new_gateway_has_everything(place: Path, capsys) -> None:
    home = Home(place / "home")
    words = ("--trust-domain", "sx.example", "--listen", "127.0.0.1", "--base-port", "18000")
    assert init(str(home.root), *words, "--json", "--lang", "en") == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert "keys and certificate authorities" in err
    assert told["one_time_password"] == (home.admin_profile / "password").read_text().strip()
    assert told["one_time_password"] not in err

    admin = profile.load(home.admin_profile)
    assert (admin.remote.organisation, admin.remote.account) == ("140000", "admin")
    assert admin.remote.ports.intake == 18000
    assert settings.load(home.settings).trust_domain == "sx.example"

    cluster = Cluster(home)
    assert cluster.pid() is None
    cluster.start(mortal=True)
    try:
        assert_registered(home, told["one_time_password"])
    finally:
        cluster.stop()
    assert_closed(home)


def assert_registered(home: Home, password: str) -> None:
    conninfo = roles.conninfo(home, settings.load(home.settings), "owner")
    with psycopg.connect(conninfo) as connection:
        row = connection.execute("SELECT name, kind FROM organisation WHERE code = '140000'")
        assert row.fetchone() == ("山西省", 1)
        account = connection.execute("SELECT roles, must_change, password_hash FROM account")
        held, must_change, stored = account.fetchone()
        assert (held, must_change) == (["admin"], True)
        certificate = connection.execute(
            "SELECT subject_kind, subject_name, state FROM certificate"
        )
        assert certificate.fetchall() == [("officer", "admin", 1)]
        leaves = connection.execute("SELECT idx, kind FROM audit_entry").fetchall()
        assert leaves == [(0, "log.start")]
    asyncio.run(Passwords().verify(stored, password))


def assert_closed(home: Home) -> None:
    """Every file that is not public is its owner's alone, and its owner the one process's user."""
    open_to_all = (home.public, home.policies, home.settings, home.logs)
    for path in home.root.rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_dir() or any(path.is_relative_to(one) for one in open_to_all):
            assert mode & 0o022 == 0 or path.is_relative_to(home.root / "run"), path
        else:
            assert mode & 0o077 == 0, path
    if users.separate():
        expected = {
            home.secrets("identity") / "token-key.json": "gateway-identity",
            home.secrets("signer") / "log.skey": "gateway-signer",
            home.secrets("front") / "server.key": "gateway-front",
            home.secrets("disclosure") / "seal-body.key": "gateway-disclosure",
            home.secrets("intake") / "blind-index.key": "gateway-intake",
            home.authority / "client-authority.key": "gateway-identity",
            home.password_file("administration"): "gateway-administration",
            home.password_file("owner"): "root",
            home.offline / "root.key": "root",
            home.admin_profile / "key.pem": "root",
        }
        owners = {path: pwd.getpwuid(path.stat().st_uid).pw_name for path in expected}
        assert owners == expected
        assert grp.getgrgid(home.run("signer").stat().st_gid).gr_name == "gateway"


def test_a_province_may_be_founded_with_policies_of_its_own(place: Path, capsys) -> None:
    """What they say is in force from the first leaf on; what cannot be read founds nothing."""
    own, home = place / "own", Home(place / "home")
    shutil.copytree(policies.shipped("policies"), own)
    rules = own / "cedar" / "exports.toml"
    rules.write_text(rules.read_text().replace("apart_s = 120", "apart_s = 240"))
    text = own / "cedar" / "05-exports-floor.cedar"
    text.write_text(text.read_text().replace(">= 120", ">= 240"))
    assert init(str(home.root), "--policies", str(own), "--json") == 0
    assert policies.digest(home.policies) == policies.digest(own)
    shipped = bundle.load(policies.shipped("policies") / "cedar")
    assert bundle.load(home.policies / "cedar").sha256 != shipped.sha256
    rules.write_text("nothing")
    assert init(str(place / "other"), "--policies", str(own), "--json") == 2
    assert not (place / "other").exists()
    capsys.readouterr()


def test_a_folder_with_anything_in_it_is_refused(place: Path, capsys) -> None:
    (place / "precious").write_text("mine")
    assert init(str(place), "--json") == 2
    assert json.loads(capsys.readouterr().out)["refused"] == "HOME_NOT_EMPTY"
    assert [path.name for path in place.iterdir()] == ["precious"]
    assert init(str(place / "precious")) == 2


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("--province", "14"), 2, "SETTINGS_INVALID"),
        (("--province", "999999"), 1, "FIELD_INVALID"),
        (("--trust-domain", "UPPER"), 2, "SETTINGS_INVALID"),
        (("--listen", "localhost"), 2, "SETTINGS_INVALID"),
        (("--dsn", "host=/nonexistent dbname=x"), 3, "STORE_AWAY"),
        (("--base-port", "80"), 2, None),
    ],
)
def test_what_fails_leaves_nothing(place: Path, capsys, words, status, code) -> None:
    home = place / "home"
    assert init(str(home), *words, "--json") == status
    out = capsys.readouterr().out
    assert code is None or json.loads(out)["refused"] == code
    assert not home.exists()
    # An empty folder that was there stays, empty.
    home.mkdir()
    assert init(str(home), *words) == status
    assert list(home.iterdir()) == []
