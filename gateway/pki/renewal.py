"""When a certificate is renewed, told of, and past renewing: pure arithmetic of its life.

Shares and steps are the policy's (policies/certificates.toml); times are microseconds.
"""

from gateway.clock import US_PER_S
from gateway.config.policies import RenewalRules, WarningRules
from gateway.errors import Reason
from gateway.pki.defect import Life

_DAY_US = 86_400 * US_PER_S


def window(not_before_us: int, not_after_us: int, rules: RenewalRules) -> tuple[int, int]:
    """Return from when until when a client should renew; it picks its own moment in between."""
    life_us = not_after_us - not_before_us
    return (
        not_before_us + round(life_us * rules.window_from),
        not_before_us + round(life_us * rules.window_until),
    )


def suggested(
    life: tuple[int, int], rules: RenewalRules, now_us: int, *, rolled_over: bool
) -> tuple[int, int]:
    """Return the window of a certificate that lives from `life[0]` to `life[1]`.

    It is now where its authority issues no more (`rolled_over`): then everybody moves to the next.
    """
    return (now_us, now_us) if rolled_over else window(*life, rules)


def closes_us(not_after_us: int, rules: RenewalRules) -> int:
    """Return from when on a certificate that has ended can no longer be renewed."""
    return not_after_us + round(rules.after_expiry_days * _DAY_US)


def open_to(life: Life, defect: Reason | None, rules: RenewalRules, now_us: int) -> bool:
    """Return whether a certificate with this defect, or none, is renewed now.

    One that ended still is, for some days; what was taken back, or does not count yet, is not.
    """
    if defect is Reason.CERT_EXPIRED:
        return now_us < closes_us(life.not_after_us, rules)
    return defect is None


def warning_days(not_before_us: int, not_after_us: int, now_us: int, rules: WarningRules) -> int:
    """Return the smallest step of the expiry ladder that is reached, in days; 0 while none is.

    A step as long as the whole life would be reached at once, and is left out.
    """
    life_us = not_after_us - not_before_us
    reached = (
        days
        for days in rules.days
        if days * _DAY_US < life_us and now_us >= not_after_us - days * _DAY_US
    )
    return min(reached, default=0)
