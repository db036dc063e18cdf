"""Chinese names as people type them in a password: pinyin without tones, or its first letters."""

from functools import lru_cache
from itertools import pairwise, product

# Fewer stand in many a good password by chance.
_FEWEST_LETTERS = 4


@lru_cache(maxsize=1024)
def spelled(run: str) -> tuple[str, ...]:
    """Return how parts of a run of Chinese characters are typed, lower case.

    Two neighbouring syllables ("taiyuan") in every reading, and the first letters of the whole
    ("tysjbyfkzzx", from four on). A ü is typed v, u or yu.
    """
    # Imported where a password is judged: its tables take 56 MiB and 0.2 s, and every door would
    # pay.
    from pypinyin import Style, pinyin  # noqa: PLC0415

    readings = pinyin(run, style=Style.NORMAL, heteronym=True, errors="ignore")
    pairs = {"".join(pair) for both in pairwise(readings) for pair in product(*both)}
    typed = {one.replace("v", letter) for one in pairs for letter in ("v", "u", "yu")}
    letters = "".join(each[0][0] for each in readings)
    if len(letters) >= _FEWEST_LETTERS:
        typed.add(letters)
    return tuple(sorted(typed))
