import hashlib
import re
from dataclasses import fields, is_dataclass, replace

import pytest

from gateway.audit.event import Event
from gateway.config import loaded, policies
from gateway.config.settings import FrontSettings, Settings


def test_every_setting_that_changes_shows_itself():
    seen = {loaded.settings_sha256(Settings())}
    assert seen == {loaded.settings_sha256(Settings())}

    def walk(value, change):
        """Change each plain value, however deep, one at a time."""
        for field in fields(value):
            old = getattr(value, field.name)
            if is_dataclass(old):
                walk(old, lambda new, n=field.name: change(replace(value, **{n: new})))
                continue
            new = {str: "x", float: 1.25, int: 7, bool: True, tuple: ("x",)}[type(old)]
            found = loaded.settings_sha256(change(replace(value, **{field.name: new})))
            assert found not in seen, field.name
            seen.add(found)

    walk(Settings(), lambda new: new)
    assert len(seen) > 25
    # What the file says explicitly and what is so by itself is the same.
    assert loaded.settings_sha256(Settings(front=FrontSettings())) in seen


def test_each_file_is_told_and_together_they_are_the_digest():
    folder = policies.shipped("policies")
    found = policies.load_policies(folder)
    told = loaded.files(folder)
    named = dict(one.split("=") for one in told["policy_files"].split(" "))
    assert set(named) == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    }
    lines = "".join(f"{sha256}  {name}\n" for name, sha256 in named.items())
    assert hashlib.sha256(lines.encode()).hexdigest() == found.sha256
    detail = {**loaded.digests(Settings(), found), **told}
    assert Event(kind="process.started", detail=detail).to_leaf(1)


@pytest.mark.parametrize("name", ["说明.md", "README", "a b", "14010520190101123.toml", "x" * 65])
def test_a_name_that_no_leaf_may_hold_is_told_by_its_digest(tmp_path, name):
    (tmp_path / name).write_text("x")
    told = loaded.files(tmp_path)
    assert re.fullmatch(r"other-[0-9a-f]{16}=[0-9a-f]{64}", told["policy_files"])
    assert name not in told["policy_files"]


def test_too_many_files_are_left_to_the_digest_of_all(tmp_path, monkeypatch):
    monkeypatch.setattr(loaded, "FILES_MAX", 2)
    for name in ("a", "b"):
        (tmp_path / name).write_text("x")
    assert loaded.files(tmp_path)["policy_files"].count("=") == 2
    (tmp_path / "c").write_text("x")
    assert loaded.files(tmp_path) == {}
