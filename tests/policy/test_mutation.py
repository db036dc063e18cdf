"""Every part of every policy is needed by a case: each mutant is killed."""

from gateway.config.policies import shipped
from gateway.policy import bundle, cases, mutation
from gateway.policy.cases import Cases
from gateway.policy.engine import Engine

CEDAR = shipped("policies") / "cedar"
ENGINE = Engine(bundle.load(CEDAR))
CASES = cases.load(CEDAR)


def test_no_part_of_any_policy_can_go_unnoticed() -> None:
    mutants = mutation.run(ENGINE, CASES)
    assert [(one.policy, one.change) for one in mutants if not one.killed_by] == []
    assert {one.policy for one in mutants if one.change == "removed"} == {
        one.name for one in ENGINE.policies
    }
    assert len(mutants) > 4 * len(ENGINE.policies)


def test_a_survivor_is_found() -> None:
    fewer = Cases(
        CASES.organisation,
        tuple(case for case in CASES.case if "P02-upload-delegated" not in case.policies),
    )
    survivors = {
        (one.policy, one.change) for one in mutation.run(ENGINE, fewer) if not one.killed_by
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
        "condition 1: left of && alone",
        "condition 1: right of && alone",
        "condition 1: left of || alone",
        "condition 1: right of || alone",
        "condition 1: set without element 1",
        "condition 1: set without element 2",
        "condition 2 removed",
        "condition 2: left of && alone",
        "condition 2: right of && alone",
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
        "condition 1: set without element 1",
        "condition 1: set without element 2",
        "condition 1: left of && alone",
        "condition 1: right of && alone",
    ]
