import re

import pytest

from tests.house.tree import ROOT


@pytest.mark.parametrize("lock", ["runtime", "dev", "hsm", "envoy", "parquet"])
def test_the_lock_names_no_host_and_every_package_has_hashes(lock):
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    for word in ("://", "--index", "--find-links", "--extra", "--trusted", " @ "):
        assert word not in text
    entries = [
        entry for entry in re.split(r"\n(?=\S)", text) if entry and not entry.startswith("#")
    ]
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+(\[[a-z0-9,]+\])?==", entry), entry.splitlines()[0]
        assert "--hash=sha256:" in entry


def test_every_requirement_is_locked_and_reasoned():
    locked = (ROOT / "requirements" / "dev.txt").read_text().lower()
    reasons = (ROOT / "docs/decisions/0002-dependencies.md").read_text()
    for listing in ("runtime", "dev"):
        for line in (ROOT / "requirements" / f"{listing}.in").read_text().splitlines():
            if not line or line.startswith(("#", "-r")):
                continue
            name = re.match(r"[A-Za-z0-9_-]+", line)[0]
            assert f"\n{name.lower()}==" in "\n" + locked
            assert f"`{name}`" in reasons, (
                f"docs/decisions/0002-dependencies.md does not say why {name}"
            )
