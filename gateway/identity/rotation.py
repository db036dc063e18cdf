"""The life of every secret there is: issued, overlapping, warned, restricted, blocked.

Pure, and the only place that says which of them it is. What the moments of one life are is known
where the secret is (`lives`): so a password is restricted here exactly when the guard restricts it.

    blocked      nothing is done with it any more; somebody must give another
    restricted   it only serves to replace itself
    overlapping  its successor is there, or its predecessor still is
    warned       its end has been told of
    issued       else

The first that holds counts; as the clock goes on, a life goes up this list and never back.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from gateway.clock import US_PER_S

Kind = Literal[
    "password",
    "service-secret",
    "client-certificate",
    "server-certificate",
    "authority-certificate",
    "revocation-list",
    "token-key",
    "signer-key",
    "sealing-key",
    "index-key",
    "export-key",
    "export-token-key",
    "export-ticket-key",
    "invitation-key",
    "side-part-key",
    "subject-tag-key",
    "database-password",
    "tunnel-key",
    "witness-key",
    "backup-recipient",
    "break-glass",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
Stage = Literal["issued", "overlapping", "warned", "restricted", "blocked"]
STAGES: tuple[Stage, ...] = get_args(Stage)
# What comes next. Done by itself: publish, switch, retire a key, sign a list, renew a certificate
# (by its client). By a person: change a password, reset it for another, invite anew, replace a key
# or certificate of the host, install one at the far end, seal envelopes anew.
Step = Literal[
    "none",
    "publish",
    "switch",
    "retire",
    "sign",
    "renew",
    "change",
    "reset",
    "invite",
    "replace",
    "install",
    "seal",
]
STEPS: tuple[Step, ...] = get_args(Step)
HOUR_US = 3_600 * US_PER_S
DAY_US = 24 * HOUR_US


@dataclass(frozen=True, slots=True)
class Secret:
    """Which secret: its kind, its name among those, and whose it is (an organisation, or "host").

    `generation` counts from 1 and tells a secret from the one that stood at its place before;
    `key_id` is the public name of a key or certificate, "" where it has none.
    """

    kind: Kind
    name: str
    owner: str
    generation: int = 1
    key_id: str = ""


@dataclass(frozen=True, slots=True)
class Life:
    """The moments of one life, microseconds; None: never.

    `step` is to be done by `due_us` and is late from `late_us` on; `warned_us` are the moments at
    which its end is told. `step_after` comes in its place once it is blocked.
    """

    made_us: int
    step: Step = "none"
    due_us: int | None = None
    late_us: int | None = None
    warned_us: tuple[int, ...] = ()
    overlapping: bool = False
    restricted_us: int | None = None
    blocked_us: int | None = None
    step_after: Step = "none"


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a secret stands: its age (never negative), what comes next and when, and whether late.

    `warnings` is how many of its warnings have come.
    """

    secret: Secret
    stage: Stage
    age_us: int
    step: Step
    due_us: int | None
    late: bool
    warnings: int


def judge(secret: Secret, life: Life, now_us: int) -> Judgement:
    """Return how a secret stands now."""
    warnings = sum(1 for moment in life.warned_us if now_us >= moment)
    stage = _stage(life, warnings, now_us)
    return Judgement(
        secret,
        stage,
        age_us=max(0, now_us - life.made_us),
        step=life.step_after if stage == "blocked" else life.step,
        due_us=life.due_us,
        late=_reached(life.late_us, now_us),
        warnings=warnings,
    )


def urgency(judgement: Judgement) -> tuple[object, ...]:
    """Return by what to sort: the late first, then the further stage, then what is due first."""
    never = judgement.due_us is None
    secret = judgement.secret
    return (
        not judgement.late,
        # Overlapping is good news: it waits among those that nobody need see to.
        -STAGES.index(judgement.stage) if needs_somebody(judgement) else 0,
        never,
        judgement.due_us or 0,
        KINDS.index(secret.kind),
        secret.owner,
        secret.name,
        secret.generation,
    )


def needs_somebody(judgement: Judgement) -> bool:
    """Return whether somebody should look at it: warned, restricted or blocked, or late."""
    return judgement.late or judgement.stage in ("warned", "restricted", "blocked")


def sorted_by_urgency(judgements: Iterable[Judgement]) -> list[Judgement]:
    """Return them with the most urgent first."""
    return sorted(judgements, key=urgency)


def _stage(life: Life, warnings: int, now_us: int) -> Stage:
    if _reached(life.blocked_us, now_us):
        return "blocked"
    if _reached(life.restricted_us, now_us):
        return "restricted"
    if life.overlapping:
        return "overlapping"
    return "warned" if warnings else "issued"


def _reached(moment_us: int | None, now_us: int) -> bool:
    return moment_us is not None and now_us >= moment_us
