"""How the tunnels of a HOME stand, for `status` and `metrics`: which keys are due, who is missed.

Read with the database role of the owner, on the gateway's own host; no leaf: nothing individual.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.clock import iso
from gateway.config.policies import TunnelRules
from gateway.registry import tunnel_keys, tunnels
from gateway.registry.tunnel_keys import DAY_US, KeyAge
from gateway.registry.tunnels import Tunnel
from gateway.store.database import Transaction

_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Stand:
    """A tunnel that is not removed, and how its key stands."""

    tunnel: Tunnel
    key: KeyAge

    @property
    def is_active(self) -> bool:
        """Whether it may be used."""
        return self.tunnel.state == tunnels.ACTIVE


async def read(tx: Transaction, rules: TunnelRules, now_us: int) -> tuple[Stand, ...]:
    """Return every tunnel that is not removed."""
    found: list[Tunnel] = []
    place = tunnels.FIRST
    while page := await tunnels.page(tx, "", place, _PAGE):
        found += [one for one in page if one.state != tunnels.REMOVED]
        place = page[-1].organisation, page[-1].kind, page[-1].peer
    return tuple(Stand(one, tunnel_keys.judge(one, rules, now_us)) for one in found)


def counts(stands: tuple[Stand, ...]) -> dict[str, int]:
    """Return how many are active, of these how many have a key being changed, due, are missed."""
    active = [one.key for one in stands if one.is_active]
    return {
        "active": len(active),
        "overlapping": sum(key.state == "overlapping" for key in active),
        "due": sum(key.state == "warned" for key in active),
        "unused": sum(key.unused_since_us is not None for key in active),
    }


def attention(stands: tuple[Stand, ...], now_us: int) -> list[dict[str, object]]:
    """Return what somebody must see to, or comes by itself: a step each, with whose it is.

    `step` is one of "rotate", "install", "retire" and "unused".
    """
    return [
        {"step": step, "who": f"{one.tunnel.organisation} {one.tunnel.peer}", **about}
        for one in stands
        for step, about in _steps(one, now_us)
    ]


def _steps(one: Stand, now_us: int) -> list[tuple[str, Mapping[str, object]]]:
    key, steps = one.key, list[tuple[str, Mapping[str, object]]]()
    if key.step == "rotate":
        steps.append(("rotate", {"days": key.age_us // DAY_US}))
    elif key.step == "install" and one.tunnel.followed_by is not None:
        steps.append(("install", {"successor": one.tunnel.followed_by}))
    elif key.until_us is not None:
        steps.append(("retire", {"until": iso(key.until_us)}))
    if key.unused_since_us is not None:
        steps.append(("unused", {"days": (now_us - key.unused_since_us) // DAY_US}))
    return steps
