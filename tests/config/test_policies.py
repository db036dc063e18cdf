import hashlib
import os
import shutil
import subprocess

import pytest

from gateway.config import policies
from gateway.config.policies import digest, load_limits, load_policies, shipped
from gateway.config.settings import SettingsError


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(shipped("policies"), tmp_path / "policies")


def test_the_shipped_policies_load(folder) -> None:
    loaded = load_policies(folder)
    assert loaded.folder == folder
    assert loaded.sha256 == digest(shipped("policies"))
    assert loaded.limits.streams.window == 8
    assert loaded.limits.messages.hard_bytes == 16 * 1024 * 1024


def test_every_file_that_an_update_brought_is_named_and_where_it_is_copied_from(folder) -> None:
    for name in ("rotation.toml", "activation.toml"):
        (folder / name).unlink()
    with pytest.raises(SettingsError) as error:
        load_policies(folder)
    assert str(shipped("policies")) in str(error.value)
    assert str(error.value).endswith("rotation.toml, activation.toml")
    for name in ("rotation.toml", "activation.toml"):
        shutil.copy(shipped("policies") / name, folder)
    assert load_policies(folder).sha256 == digest(shipped("policies"))


def test_the_digest_is_that_of_common_tools(folder) -> None:
    (folder / "名 with space").write_text("x")
    names = subprocess.run(
        ["find", "-type", "f", "-printf", r"%P\n"], cwd=folder, capture_output=True, check=True
    )
    listed = sorted(names.stdout.splitlines())
    lines = b"".join(
        hashlib.sha256((folder / os.fsdecode(name)).read_bytes()).hexdigest().encode()
        + b"  "
        + name
        + b"\n"
        for name in listed
    )
    assert digest(folder) == hashlib.sha256(lines).hexdigest()


def test_every_byte_and_name_counts(folder) -> None:
    seen = {digest(folder)}
    limits = folder / "limits.toml"
    limits.write_text(limits.read_text() + "\n")
    seen.add(digest(folder))
    limits.rename(folder / "renamed.toml")
    seen.add(digest(folder))
    (folder / "new").touch()
    seen.add(digest(folder))
    assert len(seen) == 4


def test_what_is_no_plain_file_is_refused(folder) -> None:
    (folder / "link").symlink_to("limits.toml")
    with pytest.raises(SettingsError, match="neither a plain file nor a folder"):
        digest(folder)
    with pytest.raises(SettingsError, match="no such folder"):
        digest(folder / "absent")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("per_peer = 64", "per_peer = 0", "connections.per_peer: must be above 0"),
        ("per_peer = 64", "per_peers = 64", "connections.per_peers: unknown key"),
        ("window = 8", "", "streams.window: missing"),
        ("window = 8", "window = 8.5", "streams.window: must be int"),
    ],
)
def test_a_wrong_limit_is_named(folder, old, new, complaint) -> None:
    path = folder / "limits.toml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SettingsError, match=complaint):
        load_limits(path)


def test_a_wheel_has_them_inside(monkeypatch, tmp_path) -> None:
    packed = tmp_path / "gateway" / "_data" / "policies"
    packed.mkdir(parents=True)
    monkeypatch.setattr(policies, "_PACKAGE", tmp_path / "gateway")
    assert shipped("policies") == packed
    assert shipped("certs") == tmp_path / "certs"
