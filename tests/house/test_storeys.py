import subprocess
import sys
import tomllib

from tests.house.tree import ROOT, rooms

LAYERS = next(
    contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    if contract["id"] == "storeys"
)["layers"]


def listed() -> dict[str, bool]:
    """Room -> whether it stands as one without files yet."""
    names = [part.strip() for layer in LAYERS for part in layer.split("|")]
    return {name.strip("()"): name.startswith("(") for name in names}


def test_the_contracts_are_kept():
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_room_in_brackets_has_no_files_and_every_other_room_has():
    assert {name for name, optional in listed().items() if not optional} == rooms()
