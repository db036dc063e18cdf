"""One generated child with its doses, and what is known to be wrong with them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from random import Random
from typing import Literal

from gateway.sample.children import Registry
from gateway.v1 import child_pb2 as c
from gateway.v1 import types_pb2 as t
from gateway.v1 import vaccination_pb2 as v

State = Literal["accepted", "flagged", "quarantined", "rejected"]


@dataclass(frozen=True, slots=True)
class Truth:
    """A planted defect: which record, which rules must find it, and what must become of the record.

    `record_id` is the record's own id, for a child its code; `then` is the state after the child
    arrived, where the record waited for it.
    """

    kind: str
    record_id: str
    defect: str
    rules: tuple[str, ...]
    state: State
    then: State | None = None

    def as_json(self) -> Mapping[str, object]:
        """Return the line of truth.jsonl."""
        line: dict[str, object] = {
            "kind": self.kind,
            "record_id": self.record_id,
            "defect": self.defect,
            "rules": list(self.rules),
            "state": self.state,
        }
        return line if self.then is None else {**line, "then": self.then}


@dataclass(slots=True)
class Family:
    """A child's card and doses, both in the order in which they are to be sent.

    `late`: the card is sent after the doses. `second_card`: another card of the same child.
    """

    unit: t.Unit
    born: date
    as_of: date
    child: c.Child
    doses: list[v.Vaccination]
    late: bool = False
    second_card: c.Child | None = None
    truth: list[Truth] = field(default_factory=list)

    def dose_found(self, dose: v.Vaccination, defect: str, rule: str, state: State) -> None:
        """Note a defect of a dose."""
        self.truth.append(Truth("vaccination", dose.record_id, defect, (rule,), state))


@dataclass(frozen=True, slots=True)
class Case:
    """A family into which a defect is to be planted, and what that may take."""

    rng: Random
    registry: Registry
    family: Family
