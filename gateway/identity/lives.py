"""From what other rooms know of their secrets to the moments of a life (`rotation`).

Pure. Each number comes from the policy that already has it, and each end from the function by which
it is enforced: tests/identity/test_lives.py holds both against each other at every moment.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.config.policies import CertificateRules, TunnelRules
from gateway.config.rotation import AgeRules, RotationRules
from gateway.identity.accounts import Account
from gateway.identity.breakglass_rows import Glass
from gateway.identity.rotation import DAY_US, HOUR_US, Kind, Life, Secret, Step
from gateway.identity.rules import NEVER_US, Profile
from gateway.pki import renewal
from gateway.registry import tunnel_keys
from gateway.registry.tunnels import ACTIVE, Tunnel
from gateway.registry.witnesses import Witness

# Whose the secrets of the gateway's own machine are.
HOST = "host"
Living = tuple[Secret, Life]
# What of the host the gateway changes by itself once it is old enough, by which step.
BY_ITSELF: Mapping[Kind, Step] = MappingProxyType(
    {"sealing-key": "publish", "export-key": "publish", "database-password": "switch"}
)
# What follows at a person's word, whatever its age: those, and what nothing else changes.
AT_A_WORD: Mapping[Kind, Step] = MappingProxyType({**BY_ITSELF, "signer-key": "switch"})


@dataclass(frozen=True, slots=True)
class Kept:
    """A row of the table `secret`: a secret of the host; times in microseconds, None for never.

    `used_us` is since when it is in use, `replaced_us` since when its successor is.
    """

    secret: Secret
    made_us: int
    used_us: int | None = None
    replaced_us: int | None = None
    ended_us: int | None = None


def of_account(account: Account, profile: Profile, *, overlapping: bool = False) -> Living:
    """Return the life of an account's password; a system's is a service secret.

    `overlapping`: two of its secrets open sessions.
    """
    kind: Kind = "service-secret" if account.subject_kind == "sys" else "password"
    secret = Secret(kind, account.name, account.organisation, _generation(account))
    end_us = account.ends_us(profile)
    if account.must_change:
        # A one-time password only serves to choose one's own; unused past its end, to nothing.
        return secret, Life(
            account.password_set_us,
            step="change",
            due_us=end_us,
            late_us=end_us,
            restricted_us=account.password_set_us,
            blocked_us=end_us,
            step_after="reset",
        )
    if end_us >= NEVER_US:
        return secret, Life(account.password_set_us, overlapping=overlapping)
    return secret, Life(
        account.password_set_us,
        step="change",
        due_us=end_us,
        late_us=end_us,
        warned_us=tuple(end_us - days * DAY_US for days in profile.warning_days),
        overlapping=overlapping,
        restricted_us=end_us,
        blocked_us=profile.blocks_us(end_us),
        step_after="reset",
    )


def _generation(account: Account) -> int:
    return account.password_epoch + account.secret_rotations


def of_client_certificate(
    secret: Secret, life_us: tuple[int, int], rules: CertificateRules
) -> Living:
    """Return the life of a bearer's certificate, valid from `life_us[0]` to `life_us[1]`.

    It is renewed by its client at half its life; past its end it only serves to be renewed.
    """
    made_us, end_us = life_us
    closes_us = renewal.closes_us(end_us, rules.renewal)
    return secret, Life(
        made_us,
        step="renew",
        due_us=end_us,
        late_us=end_us,
        warned_us=_warnings(made_us, end_us, rules.warnings.days),
        restricted_us=end_us,
        blocked_us=closes_us,
        step_after="invite",
    )


def of_host_certificate(
    secret: Secret, life_us: tuple[int, int], rules: CertificateRules, *, followed: bool
) -> Living:
    """Return the life of the front's or an authority's certificate: a person replaces it.

    `followed`: the next one of its kind is in place beside it.
    """
    made_us, end_us = life_us
    return secret, Life(
        made_us,
        step="retire" if followed else "replace",
        due_us=end_us,
        late_us=end_us,
        warned_us=() if followed else _warnings(made_us, end_us, rules.warnings.days),
        overlapping=followed,
        blocked_us=end_us,
        step_after="replace",
    )


def of_revocation_list(
    secret: Secret, made_us: int, until_us: int, rules: CertificateRules
) -> Living:
    """Return the life of a revocation list, made and valid until these moments."""
    late_us = made_us + round(rules.revocation_list.alarm_hours * HOUR_US)
    return secret, Life(
        made_us,
        step="sign",
        due_us=made_us + round(rules.revocation_list.renew_hours * HOUR_US),
        late_us=late_us,
        warned_us=(late_us,),
        blocked_us=until_us,
        step_after="sign",
    )


def of_tunnel(tunnel: Tunnel, rules: TunnelRules, now_us: int) -> Living:
    """Return the life of a tunnel's key, as `registry.tunnel_keys` judges it now."""
    found = tunnel_keys.judge(tunnel, rules, now_us)
    step: Step = "none" if found.due_us is None else "replace"
    if found.step in ("install", "retire"):
        step = found.step
    return Secret("tunnel-key", tunnel.peer, tunnel.organisation), Life(
        tunnel.created_us,
        step=step,
        due_us=found.until_us if step == "retire" else found.due_us,
        # Its successor is at work: nobody need hurry.
        late_us=None if step == "retire" else found.due_us,
        warned_us=() if found.due_us is None else (found.due_us,),
        overlapping=found.state == "overlapping",
        blocked_us=None if tunnel.state == ACTIVE else tunnel.changed_us,
    )


def of_witness(witness: Witness, rules: RotationRules) -> Living:
    """Return the life of a witness's key, which its organisation replaces by another."""
    key, days = witness.key, rules.ages.witness_key_days
    secret = Secret("witness-key", key.name, witness.organisation, key_id=key.key_id.hex())
    if not days:
        return secret, Life(witness.registered_us)
    end_us = witness.registered_us + round(days * DAY_US)
    return secret, Life(
        witness.registered_us,
        step="replace",
        due_us=end_us,
        late_us=end_us,
        warned_us=_warnings(witness.registered_us, end_us, rules.engine.warning_days),
    )


def of_kept(
    kept: Kept, others: Iterable[Kept], rules: RotationRules, *, external: bool = False
) -> Living:
    """Return the life of a secret of the host; `others` are the rest of its kind and owner.

    `external`: another keeps the database, and whoever comes to it by other ways with our
    passwords (a pool before it, say) is told by a person.
    """
    if kept.secret.kind == "token-key":
        return kept.secret, _token_key(kept, others, rules)
    if kept.secret.kind == "signer-key":
        return kept.secret, _signer_key(kept, others, rules)
    days = _days(kept.secret.kind, rules.ages)
    if kept.replaced_us is not None or not days:
        return kept.secret, Life(kept.made_us, overlapping=kept.replaced_us is not None)
    end_us = kept.made_us + round(days * DAY_US)
    step = BY_ITSELF.get(kept.secret.kind)
    if step is not None and not (external and kept.secret.kind == "database-password"):
        late_us = end_us + round(rules.engine.late_hours * HOUR_US)
        return kept.secret, Life(kept.made_us, step, end_us, late_us, (late_us,))
    return kept.secret, Life(
        kept.made_us,
        step="replace",
        due_us=end_us,
        late_us=end_us,
        warned_us=_warnings(kept.made_us, end_us, rules.engine.warning_days),
    )


def of_break_glass(glass: Glass, rules: RotationRules) -> Living:
    """Return the life of a sealing: its two credentials and three officers' codes."""
    secret = Secret("break-glass", "envelopes", glass.organisation, glass.generation)
    if glass.void_us is not None:
        return secret, Life(
            glass.sealed_us,
            due_us=glass.void_us,
            late_us=glass.void_us,
            blocked_us=glass.void_us,
            step_after="seal",
        )
    end_us = glass.sealed_us + round(rules.ages.break_glass_days * DAY_US)
    aged = rules.ages.break_glass_days > 0
    warned_us = _warnings(glass.sealed_us, end_us, rules.engine.warning_days) if aged else ()
    due_us = end_us if aged else None
    if glass.shown_us is not None:
        # One envelope is left: it opens, and nobody has a second one.
        warned_us, due_us = (glass.shown_us, *warned_us), glass.shown_us
    return secret, Life(
        glass.sealed_us,
        step="seal" if glass.coded else "change",
        due_us=due_us,
        late_us=end_us if aged else None,
        warned_us=warned_us,
        # Without its officers' codes nothing is opened by it yet.
        restricted_us=None if glass.coded else glass.sealed_us,
    )


def _token_key(kept: Kept, others: Iterable[Kept], rules: RotationRules) -> Life:
    """Return the life of a token key: waits, signs, is taken a while longer."""
    keys = rules.token_keys
    ahead_us = round(keys.publish_hours * HOUR_US)
    rest = list(others)
    overlapping = True
    step: Step
    if kept.replaced_us is not None:
        step, due_us = "retire", kept.replaced_us + round(keys.verify_hours * HOUR_US)
    elif kept.used_us is None:
        ends = [_signs_until_us(one, rules) for one in rest if _signs(one)]
        step, due_us = "switch", max([kept.made_us + ahead_us, *ends])
    else:
        waiting = [one.made_us for one in rest if one.used_us is None]
        until_us = _signs_until_us(kept, rules)
        overlapping = bool(waiting)
        step, due_us = "publish", until_us - ahead_us
        if waiting:
            step, due_us = "switch", max(min(waiting) + ahead_us, until_us)
    late_us = due_us + round(rules.engine.late_hours * HOUR_US)
    return Life(kept.made_us, step, due_us, late_us, (late_us,), overlapping)


def _signer_key(kept: Kept, others: Iterable[Kept], rules: RotationRules) -> Life:
    """Return the life of the log's key: a person lets another follow, and both sign for a while."""
    if kept.replaced_us is not None:
        due_us = kept.replaced_us + round(rules.signer_key.overlap_days * DAY_US)
        late_us = due_us + round(rules.engine.late_hours * HOUR_US)
        return Life(kept.made_us, "retire", due_us, late_us, (late_us,), overlapping=True)
    overlapping = any(one.replaced_us is not None for one in others)
    if not rules.ages.signer_key_days:
        return Life(kept.made_us, overlapping=overlapping)
    end_us = kept.made_us + round(rules.ages.signer_key_days * DAY_US)
    warned_us = _warnings(kept.made_us, end_us, rules.engine.warning_days)
    return Life(kept.made_us, "replace", end_us, end_us, warned_us, overlapping)


def _signs(kept: Kept) -> bool:
    return kept.used_us is not None and kept.replaced_us is None


def _signs_until_us(kept: Kept, rules: RotationRules) -> int:
    since_us = kept.made_us if kept.used_us is None else kept.used_us
    return since_us + round(rules.token_keys.sign_days * DAY_US)


def _days(kind: Kind, ages: AgeRules) -> float:
    """Return after how many days a person changes a secret of this kind; 0: never by its age."""
    return {
        "signer-key": ages.signer_key_days,
        "sealing-key": ages.sealing_key_days,
        "index-key": ages.index_key_days,
        "export-key": ages.export_key_days,
        "export-token-key": ages.export_token_key_days,
        "export-ticket-key": ages.export_ticket_key_days,
        "invitation-key": ages.invitation_key_days,
        "side-part-key": ages.side_part_key_days,
        "subject-tag-key": ages.subject_tag_key_days,
        "database-password": ages.database_password_days,
        "backup-recipient": ages.backup_recipient_days,
    }[kind]


def _warnings(made_us: int, end_us: int, days: Iterable[int]) -> tuple[int, ...]:
    """Return when an end is told; a step as long as the whole life would come at once: left out."""
    return tuple(end_us - one * DAY_US for one in days if one * DAY_US < end_us - made_us)
