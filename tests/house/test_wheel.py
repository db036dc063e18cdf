"""What the wheel carries: everything a machine without a checkout needs."""

import subprocess
import sys

from tests.house.tree import ROOT


def listing(folder):
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_build_takes_policies_certs_schema_and_texts_along(tmp_path):
    code = "import setuptools; setuptools.setup()"
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        code,
        "-q",
        "egg_info",
        "--egg-base",
        tmp_path,
        "build_py",
        "--build-lib",
        tmp_path / "lib",
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)
    built = tmp_path / "lib/gateway"
    for folder in ("policies", "certs"):
        assert listing(built / "_data" / folder) == listing(ROOT / folder)
    missing = listing(ROOT / "gateway") - listing(built)
    assert missing == set()
