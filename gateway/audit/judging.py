"""What the leaves of a log say together: form, order of time, pairs, repeats.

Only what breaks the log's own promises is a failure; what an officer should look at is a notice.
Verifiers that fail on clock steps get switched off (reference/audit.md 1), so those are notices.
"""

from array import array
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import pairwise

from gateway.audit.beside import Beside
from gateway.audit.failures import Failure
from gateway.clock import US_PER_S
from gateway.tlog import leaf
from gateway.tlog.keys import LogKeys
from gateway.tlog.leaf import LeafError

# How far a leaf's time may lie behind the latest so far: groups wait at most for a lock's timeout.
TIME_SLACK_US = 60 * US_PER_S
LEAF_VERSION = 1
# Notices of one code beyond this many are counted only.
NOTICES_MAX = 20


@dataclass(slots=True)
class Judging:
    """Reads leaves in order and remembers what they say together."""

    failures: list[Failure] = field(default_factory=list)
    notices: list[Failure] = field(default_factory=list)
    decisions: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    # Entries that were here to be read; of the others there are hashes.
    seen_entries: int = 0
    first_us: int | None = None
    last_us: int = 0
    # The latest time that any leaf told, whatever was set right later: by now, and when the log had
    # each size of `sizes`.
    latest_us: int = 0
    sizes: Collection[int] = ()
    latest_at: dict[int, int] = field(default_factory=dict)
    beside: Beside = field(default_factory=Beside)
    _stepped: bool = False
    # 16 bytes an entry: the hashes' first 8 and the indexes, so that a log of millions fits.
    _prefixes: "array[int]" = field(default_factory=lambda: array("Q"))
    _indexes: "array[int]" = field(default_factory=lambda: array("Q"))
    _begun: dict[tuple[str, str], int] = field(default_factory=dict)
    _noticed: Counter[str] = field(default_factory=Counter)
    # What each log.key leaf tells, by its index.
    _keys: dict[int, object] = field(default_factory=dict)

    def read(self, index: int, entry: bytes, entry_hash: bytes) -> None:
        """Judge the next leaf."""
        self.seen_entries += 1
        try:
            document = leaf.parse(entry)
        except LeafError as error:
            self.failures.append(Failure(error.code, f"entry {index}", str(error)))
            return
        time_us, kind = document.get("time_us"), document.get("kind")
        decision = document.get("decision")
        if (
            not isinstance(time_us, int)
            or not isinstance(kind, str)
            or decision not in ("allow", "deny", "error")
        ):
            text = "time, kind or decision is missing"
            self.failures.append(Failure("LEAF_FIELDS", f"entry {index}", text))
            return
        if document.get("version") != LEAF_VERSION:
            self._notice("LEAF_VERSION", index, "the leaf is of a version unknown to this program")
        self.decisions[str(decision)] += 1
        self.kinds[kind] += 1
        self._time(index, kind, time_us)
        self.beside.read(index, document)
        if kind == "log.key":
            self._keys[index] = document.get("detail")
        if kind == "backup.restore" and decision == "allow":
            self._restored(index, document.get("detail"))
        self._prefixes.append(int.from_bytes(entry_hash[:8], "big"))
        self._indexes.append(index)
        if kind.endswith((".begin", ".end")):
            self._pair(index, kind, str(document.get("request_id", "")))

    def finish(self, keys: LogKeys) -> None:
        """Say what only the whole log shows; `keys` are those that its notes make known."""
        self._repeats()
        self._successions(keys)
        for (kind, _), index in self._begun.items():
            self._notice("BEGIN_WITHOUT_END", index, f"{kind}.begin has no {kind}.end")
        for code, count in self._noticed.items():
            if count > NOTICES_MAX:
                more = f"and {count - NOTICES_MAX} more of {code}"
                self.notices.append(Failure(code, "", more))

    def seen(self, size: int, time_s: int) -> None:
        """Notice where a leaf tells a later time than the one at which a witness saw it."""
        ahead = self.latest_at.get(size, 0) - time_s * US_PER_S
        if ahead > TIME_SLACK_US:
            text = f"a leaf is {ahead // US_PER_S} s ahead of a witness that had seen it"
            self._notice("TIME_AFTER_WITNESS", size - 1, text)

    def _time(self, index: int, kind: str, time_us: int) -> None:
        if self.first_us is None:
            self.first_us = time_us
        self.latest_us = max(self.latest_us, time_us)
        if index + 1 in self.sizes:
            self.latest_at[index + 1] = self.latest_us
        if kind == "log.clock":
            self._stepped, self.last_us = True, time_us
            return
        behind = self.last_us - time_us
        if behind > TIME_SLACK_US:
            told = "told by log.clock" if self._stepped else "not told"
            self._notice("CLOCK_STEP", index, f"{behind // US_PER_S} s behind, {told}")
        self.last_us = max(self.last_us, time_us)

    def _restored(self, index: int, told: object) -> None:
        """Notice where the log was put back: what was signed of more entries is not in it."""
        said = told if isinstance(told, dict) else {}
        about = f"cause {said.get('cause')}, statement {said.get('statement_sha256', 'none')}"
        self._notice("LOG_RESTORED", index, f"put back with {index} entries: {about}")

    def _repeats(self) -> None:
        """Notice the same bytes twice; 8 bytes of a hash tell leaves apart well enough for that."""
        twice = {one for one, other in pairwise(sorted(self._prefixes)) if one == other}
        first: dict[int, int] = {}
        for prefix, index in zip(self._prefixes, self._indexes, strict=True):
            if prefix in twice and first.setdefault(prefix, index) != index:
                self._notice("LEAF_REPEATED", index, f"the same bytes as entry {first[prefix]}")

    def _successions(self, keys: LogKeys) -> None:
        """Fail where the log tells of a key whose note is not there: the list was rolled back."""
        known = [
            {"old_key": old.key_id, "new_key": new.key_id, "from_size": new.from_size}
            for old, new in pairwise(keys.ranges)
        ]
        for index, told in self._keys.items():
            said = told if isinstance(told, dict) else {}
            if not any(said.items() >= one.items() for one in known):
                text = "the log tells of a key whose note is missing"
                self.failures.append(Failure("KEY_LIST_SHORT", f"entry {index}", text))

    def _pair(self, index: int, kind: str, request_id: str) -> None:
        base, _, last = kind.rpartition(".")
        if last == "begin":
            self._begun[base, request_id] = index
        else:
            self._begun.pop((base, request_id), None)

    def _notice(self, code: str, index: int, message: str) -> None:
        self._noticed[code] += 1
        if self._noticed[code] <= NOTICES_MAX:
            self.notices.append(Failure(code, f"entry {index}", message))
