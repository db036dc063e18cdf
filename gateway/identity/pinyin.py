"""Chinese names as people type them in a password: pinyin without tones, or its first letters."""

import os
import sys
from functools import lru_cache
from itertools import pairwise, product

_RESOLVED = os.path.realpath
# Fewer stand in many a good password by chance.
_FEWEST_LETTERS = 4


@lru_cache(maxsize=1024)
def spelled(run: str) -> tuple[str, ...]:
    """Return how parts of a run of Chinese characters are typed, lower case.

    Two neighbouring syllables ("taiyuan") in every reading, and the first letters of the whole
    ("tysjbyfkzzx", from four on). A ü is typed v, u or yu.
    """
    readings = _readings(run)
    pairs = {"".join(pair) for both in pairwise(readings) for pair in product(*both)}
    typed = {one.replace("v", letter) for one in pairs for letter in ("v", "u", "yu")}
    letters = "".join(each[0][0] for each in readings)
    if len(letters) >= _FEWEST_LETTERS:
        typed.add(letters)
    return tuple(sorted(typed))


def _readings(run: str) -> list[list[str]]:
    """Return each character's readings.

    The library is imported where a password is judged: its tables take 56 MiB and 0.2 s, and every
    door would pay. It looks for them where its files really lie; in root's private home that is
    out of reach, and the descriptor that they are named by is not (supervise.launch).
    """
    first = "pypinyin" not in sys.modules
    if first:
        os.path.realpath = os.path.abspath  # type: ignore[assignment]  # takes a path, gives one
    try:
        from pypinyin import Style, pinyin  # noqa: PLC0415
    finally:
        if first:
            os.path.realpath = _RESOLVED
    return pinyin(run, style=Style.NORMAL, heteronym=True, errors="ignore")
