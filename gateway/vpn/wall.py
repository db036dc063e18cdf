"""What the packet filter refused outside the tunnel: three counters of one nftables table.

Who comes by another way than the tunnel's device is turned away before there is a connection: no
program of ours sees him, only the rule that drops his packets. So that rule counts, by name, and
the counts are read: `bypass`, the doors asked for past the tunnel; `outside`, the gateway's address
in the tunnel from elsewhere; `spoofed`, a tunnel's address from elsewhere. The reading is
libnftables-json(5)'s; the judgement (`Tally`) is pure.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gateway.clock import US_PER_S
from gateway.config.policies import TunnelRules
from gateway.config.settings import WallSettings
from gateway.vpn import tool
from gateway.vpn.table import MalformedAnswerError

COUNTERS = ("bypass", "outside", "spoofed")
# A busy machine may take its time over a new process; one that takes longer tells nothing.
ANSWER_S = 5.0
NSENTER = "/usr/bin/nsenter"
# Where a packet that comes in can be dropped (nft(8), "Hooks").
_HOOKS = frozenset({"prerouting", "input"})
_REFUSING = frozenset({"drop", "reject"})
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_OWN_NAMESPACE = Path("/proc/self/ns/net")
# What the kernel's ENOENT is called by nft.
_NO_SUCH_TABLE = b"No such file or directory"

# It is not there; nobody can say; a counter is missing, or the rule that drops by it.
Cause = Literal["gone", "unreadable", "open"]


@dataclass(frozen=True, slots=True)
class Count:
    """How many packets a counter has, and which counter it is (SHA-256, hex).

    One that was made anew, with its table or by a reboot, is another and begins at nothing.
    """

    packets: int
    made: str


Reading = Mapping[str, Count]


class WallError(Exception):
    """The wall does not stand as it must, for a cause of few words."""

    def __init__(self, cause: Cause) -> None:
        """Name the cause."""
        super().__init__(cause)
        self.cause: Cause = cause


async def ask(wall: WallSettings) -> Reading:
    """Return each counter as it stands; raises WallError."""
    entered = (NSENTER, f"--net={wall.namespace}", "--") if wall.namespace else ()
    words = (*entered, wall.tool, "-j", "list", "table", *wall.table.split())
    try:
        epoch = _epoch(wall)
        async with asyncio.timeout(ANSWER_S):
            status, said = await tool.run(*words)
    except (OSError, MalformedAnswerError):  # TimeoutError is an OSError
        raise WallError("unreadable") from None
    if status:
        raise WallError("gone" if _NO_SUCH_TABLE in said else "unreadable")
    return parse(said, epoch)


def parse(said: bytes, epoch: str) -> Reading:
    """Return the counters of `nft -j list table`; raises WallError.

    `epoch` names the boot and the namespace: in another one the same numbers mean another counter.
    """
    try:
        return _read(json.loads(said)["nftables"], epoch)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        raise WallError("unreadable") from None


def _epoch(wall: WallSettings) -> str:
    namespace = Path(wall.namespace) if wall.namespace else _OWN_NAMESPACE
    return f"{_BOOT.read_text()} {namespace.stat().st_ino}"


def _read(listed: list[dict[str, dict[str, Any]]], epoch: str) -> Reading:  # Any: nft's own JSON
    parts = [(kind, about) for one in listed for kind, about in one.items()]
    [table] = [about["handle"] for kind, about in parts if kind == "table"]
    counters = {about["name"]: about for kind, about in parts if kind == "counter"}
    if not counters.keys() & _dropping(parts) >= set(COUNTERS):
        raise WallError("open")
    found = {}
    for name in COUNTERS:
        packets = counters[name]["packets"]
        if type(packets) is not int or packets < 0:
            raise WallError("unreadable")
        which = f"{epoch} {table} {counters[name]['handle']}"
        found[name] = Count(packets, hashlib.sha256(which.encode()).hexdigest())
    return found


def _dropping(parts: list[tuple[str, dict[str, Any]]]) -> set[str]:
    """Return the counters of rules that every packet passes and that drop what they count."""
    hooked = {
        about["name"] for kind, about in parts if kind == "chain" and about.get("hook") in _HOOKS
    }
    return {
        part["counter"]
        for kind, about in parts
        if kind == "rule" and about["chain"] in hooked and about["expr"][-1].keys() & _REFUSING
        for part in about["expr"]
        if isinstance(part.get("counter"), str)
    }


@dataclass(frozen=True, slots=True)
class Refused:
    """What one leaf tells: how many packets more, when first and last seen, and the whole count."""

    counter: str
    packets: int
    count: Count
    first_us: int
    last_us: int


class Tally:
    """What was not told yet. One attempt is a few packets over some seconds, and one leaf."""

    def __init__(self, told: Reading, rules: TunnelRules) -> None:
        """Go on from what was told last; a counter that was never told of begins at nothing."""
        self._seen = dict(told)
        self._longest_us = round(rules.wall_longest_s * US_PER_S)
        # By counter: how many packets, first and last seen when.
        self._waiting: dict[str, tuple[int, int, int]] = {}

    def look(self, reading: Reading, now_us: int) -> list[Refused]:
        """Take a reading, empty while nobody can say; return what is to be told now.

        A counter that was made anew has counted from nothing. So has one that was set back; that is
        told at once, for whoever starts anew reads off the log from where to count.
        """
        told = []
        for name in COUNTERS:
            more, back = self._more(name, reading.get(name))
            packets, first_us, last_us = self._waiting.pop(name, (0, now_us, now_us))
            if more:
                packets, last_us = packets + more, now_us
            if more and not back and now_us - first_us < self._longest_us:
                self._waiting[name] = packets, first_us, last_us
            elif packets or back:
                told.append(Refused(name, packets, self._seen[name], first_us, last_us))
        return told

    def _more(self, name: str, count: Count | None) -> tuple[int, bool]:
        """Return how many packets came since the last look, and whether it was set back."""
        if count is None:
            return 0, False
        before = self._seen.get(name, Count(0, count.made))
        self._seen[name] = count
        if before.made != count.made:
            return count.packets, False
        back = count.packets < before.packets
        return count.packets - (0 if back else before.packets), back
