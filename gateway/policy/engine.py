"""`decide()`: where Cedar runs, and the guard against the five ways in which it fails open.

Cedar skips a policy that errs, so a forbid that errs forbids nothing. Hence, allowed means: the
decision is Allow, and there was no error, and schema and policies were validated, and the entities
were built with the schema (cedar-policy/cedar #2428 and docs.cedarpolicy.com, "validation"; each
way has its test). Arithmetic can overflow and then skips a forbid: it is refused on compiling.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cedarpy

from gateway import log
from gateway.policy import facts
from gateway.policy.bundle import Bundle, BundleError
from gateway.policy.request import Request

DEFAULT_DENY = "default-deny"
ERROR = "policy-error"
# A province has some 3,000 units, each uploaded for by two or three organisations. A remembered
# decision takes some 830 bytes: 14 MB in all.
REMEMBERED = 16_384
# Operators and functions of Cedar's JSON form that can overflow.
_OVERFLOWING = frozenset({"+", "-", "*", "neg", "offset", "durationSince"})
_ANNOTATIONS = ("id", "says", "says_zh")
# A policy set in Cedar's JSON form: {"staticPolicies": {name: {effect, scope, conditions,
# annotations}}, …}.
Document = dict[str, Any]  # Any: JSON


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether it is allowed, the @ids of the policies that decided, and the bundle's SHA-256.

    `error` is what went wrong where the one policy is ERROR, else "".
    """

    allowed: bool
    policies: tuple[str, ...]
    bundle: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as people read it: @id, permit or forbid, and what it says in both languages."""

    name: str
    effect: str
    english: str
    chinese: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request as Cedar takes it; `error` says why the schema refuses it, else ""."""

    asked: Mapping[str, object]
    entities: cedarpy.Entities | None
    error: str = ""


class Engine:
    """A compiled bundle; decisions depend on the request's value alone and are remembered."""

    def __init__(self, bundle: Bundle) -> None:
        """Compile and validate; raises BundleError naming the policy that is at fault."""
        try:
            document = json.loads(cedarpy.policies_to_json_str(bundle.text))
            self._schema = cedarpy.Schema.from_str(bundle.schema)
            self._policies = cedarpy.PolicySet.from_json_str(json.dumps(document))
        except ValueError as error:
            msg = f"not Cedar: {error}"
            raise BundleError(msg) from error
        self.bundle = bundle
        self.policies = tuple(_inspect(document))
        validation = cedarpy.validate_policies(bundle.text, self._schema)
        if not validation.validation_passed:
            raise BundleError("; ".join(str(error) for error in validation.errors))
        self._json = json.dumps(document)
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._judge)

    def varied(self, document: Document) -> "Engine":
        """Return an engine of changed policies, taken unvalidated: for `mutation` alone."""
        other = copy.copy(self)
        other._policies = cedarpy.PolicySet.from_json_str(json.dumps(document))  # noqa: SLF001  ours
        other._remembered = lru_cache(maxsize=REMEMBERED)(other._judge)  # noqa: SLF001  ours
        return other

    def document(self) -> Document:
        """Return the policies in Cedar's JSON form; the caller's own copy."""
        copied: Document = json.loads(self._json)
        return copied

    def decide(self, request: Request) -> Decision:
        """Return the decision; what the schema refuses is denied, and logged as an error."""
        decision = self.judge(request)
        if decision.error:
            log.get("policy").error(
                "policy.error", action=request.action, bundle=decision.bundle, error=decision.error
            )
        return decision

    def judge(self, request: Request) -> Decision:
        """Return the decision, logging nothing.

        One on a ticket is never remembered: it depends on the moment.
        """
        if request.resource.ticket is not None:
            return self._judge(request)
        return self._remembered(request)

    def prepare(self, request: Request) -> Prepared:
        """Return a request with its entities, built with the schema."""
        asked = facts.of(request)
        try:
            entities = cedarpy.Entities.from_json_str(asked.entities, self._schema)
        except ValueError as error:
            return Prepared(asked.request, None, str(error) or "entities")
        return Prepared(asked.request, entities)

    def judge_prepared(self, prepared: Prepared) -> Decision:
        """Return the decision on a request that was prepared by this engine or one it varies."""
        if prepared.entities is None:
            return self._denied(prepared.error)
        try:
            found = cedarpy.is_authorized(
                dict(prepared.asked), self._policies, prepared.entities, self._schema
            )
        except ValueError as error:
            return self._denied(str(error))
        errors = found.diagnostics.errors
        if errors or found.decision not in (cedarpy.Decision.Allow, cedarpy.Decision.Deny):
            return self._denied("; ".join(errors) or "no decision")
        named = tuple(sorted(found.diagnostics.id_annotations_by_reason.values()))
        allowed = found.decision is cedarpy.Decision.Allow
        return Decision(allowed, named or (DEFAULT_DENY,), self.bundle.sha256)

    def _judge(self, request: Request) -> Decision:
        return self.judge_prepared(self.prepare(request))

    def _denied(self, error: str) -> Decision:
        return Decision(allowed=False, policies=(ERROR,), bundle=self.bundle.sha256, error=error)


def _inspect(document: Document) -> Iterator[Policy]:
    """Yield the policies as people read them.

    Raises BundleError for what validation does not see.
    """
    if document["templates"] or document["templateLinks"]:
        msg = "templates are not used here"
        raise BundleError(msg)
    seen: set[str] = set()
    for policy in document["staticPolicies"].values():
        name, english, chinese = (
            str(policy.get("annotations", {}).get(key) or "") for key in _ANNOTATIONS
        )
        if not (name and english and chinese):
            msg = f"{name or 'a policy'}: @id, @says and @says_zh are needed"
            raise BundleError(msg)
        if name in seen:
            msg = f"{name}: this @id stands twice"
            raise BundleError(msg)
        if _OVERFLOWING & set(_keys(policy["conditions"])):
            msg = f"{name}: arithmetic can overflow, and Cedar then skips the policy"
            raise BundleError(msg)
        seen.add(name)
        yield Policy(name, str(policy["effect"]), english, chinese)


def _keys(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield key
            yield from _keys(value)
    elif isinstance(node, list):
        for value in node:
            yield from _keys(value)
