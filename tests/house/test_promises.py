"""The table of N5 and N6 in docs/promises.md says of every policy on exports which clause it holds, and names tests that exist."""

import re

from gateway.policy import bundle
from gateway.policy.engine import Engine
from tests.house.tree import ROOT

CEDAR = ROOT / "policies/cedar"
PAGE = (ROOT / "docs/promises.md").read_text(encoding="utf-8")
TEST_ID = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
POLICY = re.compile(r"`([FP][0-9]{2}-[a-z-]+)`")
# Of both languages, and in plain words.
LIMITS = "**What is not prevented 无法阻止的.**"
# Whose every policy holds a clause; and the one that lets nobody change them alone.
HOLDING = ("01-floor.cedar", "04-exports.cedar", "05-exports-floor.cedar")
CHANGED_BY_TWO = "P17-policies"
# The notice's own words, and what makes of a consent a consent.
CLAUSES = {
    *("N5 未经省级平台同意不得下载", "N5 不得破解", "N5 不得转至第三方服务器"),
    *("N5 同意的范围", "N5 撤销同意"),
    *("N6 不得提供给其他组织", "N6 不得提供给个人"),
}


def rows() -> list[list[str]]:
    """The cells of the table's rows."""
    return [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in PAGE.splitlines()
        if re.match(r"\| N[56] ", line)
    ]


def ids(*names: str) -> set[str]:
    """The policies of these files, of all without a name."""
    found = bundle.load(CEDAR)
    texts = tuple(each for each in found.policies if not names or each[0] in names)
    return {one.name for one in Engine(bundle.of(found.schema, texts)).policies}


def test_every_policy_on_exports_holds_one_clause_and_every_named_one_exists() -> None:
    named = [name for row in rows() for name in POLICY.findall(row[1])]
    assert len(named) == len(set(named)), "a policy stands for one clause"
    assert set(named) == ids(*HOLDING) | {CHANGED_BY_TWO} & ids()


def test_every_clause_has_policies_and_tests_that_exist() -> None:
    clauses = [row[0].split(":")[0] for row in rows()]
    assert sorted(clauses) == sorted(CLAUSES)
    for clause, policies, tests in rows():
        assert POLICY.findall(policies), clause
        found = TEST_ID.findall(tests)
        assert any(file.startswith("tests/attacks/") for file, _ in found), clause
        for file, function in found:
            text = (ROOT / file).read_text(encoding="utf-8")
            assert not function or re.search(rf"^def {function}\b", text, re.MULTILINE), file


def test_every_attack_on_exports_holds_a_clause() -> None:
    """Whole files of attacks, and the doors' own tests of what is taken, released and cut."""
    named = {file for row in rows() for file, function in TEST_ID.findall(row[2]) if not function}
    held = [*(ROOT / "tests/attacks").glob("test_export_*.py")]
    held += [ROOT / f"tests/services/test_export_{one}.py" for one in ("delivery", "release")]
    assert {str(one.relative_to(ROOT)) for one in held} <= named


def test_what_is_not_prevented_is_said() -> None:
    text = PAGE.split(LIMITS)[1]
    for words in (
        "After release nothing technical remains",
        "two approvers who agree",
        "无法阻止的",
    ):
        assert words in LIMITS + text
    assert "所能阻止" in text
