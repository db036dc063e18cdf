"""What may stand in an audit leaf: typed fields with a closed grammar each; nothing else gets in.

No grammar here admits a name, an identity number, a phone number or free text: a value of another
form is refused (EventError), so that a mistake in a caller becomes an error and not a disclosure.
Long runs of digits are admitted in hexadecimal values and in our own codes (at most 12) only.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Literal, Protocol, runtime_checkable

from gateway.audit.words import COUNTS, DETAILS, DOTTED, SHA256, UUID, WORD
from gateway.names import (
    ACCOUNT_NAME,
    ORGANISATION_CODE,
    TUNNEL_PEER,
    UNIT_CODE,
    MalformedNameError,
    parse_subject,
)
from gateway.tlog import leaf

Decision = Literal["allow", "deny", "error"]

# The form of the leaf itself; a reader refuses a version it does not know.
LEAF_VERSION = 1

_ADDRESS = re.compile(r"[0-9a-f.:%\[\]]{2,50}:[0-9]{1,5}", re.ASCII)
# An interface, a tunnel: named in the settings, or an address or network.
_PLACE = re.compile(r"(?!.*[0-9]{9})[A-Za-z0-9_.:/-]{1,64}", re.ASCII)
_TAG = re.compile(r"[0-9a-f]{32}", re.ASCII)
_POLICY = re.compile(r"[a-z][a-z0-9_.-]{0,63}", re.ASCII)
# An identity number as an account's name would pass as one.
_IDENTITY = re.compile(r"[0-9]{15}", re.ASCII)


class EventError(ValueError):
    """A field of an event is not of its grammar; the message names the field, never the value."""


@runtime_checkable
class Tagged(Protocol):
    """A child that a leaf is about: named by a tag of the quarter in which the leaf is."""

    def tag(self, time_us: int) -> str:
        """Return 16 bytes in hexadecimal; raises EventError where that quarter has no key."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One audited event; None and empty fields are left out of the leaf.

    `kind` is the access option's audit_kind or "tls.refused", "log.recover" and the like; `reason`
    one of errors.Reason; digests, serials and session are lower-case hex; `peer` and `listener` are
    "address:port"; `subject` is a SPIFFE id; `sealed` the digest of a side part (`audit.parts`);
    of `child` the leaf has nothing but its tag.
    """

    kind: str = ""
    decision: Decision = "allow"
    reason: str | None = None
    door: str | None = None
    rpc: str | None = None
    organisation: str | None = None
    subject: str | None = None
    account: str | None = None
    session: str | None = None
    certificate: str | None = None
    serial: str | None = None
    connection: str | None = None
    peer: str | None = None
    listener: str | None = None
    ingress: str | None = None
    tunnel: str | None = None
    strength: Literal["weak", "proven"] | None = None
    request_id: str | None = None
    batch_id: int | None = None
    unit: str | None = None
    sequence: int | None = None
    commitment: str | None = None
    sealed: str | None = None
    child: Tagged | None = None
    policies: tuple[str, ...] = ()
    bundle: str | None = None
    counts: Mapping[str, int] | None = None
    detail: Mapping[str, str | int] | None = None

    @property
    def alert(self) -> str:
        """The alert that its leaf bears, "" for none."""
        return str((self.detail or {}).get("alert", ""))

    def with_(self, **changes: Any) -> "Event":  # noqa: ANN401  each field is judged by its own type
        """Return a copy with these fields; an unknown one raises TypeError."""
        # Every upload copies its event some five times: dataclasses.replace takes twice as long.
        copy = object.__new__(Event)
        for name, read, write in _SLOTS:
            write(copy, changes.pop(name) if name in changes else read(self))
        if changes:
            raise TypeError(f"an event has no {', '.join(changes)}")
        return copy

    def to_leaf(self, time_us: int) -> bytes:
        """Return the canonical JSON of this event at `time_us`; raises EventError or LeafError."""
        document: dict[str, leaf.Json] = {"time_us": time_us, "version": LEAF_VERSION}
        for name, judge in _JUDGES:
            value = getattr(self, name)
            if value is None or value in ((), {}):
                continue
            if not judge(value):
                raise EventError(f"{name} is not of its grammar")
            document[name] = value
        if self.child is not None:
            document["subject_tag"] = _tag(self.child, time_us)
        return leaf.encode(document)

    def bare(self) -> "Event":
        """Return what can be told of an event that is itself not fit for the log."""
        kind = self.kind if _JUDGE["kind"](self.kind) else "log.unfit"
        door = self.door if self.door is not None and _JUDGE["door"](self.door) else None
        fit = self.request_id is not None and _JUDGE["request_id"](self.request_id)
        return Event(kind=kind, door=door, request_id=self.request_id if fit else None)


def _tag(child: object, time_us: int) -> str:
    """Return the tag of a child at `time_us`; raises EventError for what is none."""
    tag = child.tag(time_us) if isinstance(child, Tagged) else ""
    if not _TAG.fullmatch(tag):
        raise EventError("child is not of its grammar")
    return tag


Judge = Callable[[Any], bool]  # Any: each judge checks the type of its own field


def _text(pattern: re.Pattern[str]) -> Judge:
    """Return the judge of a text field."""
    match = pattern.fullmatch
    return lambda value: isinstance(value, str) and match(value) is not None


def _one_of(*words: str) -> Judge:
    return lambda value: isinstance(value, str) and value in words


def _natural(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _account(value: object) -> bool:
    return (
        isinstance(value, str)
        and ACCOUNT_NAME.fullmatch(value) is not None
        and not _IDENTITY.search(value)
    )


def _subject(value: object) -> bool:
    if not isinstance(value, str) or _IDENTITY.search(value):
        return False
    try:
        parse_subject(value)
    except MalformedNameError:
        return False
    return True


def _policies(value: object) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(each, str) and _POLICY.fullmatch(each) for each in value
    )


def _counts(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    return all(name in COUNTS and _natural(count) for name, count in value.items())


def _detail(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    for name, each in value.items():
        if name not in DETAILS:
            return False
        pattern = DETAILS[name]
        if not (_natural(each) if pattern is None else _text(pattern)(each)):
            return False
    return True


_JUDGE: Mapping[str, Judge] = MappingProxyType(
    {
        "kind": _text(DOTTED),
        "decision": _one_of("allow", "deny", "error"),
        "reason": _text(re.compile(r"[A-Z][A-Z0-9_]{1,39}", re.ASCII)),
        "door": _text(WORD),
        # Only services of this contract; a method that a stranger invented is not named.
        "rpc": _text(re.compile(r"/?(?:gateway|grpc\.health)\.v1\.[A-Za-z]{1,40}/[A-Za-z]{1,40}")),
        "organisation": _text(ORGANISATION_CODE),
        "subject": _subject,
        "account": _account,
        "session": _text(re.compile(r"[0-9a-f]{32}", re.ASCII)),
        "certificate": _text(SHA256),
        "serial": _text(re.compile(r"[0-9a-f]{1,40}", re.ASCII)),
        "connection": _text(re.compile(r"[0-9a-f]{32}", re.ASCII)),
        "peer": _text(_ADDRESS),
        "listener": _text(_ADDRESS),
        "ingress": _text(_PLACE),
        "tunnel": lambda value: _text(_PLACE)(value) or _text(TUNNEL_PEER)(value),
        "strength": _one_of("weak", "proven"),
        "request_id": _text(UUID),
        "batch_id": _natural,
        "unit": _text(UNIT_CODE),
        "sequence": _natural,
        "commitment": _text(SHA256),
        "sealed": _text(SHA256),
        "policies": _policies,
        "bundle": _text(SHA256),
        "counts": _counts,
        "detail": _detail,
    }
)
# All but the child: of that only the tag is written.
_JUDGES = tuple((each.name, _JUDGE[each.name]) for each in fields(Event) if each.name in _JUDGE)
# Name, getter and setter of each field.
_SLOTS = tuple(
    (each.name, vars(Event)[each.name].__get__, vars(Event)[each.name].__set__)
    for each in fields(Event)
)
