"""Each prerequisite, broken one at a time, is found by its name."""

import shutil
import socket
from pathlib import Path

import pytest

from gateway.cli import prerequisites
from gateway.cli.prerequisites import of_home, of_host, of_profile
from gateway.client import kept_secret, papers, renewal
from gateway.client.kept_secret import Kept
from gateway.client.renewal import Renewal
from gateway.client.secret import Secret
from gateway.clock import SYSTEM
from gateway.config.home import Home
from gateway.config.settings import load
from gateway.store import tools


@pytest.fixture
def home(founded: Home, tmp_path: Path) -> Home:
    """A copy that a test may break; its database stays behind."""
    ignored = shutil.ignore_patterns("database", "run")
    copy = Home(tmp_path / "home")
    shutil.copytree(founded.root, copy.root, ignore=ignored)
    return copy


def bad(findings) -> set[str]:
    return {one.check for one in findings if one.state == "bad"}


def test_this_host_is_fit(monkeypatch) -> None:
    assert bad(of_host()) == set()
    monkeypatch.setattr(prerequisites, "_EARLIEST_US", 2**62)
    monkeypatch.setattr(prerequisites, "_MINIMUM_PYTHON", (9, 0))
    monkeypatch.setattr(tools, "_INSTALL", "none")
    assert bad(of_host()) == {"clock", "python", "programs"}


def test_a_home_is_judged(home: Home, monkeypatch) -> None:
    (home.secrets("intake") / "blind-index.key").chmod(0o644)
    home.logs.chmod(0o777)
    monkeypatch.setattr(prerequisites, "_FREE_BYTES", 2**62)
    found = bad(of_home(home))
    assert {"secret", "folder", "disk"} <= found


def test_settings_that_cannot_be_read_end_it(home: Home) -> None:
    home.settings.write_text("unknown = 1")
    assert bad(of_home(home)) == {"settings"}


def test_policies_that_lack_something_of_this_version_are_named(home: Home) -> None:
    assert "policies" not in bad(of_home(home))
    cedar = home.policies / "cedar"
    rules = (cedar / "exports.toml").read_text()
    for name, text, said in (
        ("exports.toml", None, "gateway policy propose"),
        ("exports.toml", rules.replace("needed = 2", "needed = 1"), "approvals.needed"),
        ("05-exports-floor.cedar", "permit (", "not Cedar"),
    ):
        before = (cedar / name).read_text()
        (cedar / name).unlink() if text is None else (cedar / name).write_text(text)
        told = [str(one.about["why"]) for one in of_home(home) if one.check == "policies"]
        (cedar / name).write_text(before)
        assert said in told[0]
    (home.policies / "exports.toml").write_text(rules)
    [finding] = [one for one in of_home(home) if one.check == "policies"]
    assert (finding.state, "counts no more" in str(finding.about["why"])) == ("bad", True)


def test_a_port_that_is_taken_is_named(founded: Home) -> None:
    own = load(founded.settings)
    with socket.create_server(("127.0.0.1", own.ports.intake)):
        ports = [one.about["port"] for one in of_home(founded) if one.check == "port"]
    assert ports == [own.ports.intake]


def test_a_profile_is_judged_and_its_gateway_looked_for(founded: Home, tmp_path) -> None:
    found = list(of_profile(founded.admin_profile))
    assert [one.state for one in found if one.check == "profile"] == ["good"]
    doors = [one for one in found if one.check == "door"]
    assert {one.state for one in doors} == {"bad"}
    own = load(founded.settings)
    with socket.create_server(("127.0.0.1", own.ports.intake)):
        reached = [one for one in of_profile(founded.admin_profile) if one.check == "door"]
    assert [one.about["door"] for one in reached if one.state == "good"] == ["intake"]
    assert bad(of_profile(tmp_path)) == {"profile"}


def test_a_profiles_certificate_is_judged_by_age_and_renewals(founded: Home, tmp_path) -> None:
    folder = tmp_path / "profile"
    shutil.copytree(founded.admin_profile, folder)

    def told() -> dict[str, str]:
        return {one.check: one.state for one in of_profile(folder) if one.check != "door"}

    assert told() == {"profile": "good", "own": "good"}
    certificate = papers.read((folder / "certificate.pem").read_bytes())
    kept = Renewal.of(certificate).told((1, 2), SYSTEM.now_us())
    for state in ("good", "note", "bad"):
        renewal.save(folder, kept)
        assert told()["renewal"] == state
        kept = kept.failed(SYSTEM.now_us())
    (folder / "certificate.pem").write_text("none")
    assert told() == {"profile": "good", "papers": "bad"}


def test_a_service_accounts_kept_secret_is_judged_by_its_rotations(founded: Home, tmp_path) -> None:
    folder = tmp_path / "profile"
    shutil.copytree(founded.admin_profile, folder)

    def told() -> str:
        return {one.check: one.state for one in of_profile(folder)}.get("own-secret", "")

    assert told() == ""
    kept = Kept(Secret("x")).told((1, 2), 0)
    for state in ("good", "note", "bad"):
        kept_secret.save(folder, kept)
        assert told() == state
        kept = kept.failed("STORE_AWAY", 0)
    kept_secret.save(folder, Kept(Secret("x")).failed("SECRET_REPLACED", 0))
    assert told() == "bad"
    kept_secret.journal(folder).write_text("{")
    assert told() == "bad"
