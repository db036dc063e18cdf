"""Do the cases guard the policies? Each part is taken away in turn; a case must then fail.

Green cases alone prove little: in a first trial, 24 of 58 conditions could go unnoticed.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.policy import cases
from gateway.policy.cases import Cases
from gateway.policy.engine import Document, Engine

_ANY = {"op": "All"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """Policies with one thing changed: which policy, what, and the cases that then fail."""

    policy: str
    change: str
    killed_by: tuple[str, ...]


def run(engine: Engine, against: Cases) -> list[Mutant]:
    """Return every mutant of the engine's policies.

    One that no case kills shows what the cases do not guard.
    """
    found = []
    for name, change, document in mutants(engine.document()):
        failures = cases.failing(Engine(engine.bundle, document), against)
        found.append(Mutant(name, change, tuple(failure.case.name for failure in failures)))
    return found


def mutants(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Yield (policy's @id, what was changed, the changed policies)."""
    for key, policy in document["staticPolicies"].items():
        name = policy["annotations"]["id"]
        without = copy.deepcopy(document)
        del without["staticPolicies"][key]
        yield name, "removed", without
        for change, changed in _of_policy(policy):
            other = copy.deepcopy(document)
            other["staticPolicies"][key] = changed
            yield name, change, other


def _of_policy(policy: Document) -> Iterator[tuple[str, Document]]:
    for part in ("principal", "action", "resource"):
        if policy[part] != _ANY:
            yield f"any {part}", {**policy, part: _ANY}
    entities = policy["action"].get("entities", [])
    for place, entity in enumerate(entities):
        others = [*entities[:place], *entities[place + 1 :]]
        yield (
            f"action without {entity['id']}",
            {**policy, "action": {**policy["action"], "entities": others}},
        )
    conditions = policy["conditions"]
    for place, condition in enumerate(conditions):
        before, after = conditions[:place], conditions[place + 1 :]
        yield f"condition {place + 1} removed", {**policy, "conditions": [*before, *after]}
        for change, body in _of_expression(condition["body"]):
            changed = [*before, {**condition, "body": body}, *after]
            yield f"condition {place + 1}: {change}", {**policy, "conditions": changed}


def _of_expression(node: object) -> Iterator[tuple[str, object]]:
    """Yield the expression with one operand of && or ||, or one element of a set, left out."""
    if isinstance(node, list):
        for place, value in enumerate(node):
            for change, new in _of_expression(value):
                yield change, [*node[:place], new, *node[place + 1 :]]
    elif isinstance(node, dict):
        for operator in ("&&", "||"):
            if operator in node:
                yield f"left of {operator} alone", node[operator]["left"]
                yield f"right of {operator} alone", node[operator]["right"]
        elements = node.get("Set", [])
        for place in range(len(elements)):
            yield (
                f"set without element {place + 1}",
                {"Set": [*elements[:place], *elements[place + 1 :]]},
            )
        for key, value in node.items():
            for change, new in _of_expression(value):
                yield change, {**node, key: new}
