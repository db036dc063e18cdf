"""The policy of the simulated year in plain numbers, written down a second time.

Nothing under tests/faults/year that predicts calls anything of `gateway.identity`: what the gateway does is held against these.
"""

SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND
# 2026-03-02T00:00:00Z; in mid-year passwords become younger and longer.
START = 1_772_409_600_000_000
DAYS = 365
TIGHTENED = START + 183 * DAY
AGE_DAYS, TIGHTER_AGE_DAYS = 90, 60
LENGTH, TIGHTER_LENGTH = 12, 16
WARNING_DAYS = (14, 7, 3, 1)
GRACE_DAYS = 7
ONE_TIME_HOURS = 24
TOKEN_MINUTES = 10
# Two secrets of a service account open for so long; sooner than a day none is given.
OVERLAP_HOURS, LEAST_HOURS = 72, 24
# So many failures block, 1, 2, 4, ... minutes; so many within a day lock.
FAILURES, LONGEST_BLOCK_MINUTES, FORGET_HOURS = 5, 15, 24
LOCK_FAILURES, LOCK_HOURS = 100, 24
UNUSED_DAYS, UNUSED_TOLD_DAYS = 90, 76
# A token key signs for 30 days, is published a day before and taken an hour after.
KEY_DAYS, KEY_AHEAD_HOURS, KEY_AFTER_HOURS = 30, 24, 1
# A year in this province; 26 days here, so that it is seen often.
SEALING_DAYS = 26
# What the gateway changes by itself is late after so long.
LATE_HOURS = 2


def age(now: int) -> int:
    """How old a password may become that is set now."""
    return (TIGHTER_AGE_DAYS if now >= TIGHTENED else AGE_DAYS) * DAY


def length(now: int) -> int:
    """How many characters it must have at least."""
    return TIGHTER_LENGTH if now >= TIGHTENED else LENGTH
