"""Takes each condition of the rooms that move, release and stop exports away in turn, and runs the tests of that room.

By hand, for it takes a quarter of an hour on quiet cores: `PYTHONPATH=$PWD .venv/bin/python -m tests.exports.mutation [MODULE ...]`. What
survives has its reason in survivors.toml. In the run that a mutant is tried in this is a plugin, with the mutant in MUTANT, e.g.
"gateway.exports.stopping 2". What is taken away is what tests/audit/mutation.py takes away.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from types import ModuleType

from tests.audit.mutation import ROOT, Mutant, mutants, path

VARIABLE = "MUTANT"
_DOORS = ("tests/services/test_export_release.py", "tests/attacks/test_export_delivery.py")
# Module -> the tests of what it holds, the quickest first.
TESTS: dict[str, Sequence[str]] = {
    "gateway.exports.stopping": (
        "tests/exports/test_stopping.py",
        "tests/attacks/test_export_owner.py",
    ),
    "gateway.exports.deciding": (
        "tests/exports/test_deciding.py",
        "tests/exports/test_keeping.py",
        "tests/exports/test_building.py",
    ),
    "gateway.exports.moving": (
        "tests/exports/test_moving.py",
        "tests/exports/test_building.py",
        "tests/exports/test_keeping.py",
        "tests/attacks/test_export_owner.py",
    ),
    "gateway.services.export_release": (
        *_DOORS,
        "tests/attacks/test_export_budget.py",
        "tests/attacks/test_export_owner.py",
        "tests/attacks/test_export_interleavings.py",
    ),
}
# Of one mutant's tests; who hangs is noticed, too.
PATIENCE_S = 900
_NOT_HERE = "not slow and not serial and not needs_netns"


def survives(module: str, number: int) -> bool:
    """Return whether the tests of a module are green without one of its conditions."""
    run = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-m", _NOT_HERE]
    run += [
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "-p",
        "tests.exports.mutation",
        *TESTS[module],
    ]
    places = {**os.environ, VARIABLE: f"{module} {number}", "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            run, cwd=ROOT, env=places, capture_output=True, timeout=PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    # Else nothing was tried: no test, or no such plugin.
    assert done.returncode in (0, 1, 2), done.stdout[-2_000:] + done.stderr[-2_000:]
    return done.returncode == 0


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds one module as a mutant has it."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, fullname: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        origin = str(path(fullname))
        return importlib.util.spec_from_loader(fullname, self, origin=origin)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._mutant.tree, str(path(module.__name__)), "exec"), module.__dict__)


def explained() -> dict[tuple[str, str], str]:
    """Module and change of each mutant that nothing can notice, and why."""
    text = (ROOT / "tests/exports/survivors.toml").read_text(encoding="utf-8")
    found = tomllib.loads(text)["survivor"]
    return {(one["module"], one["change"]): one["why"] for one in found}


def main(modules: Sequence[str]) -> int:
    """Try every mutant of these modules; return how many survived without a reason, or fell with one."""
    wrong = 0
    for module in modules or TESTS:
        for number, mutant in enumerate(mutants(module)):
            alive = survives(module, number)
            known = (module, mutant.change) in explained()
            wrong += alive != known
            word = "survives" if alive else "noticed"
            print(word, "?" if alive != known else "", module, mutant.change, flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
if VARIABLE in os.environ:
    _name, _number = os.environ[VARIABLE].split()
    assert _name not in sys.modules
    sys.meta_path.insert(0, _Changed([*mutants(_name)][int(_number)]))
