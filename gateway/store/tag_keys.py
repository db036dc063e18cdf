"""The keys of subject tags, one for each quarter of the calendar, with administration alone.

They lie outside of the database: by itself that links no leaf to a child, and without its key no
leaf of a quarter is linked to one ever again. A file without content is a key that was forgotten:
so it is never made anew.
"""

import os
import re
import secrets
from pathlib import Path

from gateway.clock import civil_day
from gateway.config.folders import replace_private
from gateway.config.home import Home

KEY_BYTES = 32
QUARTER = re.compile(r"[0-9]{4}Q[1-4]", re.ASCII)
_PREFIX, _SUFFIX = "subject-tags-", ".key"


class TagKeyError(Exception):
    """A quarter has no key, has a malformed one, or is not over yet."""


def quarter_of(time_us: int) -> str:
    """Return the quarter of the province's calendar, "2026Q4"."""
    day = civil_day(time_us)
    return f"{day.year:04}Q{(day.month + 2) // 3}"


def following(quarter: str) -> str:
    """Return the quarter after this one."""
    year, number = int(quarter[:4]), int(quarter[5])
    return f"{year + number // 4:04}Q{number % 4 + 1}"


def path(home: Home, quarter: str) -> Path:
    """Return where a quarter's key lies: in the folder that administration's user alone reads."""
    return home.secrets("administration") / f"{_PREFIX}{quarter}{_SUFFIX}"


def make(home: Home, now_us: int) -> list[str]:
    """Make the keys of this quarter and of the next where there are none; return which were.

    So a quarter begins with a key that every backup of the one before already has. Raises OSError.
    """
    this = quarter_of(now_us)
    missing = [one for one in (this, following(this)) if not path(home, one).exists()]
    for one in missing:
        replace_private(path(home, one), secrets.token_bytes(KEY_BYTES), "administration")
        # Its age is told by its file, and by no other clock than the gateway's.
        os.utime(path(home, one), ns=(now_us * 1000, now_us * 1000))
    return missing


def kept(home: Home) -> list[str]:
    """Return the quarters that have a key, the oldest first."""
    return [one for one in _quarters(home) if path(home, one).stat().st_size]


def forgotten(home: Home) -> list[str]:
    """Return the quarters whose key was forgotten, the oldest first."""
    return [one for one in _quarters(home) if not path(home, one).stat().st_size]


def lost(home: Home, from_us: int, until_us: int) -> list[str]:
    """Return the quarters between two moments of which there is no file, the oldest first."""
    quarter, last, known = quarter_of(from_us), quarter_of(until_us), _quarters(home)
    found: list[str] = []
    while quarter <= last:
        found += [] if quarter in known else [quarter]
        quarter = following(quarter)
    return found


def load(home: Home, quarter: str) -> bytes:
    """Return a quarter's key; raises TagKeyError."""
    try:
        found = path(home, quarter).read_bytes()
    except OSError as error:
        raise TagKeyError(f"the key of {quarter} cannot be read: {error.strerror}") from error
    if len(found) != KEY_BYTES:
        raise TagKeyError(f"{quarter} has no key of subject tags")
    return found


def check_over(home: Home, quarter: str, now_us: int) -> None:
    """Pass a quarter that is over and has, or had, a key; raises TagKeyError."""
    if quarter not in _quarters(home):
        raise TagKeyError(f"there is no key of {quarter}")
    if quarter >= quarter_of(now_us):
        raise TagKeyError(f"{quarter} is not over")


def forget(home: Home, quarter: str, now_us: int) -> None:
    """Destroy the key of a quarter that is over; done once, it is done.

    Raises TagKeyError, OSError.
    """
    check_over(home, quarter, now_us)
    replace_private(path(home, quarter), b"", "administration")


def _quarters(home: Home) -> list[str]:
    found = home.secrets("administration").glob(f"{_PREFIX}*{_SUFFIX}")
    names = (one.name.removeprefix(_PREFIX).removesuffix(_SUFFIX) for one in found)
    return sorted(filter(QUARTER.fullmatch, names))
