"""How far the log is vouched for, as `gateway status` and `gateway metrics` tell it."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.audit import vouching
from gateway.audit.vouching import Tail
from gateway.cli.output import Output
from gateway.config.witnesses import WitnessRules
from gateway.registry import witnesses
from gateway.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Standing:
    """The witnesses that count, the un-witnessed tail, and whether it is past the limits."""

    state: str
    witnesses: int
    needed: int
    tail: Tail

    @property
    def late(self) -> bool:
        """Whether somebody should see to it."""
        return self.state in {"none", "few", "behind"}

    def document(self) -> dict[str, object]:
        """Return it as --json prints it."""
        return {
            "state": self.state,
            "witnesses": self.witnesses,
            "needed": self.needed,
            "confirmed_size": self.tail.confirmed_size,
            "entries": self.tail.entries,
            "age_s": round(self.tail.age_s),
        }


async def read(tx: Transaction, rules: WitnessRules, now_us: int) -> Standing:
    """Return how the witnesses stand now."""
    counting = [(one.organisation, one.key) for one in await witnesses.counting(tx)]
    policy = vouching.quorum((), counting, rules)
    tail = await vouching.tail(tx, policy, now_us)
    if not tail.asked:
        state = "unasked"
    elif not counting:
        state = "none"
    elif policy is None:
        state = "few"
    else:
        state = "behind" if tail.too_long(rules, now_us) else "well"
    return Standing(state, len(counting), rules.organisations, tail)


def lines(output: Output, told: Mapping[str, object]) -> list[str]:
    """Return the same for people, from the document."""
    return [output.text(f"status.witness-{told['state']}", **told)]
