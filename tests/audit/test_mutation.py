"""No check of the verifier can be taken away unnoticed: each mutant is red in a case, or explained in survivors.toml."""

import itertools
import tomllib
from pathlib import Path

import pytest

from tests.audit import mutation, outer_cases
from tests.audit.cases import Case, every, large, outcome

EXPLAINED = tomllib.loads((Path(__file__).parent / "survivors.toml").read_text(encoding="utf-8"))[
    "survivor"
]
# Mutants of one module that one test takes, so that none is long.
PART = 20
PARTS = [
    (module, part)
    for module in mutation.MODULES
    for part in range(-(-len([*mutation.mutants(module)]) // PART))
]
Answers = list[tuple[Case, str]]
# Some fifty seconds of one core for all of them; a busy machine has others to serve.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """Every case with what the untouched verifier says."""
    whole, root, count = mutation.load(), tmp_path_factory.mktemp("cases"), itertools.count()
    around = outer_cases.every(lambda: root / f"around{next(count)}")
    return [(one, outcome(one, whole)) for one in (*every(root), *around)]


def survives(mutant: mutation.Mutant, answers: Answers, root: Path) -> bool:
    try:
        changed = mutation.load(mutant)
    except Exception:  # noqa: BLE001  a module that cannot be imported is red
        return False
    ordered = sorted(answers, key=lambda one: one[0].about != mutant.module)
    if any(outcome(case, changed) != right for case, right in ordered):
        return False
    return mutant.module != "gateway.audit.verify" or outcome(large(root), changed) == outcome(
        large(root), mutation.load()
    )


@pytest.mark.parametrize(("module", "part"), PARTS)
def test_each_check_taken_away_is_noticed(
    module: str, part: int, answers: Answers, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.getbasetemp()
    some = [*mutation.mutants(module)][part * PART : (part + 1) * PART]
    survivors = {one.change for one in some if survives(one, answers, root)}
    known = {one["change"] for one in EXPLAINED if one["module"] == module and one["why"]}
    assert survivors == known & {one.change for one in some}


def test_what_is_explained_is_a_mutant() -> None:
    for one in EXPLAINED:
        assert one["change"] in {each.change for each in mutation.mutants(one["module"])}, one
    assert len(EXPLAINED) < sum(len([*mutation.mutants(each)]) for each in mutation.MODULES) / 15


def test_the_cases_pass_untouched_in_modules_of_their_own(answers: Answers) -> None:
    """What a mutant says is compared with the same; nothing in an answer changes from run to run."""
    again = mutation.load()
    assert [case.name for case, right in answers if outcome(case, again) != right] == []
    assert len(answers) > 500
