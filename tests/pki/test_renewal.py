from dataclasses import replace

import pytest

from gateway.config import policies
from gateway.errors import Reason
from gateway.pki import renewal
from gateway.pki.defect import Life

DAY_US = 86_400_000_000
RULES = policies.load_certificate_rules(policies.shipped("policies") / "certificates.toml")


def test_the_window_lies_between_the_shares_of_a_life():
    assert renewal.window(100, 1100, RULES.renewal) == (500, 700)
    whole = replace(RULES.renewal, window_from=0.1, window_until=0.9)
    assert renewal.window(0, 14 * DAY_US, whole) == (120_960_000_000, 1_088_640_000_000)


def test_whoever_has_a_certificate_of_the_old_authority_renews_now():
    life = (0, 14 * DAY_US)
    assert renewal.suggested(life, RULES.renewal, 5, rolled_over=True) == (5, 5)
    assert renewal.suggested(life, RULES.renewal, 5, rolled_over=False) == renewal.window(
        *life, RULES.renewal
    )


def test_a_week_after_its_end_renewing_is_closed():
    assert renewal.closes_us(10, RULES.renewal) == 10 + 7 * DAY_US


@pytest.mark.parametrize(
    ("life", "left_us", "step"),
    [
        (90, 61 * DAY_US, 0),
        (90, 60 * DAY_US + 1, 0),
        (90, 60 * DAY_US, 60),
        (90, 30 * DAY_US, 30),
        (90, 8 * DAY_US, 14),
        (90, 0, 1),
        (90, -DAY_US, 1),
        # 60, 30 and 14 days are as long as the life of a leaf of 14 days, or longer.
        (14, 14 * DAY_US, 0),
        (14, 7 * DAY_US + 1, 0),
        (14, 7 * DAY_US, 7),
        (14, DAY_US, 1),
        (1, 0, 0),
    ],
)
def test_the_expiry_ladder(life, left_us, step):
    end_us = life * DAY_US
    assert renewal.warning_days(0, end_us, end_us - left_us, RULES.warnings) == step


@pytest.mark.parametrize(
    ("defect", "days_past_end", "open_"),
    [
        (None, -1, True),
        ("CERT_EXPIRED", 0, True),
        ("CERT_EXPIRED", 6.99, True),
        ("CERT_EXPIRED", 7, False),
        ("CERT_NOT_YET_VALID", -20, False),
        ("CERT_REVOKED", -1, False),
        ("CERT_SUPERSEDED", -1, False),
        ("LINEAGE_LOCKED", 1, False),
    ],
)
def test_who_may_renew(defect, days_past_end, open_):
    life = Life(1, 0, 14 * DAY_US)
    reason = None if defect is None else Reason(defect)
    now_us = life.not_after_us + round(days_past_end * DAY_US)
    assert renewal.open_to(life, reason, RULES.renewal, now_us) is open_
