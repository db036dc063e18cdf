"""What the log of the simulated year tells of everybody, in the model's words."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gateway.names import parse_subject
from tests.faults.year.model import Key
from tests.faults.year.words import DAY, WARNING_DAYS

Leaf = Mapping[str, Any]
# Of what somebody does, and of what is done to somebody.
_DOES = {
    "identity.login": "login",
    "identity.password": "change",
    "identity.secret": "next",
    "identity.whoami": "who",
    "audit.checkpoint": "work",
}
_DONE = {
    "admin.account.create": "created",
    "admin.account.reset": "reset",
    "admin.account.unlock": "unlocked",
    "secret.restricted": "restricted",
    "secret.blocked": "blocked",
    "account.unused": "unused",
    "account.disabled": "disabled",
}


def told(leaves: Iterable[Leaf]) -> dict[Key, list[str]]:
    """Return everybody's story."""
    stories: dict[Key, list[str]] = {}
    for leaf in leaves:
        word = _word(leaf)
        if word:
            stories.setdefault(_whose(leaf), []).append(word)
    return stories


def rotated(leaves: Iterable[Leaf]) -> list[tuple[str, str, int]]:
    """Return the steps of the keys of the host."""
    found = [leaf["detail"] for leaf in leaves if leaf["kind"] == "secret.rotate"]
    return [(one["secret"], one["step"], one["generation"]) for one in found]


def _word(leaf: Leaf) -> str:
    kind, detail = leaf["kind"], leaf.get("detail", {})
    if kind in _DOES:
        if leaf["decision"] != "allow":
            return f"{_DOES[kind]} {leaf['reason']}"
        if kind == "identity.secret":
            return str(detail["secret"])
        if kind == "identity.password":
            return "changed"
        return f"{_DOES[kind]} {detail.get('secret', '')}".strip()
    if kind == "admin.account.state":
        return str(detail["state"])
    of_account = "target_account" in detail
    if kind == "secret.warned" and of_account:
        left = detail["not_after_us"] - leaf["time_us"]
        return f"warned {min(days for days in WARNING_DAYS if left <= days * DAY)}"
    return _DONE.get(kind, "") if of_account else ""


def _whose(leaf: Leaf) -> Key:
    if leaf["kind"] in _DOES:
        subject = parse_subject(leaf["subject"])
        return subject.organisation, subject.name
    return leaf["detail"]["target_organisation"], leaf["detail"]["target_account"]


def strings(leaves: Iterable[Leaf]) -> Iterator[str]:
    """Every text that stands in a leaf."""
    for leaf in leaves:
        yield from _strings(leaf)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
