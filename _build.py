"""Part of the build: puts policies/ and certs/ into the wheel as gateway/_data/.

A checkout (and an editable install) reads the two folders at the top level instead.
"""

import shutil
from pathlib import Path

from setuptools.command.build_py import build_py

FOLDERS = ("policies", "certs")


class BuildWithData(build_py):
    """The ordinary build, and the two data folders."""

    def run(self) -> None:
        """Build the package, then copy the data beside it; never in an editable build."""
        super().run()
        if self.editable_mode:
            return
        here = Path(__file__).parent
        for folder in FOLDERS:
            target = Path(self.build_lib) / "gateway" / "_data" / folder
            shutil.copytree(here / folder, target, dirs_exist_ok=True)
