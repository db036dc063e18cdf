import json

import pytest

from gateway.client import profile as profiles
from tests.cli.small_admin import cli
from tests.client.small_gateway import Log


@pytest.fixture
def papers(tmp_path):
    for name in ("key", "certificate", "root"):
        (tmp_path / name).write_text(name)
    (tmp_path / "vkey").write_text(f"{Log().signer.verifier}\n")
    options = {
        "--key": "key",
        "--certificate": "certificate",
        "--root": "root",
        "--log-key": "vkey",
    }
    return [word for option, name in options.items() for word in (option, str(tmp_path / name))]


def add(folder, papers, *more):
    named = ("--host", "10.8.0.1", "--organisation", "140105", "--account", "uploader")
    return cli("profile", "add", str(folder), *named, *papers, *more, "--json")


def test_a_profile_is_made_of_the_papers(tmp_path, papers, capsys):
    assert add(tmp_path / "p", papers, "--base-port", "9000", "--trust-domain", "sx.example") == 0
    assert json.loads(capsys.readouterr().out) == {"profile": str(tmp_path / "p")}
    remote = profiles.load(tmp_path / "p").remote
    assert (remote.ports.intake, remote.ports.identity) == (9000, 9003)
    assert remote.server_name == remote.trust_domain == "sx.example"


def test_a_profile_is_not_overwritten(tmp_path, papers, capsys):
    add(tmp_path / "p", papers)
    capsys.readouterr()
    assert add(tmp_path / "p", papers) == 2
    assert json.loads(capsys.readouterr().out)["refused"] == "PROFILE_EXISTS"


def test_a_log_key_that_is_none_is_told_at_once(tmp_path, papers, capsys):
    (tmp_path / "vkey").write_text("no key")
    assert add(tmp_path / "p", papers) == 2
    assert json.loads(capsys.readouterr().out)["refused"] == "KEY_FORM"
