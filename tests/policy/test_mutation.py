"""Every part of every policy is needed by a case: each mutant is killed."""

from pathlib import Path

import pytest

from gateway.config.policies import shipped
from gateway.policy import bundle, cases, mutation
from gateway.policy.bundle import BundleError
from gateway.policy.cases import Cases
from gateway.policy.engine import Engine

CEDAR = shipped("policies") / "cedar"
ENGINE = Engine(bundle.load(CEDAR))
CASES = cases.load(CEDAR)


def test_no_part_of_any_policy_can_go_unnoticed() -> None:
    """What survives is explained, and what is explained survives."""
    mutants = mutation.run(ENGINE, CASES)
    survivors = {(one.policy, one.change) for one in mutants if not one.killed_by}
    assert survivors == mutation.explained(CEDAR)
    assert len(survivors) < len(mutants) / 50
    assert {one.policy for one in mutants if one.change == "removed"} == {
        one.name for one in ENGINE.policies
    }
    assert len(mutants) > 4 * len(ENGINE.policies)


def test_a_survivor_is_found() -> None:
    """Of the records' policies alone, without the cases of one of them."""
    texts = tuple(each for each in ENGINE.bundle.policies if each[0] == "02-records.cedar")
    engine = Engine(bundle.of(ENGINE.bundle.schema, texts))
    own = {one.name for one in engine.policies} | {"default-deny"}
    judged = [case for case in CASES.case if set(case.policies) <= own]
    judged = [
        case for case in judged if cases.failing(engine, Cases(CASES.organisation, (case,))) == []
    ]
    assert not [
        one.change
        for one in mutation.run(engine, Cases(CASES.organisation, tuple(judged)))
        if not one.killed_by
    ]
    fewer = [case for case in judged if "P02-upload-delegated" not in case.policies]
    survivors = {
        (one.policy, one.change)
        for one in mutation.run(engine, Cases(CASES.organisation, tuple(fewer)))
        if not one.killed_by
    }
    assert ("P02-upload-delegated", "removed") in survivors


def test_a_blanket_permit_leaves_the_forbids_standing() -> None:
    text = '@id("P99") @says("x") @says_zh("y") permit (principal, action, resource);'
    wide = Engine(bundle.of(ENGINE.bundle.schema, (*ENGINE.bundle.policies, ("99.cedar", text))))
    forbidden = [case for case in CASES.case if case.policies[0].startswith("F")]
    assert len(forbidden) > 10
    assert cases.failing(wide, Cases(CASES.organisation, tuple(forbidden))) == []


def test_changes_are_told_by_name() -> None:
    schema = "entity A; entity B; action go, stop appliesTo { principal: A, resource: B, context: { x: Bool, y: Bool, z: String } };"
    text = (
        '@id("P1") @says("x") @says_zh("y") permit (principal == A::"a", action in [Action::"go", Action::"stop"], resource)'
        ' when { context.x && (context.y || ["p", "q"].contains(context.z)) } unless { !(context.x && context.y) };'
    )
    document = Engine(bundle.of(schema, (("a", text),))).document()
    before = Engine(bundle.of(schema, (("a", text),))).document()
    changes = [change for _, change, _ in mutation.mutants(document)]
    assert document == before
    assert changes == [
        "removed",
        "any principal",
        "any action",
        "action without go",
        "action without stop",
        "condition 1 removed",
        "condition 1, part 1: left of && alone",
        "condition 1, part 2: right of && alone",
        "condition 1, part 3: left of || alone",
        "condition 1, part 4: right of || alone",
        "condition 1, part 5: set without element 1",
        "condition 1, part 6: set without element 2",
        "condition 2 removed",
        "condition 2, part 1: left of && alone",
        "condition 2, part 2: right of && alone",
    ]


def test_changes_reach_into_sets() -> None:
    schema = "entity A; entity B; action go appliesTo { principal: A, resource: B, context: { x: Bool, y: Bool } };"
    text = (
        '@id("P1") @says("x") @says_zh("y") permit (principal, action, resource)'
        " when { [context.x && context.y, true].contains(context.y) };"
    )
    document = Engine(bundle.of(schema, (("a", text),))).document()
    assert [change for _, change, _ in mutation.mutants(document)] == [
        "removed",
        "condition 1 removed",
        "condition 1, part 1: set without element 1",
        "condition 1, part 2: set without element 2",
        "condition 1, part 3: left of && alone",
        "condition 1, part 4: right of && alone",
    ]


def test_who_explains_says_why(tmp_path: Path) -> None:
    assert mutation.explained(tmp_path) == frozenset()
    path = tmp_path / "survivors.toml"
    entry = '[[survivor]]\npolicy = "P1"\nchange = "removed"\nwhy = "%s"\n'
    path.write_text(entry % "it repeats P2" + entry.replace("P1", "P3") % "")
    assert mutation.explained(tmp_path) == {("P1", "removed")}
    path.write_text("[[survivor]]\npolicy = 1\n")
    with pytest.raises(BundleError, match=r"survivors\.toml: survivor"):
        mutation.explained(tmp_path)
