"""The files of a HOME follow what is in force; those that never were are refused, and left."""

import shutil
from pathlib import Path

import pytest

from gateway.config.home import Home
from gateway.policy import bundle, disk
from gateway.policy.activation import Active
from gateway.policy.bundle import BundleError
from tests.policies import CEDAR, SHIPPED, changed
from tests.policy.test_activation import Hand, in_a_world


@pytest.fixture
def home(tmp_path: Path) -> Home:
    shutil.copytree(CEDAR, tmp_path / "policies" / "cedar")
    return Home(tmp_path)


def active(files: dict[str, str]) -> Active:
    return Active(2, bundle.of_files(files), 0, files)


def test_an_exchange_puts_all_files_in_their_place(home: Home) -> None:
    assert not disk.exchange(home, active(SHIPPED))
    new = changed() | {"cases/99.toml": ""}
    del new["cases/01-floor.toml"]
    assert disk.exchange(home, active(new))
    assert bundle.files(disk.folder(home)) == new
    assert sorted(path.name for path in home.root.iterdir()) == ["policies"]
    modes = {path.stat().st_mode & 0o777 for path in disk.folder(home).rglob("*")}
    assert modes == {0o644, 0o755}
    assert not disk.exchange(home, active(new))


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_crash_at_any_step_leaves_the_old_files_or_the_new(
    home: Home, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    new, renames = changed(), []
    rename = Path.rename

    def dying(path: Path, target: Path) -> Path:
        renames.append(path)
        if len(renames) == step:
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", dying)
        if step == 3:
            patch.setattr(shutil, "rmtree", dying_at(3))
        with pytest.raises(KeyboardInterrupt):
            disk.exchange(home, active(new))
    disk.mend(home)
    assert sorted(path.name for path in home.root.iterdir()) == ["policies"]
    assert bundle.files(disk.folder(home)) in (SHIPPED, new)
    disk.exchange(home, active(new))
    assert bundle.files(disk.folder(home)) == new
    assert sorted(path.name for path in home.root.iterdir()) == ["policies"]


def dying_at(calls: int):
    """rmtree that dies at its n-th call: two clear the way, the third takes the old files."""
    real, seen = shutil.rmtree, []

    def tree(path: Path, **given: object) -> None:
        seen.append(path)
        if len(seen) == calls:
            raise KeyboardInterrupt
        real(path, **given)

    return tree


def test_files_that_never_were_in_force_are_refused(cluster, home: Home) -> None:
    async def work(world):
        await Hand(world)(disk.require, home)
        path = disk.folder(home) / "01-floor.cedar"
        path.write_text(changed()["01-floor.cedar"])
        with pytest.raises(BundleError, match=r"never was.*gateway policy propose .*从未生效"):
            await Hand(world)(disk.require, home)

    in_a_world(cluster, work)
