"""C2SP tlog-policy: which logs and witnesses are known, and which of them together suffice.

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> all|any|<k> <name>...
    quorum <name>|none

Names are of this file alone and mean nothing outside. A group refers to lines before it, and each
name is a member of one group at most: no witness counts twice.
"""

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from gateway.tlog.cosignature import Cosignature, WitnessKey, verified
from gateway.tlog.cosignature import parse_vkey as parse_witness
from gateway.tlog.note import NoteError, Verifier, parse_vkey

NONE = "none"
# More than the specification asks for (32): every county of a province may run one.
LINES_MAX = 2048
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_COUNT = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)
_SPACE = re.compile(r"[ \t]+")
# `witness <name> <vkey> [<url>]` has so many words.
_WITNESS_WORDS = (3, 4)
_LOG_WORDS = (2, 3)
_GROUP_WORDS = 4
_QUORUM_WORDS = 2


class PolicyError(ValueError):
    """This is no policy; the message names the line.

    `code` is POLICY_FORM, or POLICY_QUORUM where more are asked for than there are.
    """

    def __init__(self, message: str, code: str = "POLICY_FORM") -> None:
        """Make an error; `code` is stable, the message is for people."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Group:
    """So many (`threshold`) of these witnesses and groups witness for it."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Logs, witnesses and groups by their names here; `quorum` is one of them or NONE."""

    logs: tuple[Verifier, ...]
    witnesses: Mapping[str, WitnessKey]
    groups: Mapping[str, Group]
    quorum: str

    def suffices(self, cosigned_by: Container[WitnessKey]) -> bool:
        """Return whether these witnesses together are a quorum."""
        return self.quorum == NONE or self._stands(self.quorum, cosigned_by)

    def judge(self, raw: str) -> tuple[bool, tuple[Cosignature, ...]]:
        """Return whether a signed checkpoint has the quorum, and by whose cosignatures.

        Raises NoteError on a cosignature of a known witness that is false.
        """
        found = verified(raw, list(self.witnesses.values()))
        return self.suffices({each.key for each in found}), found

    def _stands(self, name: str, cosigned_by: Container[WitnessKey]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return self.witnesses[name] in cosigned_by
        standing = sum(self._stands(member, cosigned_by) for member in group.members)
        return standing >= group.threshold

    def text(self) -> str:
        """Return the policy's text."""
        lines = [f"log {log}" for log in self.logs]
        lines += [f"witness {name} {key}" for name, key in self.witnesses.items()]
        lines += [
            f"group {name} {group.threshold} {' '.join(group.members)}"
            for name, group in self.groups.items()
        ]
        return "".join(f"{line}\n" for line in [*lines, f"quorum {self.quorum}"])


def parse(text: str) -> Policy:
    """Return the policy of a text; raises PolicyError."""
    if _FORBIDDEN.search(text) or (text and not text.endswith("\n")):
        raise PolicyError("a policy has lines that end, and no control characters")
    lines = text.split("\n")[:-1]
    if len(lines) > LINES_MAX:
        raise PolicyError(f"a policy has at most {LINES_MAX} lines")
    reading = _Reading()
    for number, line in enumerate(lines, 1):
        words = [word for word in _SPACE.split(line) if word]
        if words and not words[0].startswith("#"):
            try:
                reading.take(words[0], words)
            except (PolicyError, NoteError) as error:
                raise PolicyError(f"line {number}: {error}") from error
    return reading.policy()


def by_organisation(
    logs: Iterable[Verifier], witnesses: Iterable[tuple[str, WitnessKey]], quorum: int
) -> Policy:
    """Return the policy by which so many organisations suffice, each by any of its witnesses.

    Witnesses come with their organisation's code; a quorum of 0 is none. Raises PolicyError with
    POLICY_QUORUM where there are fewer organisations: no bar is lowered silently.
    """
    named: dict[str, WitnessKey] = {}
    members: dict[str, list[str]] = {}
    for organisation, key in witnesses:
        name = f"{key.name}-{key.key_id.hex()}"
        named[name] = key
        members.setdefault(f"organisation-{organisation}", []).append(name)
    groups = {name: Group(1, tuple(one)) for name, one in members.items()}
    if quorum == 0:
        return Policy(tuple(logs), named, groups, NONE)
    if quorum > len(groups):
        raise PolicyError(f"{quorum} of {len(groups)} organisations", "POLICY_QUORUM")
    everyone = Group(quorum, tuple(groups))
    return Policy(tuple(logs), named, {**groups, "organisations": everyone}, "organisations")


class _Reading:
    """What the lines so far have said."""

    def __init__(self) -> None:
        self.logs: list[Verifier] = []
        self.witnesses: dict[str, WitnessKey] = {}
        self.groups: dict[str, Group] = {}
        self.members: set[str] = set()
        self.quorum = ""

    def take(self, kind: str, words: list[str]) -> None:
        """Take a line; raises PolicyError, NoteError."""
        takes = {"log": self._log, "witness": self._witness, "group": self._group}
        takes["quorum"] = self._quorum
        if kind not in takes:
            raise PolicyError(f"{kind!r} begins no line of a policy")
        takes[kind](words)

    def policy(self) -> Policy:
        """Return the whole; raises PolicyError without a quorum."""
        if not self.quorum:
            raise PolicyError("a policy has exactly one quorum")
        return Policy(tuple(self.logs), self.witnesses, self.groups, self.quorum)

    def _log(self, words: list[str]) -> None:
        _expect(len(words) in _LOG_WORDS, "log <vkey> [<url>]")
        log = parse_vkey(words[1])
        _expect(log.public not in {one.public for one in self.logs}, "a log stands once")
        self.logs.append(log)

    def _witness(self, words: list[str]) -> None:
        _expect(len(words) in _WITNESS_WORDS, "witness <name> <vkey> [<url>]")
        self._unused(words[1])
        key = parse_witness(words[2])
        _expect(
            key.public not in {one.public for one in self.witnesses.values()},
            "a witness's key stands once",
        )
        self.witnesses[words[1]] = key

    def _group(self, words: list[str]) -> None:
        _expect(len(words) >= _GROUP_WORDS, "group <name> all|any|<k> <name>...")
        _, name, needed, *members = words
        self._unused(name)
        for member in members:
            _expect(self._known(member), f"{member!r} is not defined before")
            _expect(member not in self.members, f"{member!r} is a member twice")
            self.members.add(member)
        threshold = {"all": len(members), "any": 1}.get(needed, 0)
        if not threshold and _COUNT.fullmatch(needed):
            threshold = int(needed)
        _expect(1 <= threshold <= len(members), f"{needed!r} of {len(members)} cannot stand")
        self.groups[name] = Group(threshold, tuple(members))

    def _quorum(self, words: list[str]) -> None:
        _expect(len(words) == _QUORUM_WORDS and not self.quorum, "quorum <name>, once")
        _expect(words[1] == NONE or self._known(words[1]), f"{words[1]!r} is not defined before")
        self.quorum = words[1]

    def _unused(self, name: str) -> None:
        _expect(name != NONE and not self._known(name), f"{name!r} is taken")

    def _known(self, name: str) -> bool:
        return name in self.witnesses or name in self.groups


def _expect(found: bool, form: str) -> None:  # noqa: FBT001  reads as a sentence
    if not found:
        raise PolicyError(form)
