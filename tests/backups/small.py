"""A small disk at a folder, for tests that fill it: a tmpfs; only root mounts one."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small(folder: Path, size: str) -> Iterator[None]:
    """What the folder holds meanwhile is gone afterwards."""
    words = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0711", "none", str(folder)]
    subprocess.run(words, check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
