"""Do the cases guard the policies? Each part is taken away in turn; a case must then fail.

Green cases alone prove little: in a first trial, 24 of 58 conditions could go unnoticed. A part
whose loss nothing can notice is explained in survivors.toml, beside the policies.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.config import strict
from gateway.policy import cases
from gateway.policy.bundle import BundleError
from gateway.policy.cases import Case, Cases
from gateway.policy.engine import Document, Engine, Prepared

SURVIVORS_FILE = "survivors.toml"
_ANY = {"op": "All"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """Policies with one thing changed: which policy, what, and a case that then fails.

    `killed_by` is "" where nobody notices.
    """

    policy: str
    change: str
    killed_by: str


@dataclass(frozen=True, slots=True)
class Explained:
    """A mutant that may survive, and why nothing can notice it."""

    policy: str
    change: str
    why: str


@dataclass(frozen=True, slots=True)
class Survivors:
    """All of survivors.toml."""

    survivor: tuple[Explained, ...] = ()


def explained(folder: Path) -> frozenset[tuple[str, str]]:
    """Return the (policy, change) that a folder explains, none without the file.

    Raises BundleError.
    """
    path = folder / SURVIVORS_FILE
    if not path.is_file():
        return frozenset()
    try:
        found = strict.build(Survivors, strict.read(path), f"{path.name}: ")
    except strict.SettingsError as error:
        raise BundleError(str(error)) from error
    return frozenset((one.policy, one.change) for one in found.survivor if one.why)


def run(engine: Engine, against: Cases) -> list[Mutant]:
    """Return every mutant of the engine's policies.

    One that no case kills shows what the cases do not guard.
    """
    asked = cases.prepared(engine, against)
    return [
        Mutant(name, change, _killer(engine.varied(document), name, asked))
        for name, change, document in mutants(engine.document())
    ]


def _killer(variant: Engine, policy: str, asked: Sequence[tuple[Case, Prepared]]) -> str:
    """Return the first case found to fail.

    Those that name the changed policy notice most; a forbid that became wider, what was allowed.
    """
    hopeful = sorted(asked, key=lambda each: (policy not in each[0].policies, not each[0].allowed))
    failure = next(cases.failures(variant, hopeful), None)
    return "" if failure is None else failure.case.name


def mutants(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Yield (policy's @id, what was changed, the changed policies); they share what is the same."""
    static = document["staticPolicies"]
    for key, policy in static.items():
        name = policy["annotations"]["id"]
        others = {other: text for other, text in static.items() if other != key}
        yield name, "removed", {**document, "staticPolicies": others}
        for change, changed in _of_policy(policy):
            yield name, change, {**document, "staticPolicies": {**static, key: changed}}


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
        for number, (change, body) in enumerate(_of_expression(condition["body"]), 1):
            changed = [*before, {**condition, "body": body}, *after]
            told = f"condition {place + 1}, part {number}: {change}"
            yield told, {**policy, "conditions": changed}


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
