"""How old the key of a tunnel is, what comes next and when: for lists, duties, the rotation view.

Pure. WireGuard's peer is its key; the certificate behind an IKE identity is renewed in the VPN and
not seen here, so such a peer is never due.

A key and its successor overlap from the successor's registration on. The old one's end is counted
from the successor's first use, never before: a county whose new key is not installed keeps its way.
"""

from dataclasses import dataclass
from typing import Literal

from gateway.clock import US_PER_S
from gateway.config.policies import TunnelRules
from gateway.registry.tunnels import ACTIVE, REMOVED, WIREGUARD, Tunnel

# In the words of every rotation (architecture.md); "ended" is removed.
State = Literal["issued", "overlapping", "warned", "blocked", "ended"]
# "install": the successor waits for its first use; "retire": the old one ends by itself.
Step = Literal["none", "rotate", "install", "retire"]
HOUR_US = 3_600 * US_PER_S
DAY_US = 24 * HOUR_US


@dataclass(frozen=True, slots=True)
class KeyAge:
    """A key at one time; microseconds, `_us` alone a moment, `age_us` a span.

    `due_us` is when it should be changed (None: never), `until_us` when it ends by itself (None:
    it does not, or not yet), `unused_since_us` since when nobody has used it where that is longer
    than the policy bears, else None.
    """

    state: State
    step: Step
    age_us: int
    due_us: int | None
    until_us: int | None
    unused_since_us: int | None


def judge(tunnel: Tunnel, rules: TunnelRules, now_us: int) -> KeyAge:
    """Return how a tunnel's key stands now."""
    due_us = tunnel.created_us + round(rules.key_days * DAY_US)
    state, step = _stage(tunnel, due_us if tunnel.kind == WIREGUARD else None, now_us)
    in_force = tunnel.state == ACTIVE
    return KeyAge(
        state,
        step,
        age_us=max(0, now_us - tunnel.created_us),
        due_us=due_us if in_force and tunnel.kind == WIREGUARD else None,
        until_us=_until_us(tunnel, rules) if in_force else None,
        unused_since_us=_unused_since_us(tunnel, rules, now_us) if in_force else None,
    )


def is_over(tunnel: Tunnel, rules: TunnelRules, now_us: int) -> bool:
    """Return whether an active tunnel's successor has been at work for as long as both may."""
    until_us = _until_us(tunnel, rules)
    return tunnel.state == ACTIVE and until_us is not None and now_us >= until_us


def _stage(tunnel: Tunnel, due_us: int | None, now_us: int) -> tuple[State, Step]:
    if tunnel.state != ACTIVE:
        return ("ended" if tunnel.state == REMOVED else "blocked"), "none"
    if tunnel.followed_by is not None:
        return "overlapping", "install" if tunnel.followed_us is None else "retire"
    if tunnel.overlaps:
        return "overlapping", "install" if tunnel.first_seen_us is None else "none"
    if due_us is not None and now_us >= due_us:
        return "warned", "rotate"
    return "issued", "none"


def _until_us(tunnel: Tunnel, rules: TunnelRules) -> int | None:
    if tunnel.followed_by is None or tunnel.followed_us is None:
        return None
    return tunnel.followed_us + round(rules.overlap_hours * HOUR_US)


def _unused_since_us(tunnel: Tunnel, rules: TunnelRules, now_us: int) -> int | None:
    # Registered, or unlocked, but a moment ago it is not missed yet.
    since_us = max(tunnel.last_seen_us or 0, tunnel.changed_us)
    return since_us if now_us - since_us >= rules.unused_days * DAY_US else None
