"""The policies as they lie in HOME, beside those in force: people read files, doors the database.

What lies there is in force, or was before (the supervisor exchanges the files a moment after an
activation). Anything else is refused, though it would not count: somebody believes that it does.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from gateway.config.home import Home
from gateway.policy import activation, bundle
from gateway.policy.activation import Active
from gateway.policy.bundle import BundleError
from gateway.store.database import Transaction

# Beside the folder that is exchanged, on its file system and outside of the policies' digest.
NEXT, LAST = "cedar.next", "cedar.last"
_FILE, _FOLDER = 0o644, 0o755
# Both languages: a process that does not start has no reader of its own.
_CHANGED = (
    "{folder}: bundle {found} is not in force and never was. Put the files back, or propose them"
    " with 'gateway policy propose {home} FOLDER' for two security officers to sign."
    " 磁盘上的策略从未生效：请恢复原文件，或用上述命令提交，由两名安全管理员签名后生效。"
)


def folder(home: Home) -> Path:
    """Return where the Cedar policies of a HOME lie."""
    return home.policies / "cedar"


async def require(tx: Transaction, home: Home) -> None:
    """Pass a HOME whose files are in force, or were; raises BundleError."""
    lying = bundle.load(folder(home)).sha256
    if not await activation.was_active(tx, lying):
        raise BundleError(_CHANGED.format(folder=folder(home), found=lying, home=home.root))


def mend(home: Home) -> None:
    """Clear up after an exchange that broke off: where no folder lies, the old one is put back."""
    last = home.root / LAST
    if last.is_dir() and not folder(home).exists():
        last.rename(folder(home))
    for left in (home.root / NEXT, last):
        shutil.rmtree(left, ignore_errors=True)


def exchange(home: Home, current: Active) -> bool:
    """Put the files of what is in force in their place; return whether others lay there.

    1 the new folder is written whole beside the old one, 2 the old one is put aside, 3 the new one
    takes its place. Between 2 and 3 none lies there, which `mend` repairs. Raises OSError.
    """
    if bundle.files(folder(home)) == dict(current.files):
        return False
    following, last = home.root / NEXT, home.root / LAST
    for left in (following, last):
        shutil.rmtree(left, ignore_errors=True)
    _write(following, current.files)  # 1
    folder(home).rename(last)  # 2
    following.rename(folder(home))  # 3
    shutil.rmtree(last)
    return True


def _write(target: Path, files: Mapping[str, str]) -> None:
    target.mkdir(mode=_FOLDER)
    target.chmod(_FOLDER)
    for name, text in files.items():
        path = target / name
        path.parent.mkdir(mode=_FOLDER, exist_ok=True)
        path.parent.chmod(_FOLDER)
        path.write_text(text, encoding="utf-8")
        path.chmod(_FILE)
