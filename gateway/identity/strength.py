"""What is wrong with a new password: pure rules, with texts that help to choose a better one.

PW-LENGTH, PW-CHARACTERS, PW-CLASSES, PW-NAMES, PW-WORDS, PW-STRENGTH, PW-SIMILAR here; PW-HISTORY
and PW-AGE, which need the account, in `change`. Costly (zxcvbn takes 1-15 ms): run it off the event
loop.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

from zxcvbn import zxcvbn

from gateway import messages
from gateway.errors import Violation
from gateway.identity import pinyin
from gateway.identity.passwords import normalised
from gateway.identity.rules import Profile

FIELD = "new_password"
# zxcvbn raises beyond (zxcvbn 4.5.0, ValueError).
_JUDGED = 72
# zxcvbn tries every reading of signs as letters (its L33T_TABLE): 736 of them took 10 s, holding
# the interpreter. Beyond this many, signs of one letter are made alike first, which leaves few.
_MOST_READINGS = 12
_SIGNS = ("4@", "({[<", "69", "1!|", "1|7", "$5", "+7")
_ALIKE = str.maketrans("@{[<!|$+", "4(((1157")
# The shortest part of a name that counts, in characters; Chinese ones say more.
_SHORTEST_LATIN = 4
_SHORTEST_CHINESE = 3
# Digits and signs that stand for letters; 1 stands for two.
_LOOK_ALIKES = (
    str.maketrans("01345789@$!|", "oleastbgasil"),
    str.maketrans("01345789@$!|", "oieastbgasil"),
)
_CHINESE = re.compile(r"[\u3400-\u9fff]+")
_LATIN = re.compile(r"[a-z0-9]+")
_YEAR = re.compile(r"(?:19|20)[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Names:
    """What others know of the account: its name, its organisation, the blocklist's words."""

    account: str
    organisation: str
    organisation_code: str
    words: tuple[str, ...] = ()


def judge(password: str, old: str | None, names: Names, profile: Profile) -> tuple[Violation, ...]:
    """Return the rules that a new password breaks, none when it is good.

    `old` is the one it replaces.
    """
    text = normalised(password)
    if text is None:
        return (violation("PW-CHARACTERS"),)
    wrong = []
    if not profile.minimum_length <= len(text) <= profile.maximum_length:
        limits = {"minimum": profile.minimum_length, "maximum": profile.maximum_length}
        wrong.append(violation("PW-LENGTH", limits))
    if any(unicodedata.category(one) in ("Cc", "Cs", "Cn", "Zl", "Zp") for one in text):
        wrong.append(violation("PW-CHARACTERS"))
    if len({_class(one) for one in text}) < profile.minimum_classes:
        wrong.append(violation("PW-CLASSES", {"minimum": profile.minimum_classes}))
    # What follows compares and searches: bounded by the length.
    text = text[: profile.maximum_length]
    wrong += _guessable(text, names, profile)
    if (
        old is not None
        and edits(text, (normalised(old) or "")[: profile.maximum_length]) < profile.minimum_changes
    ):
        wrong.append(violation("PW-SIMILAR", {"minimum": profile.minimum_changes}))
    return tuple(wrong)


def violation(rule: str, parameters: Mapping[str, int] | None = None) -> Violation:
    """Return the violation of a rule by the new password, with its texts."""
    english, chinese = (
        messages.text(f"password.{rule}", language, **(parameters or {}))
        for language in ("en", "zh")
    )
    return Violation(FIELD, rule, english, chinese)


def edits(new: str, old: str) -> int:
    """Return how many single-character edits make one text of the other (Levenshtein)."""
    above = list(range(len(old) + 1))
    for row, one in enumerate(new, 1):
        line = [row]
        for column, other in enumerate(old, 1):
            line.append(min(above[column] + 1, line[-1] + 1, above[column - 1] + (one != other)))
        above = line
    return above[-1]


def _class(character: str) -> str:
    if character.islower():
        return "lower"
    if character.isupper():
        return "upper"
    return "digit" if character.isdecimal() else "other"


def _guessable(text: str, names: Names, profile: Profile) -> list[Violation]:
    wrong = []
    folded = text.casefold()
    forms = (folded, *(folded.translate(table) for table in _LOOK_ALIKES))
    own = _parts(names)
    if any(part in form for part in own for form in forms):
        wrong.append(violation("PW-NAMES"))
    words = [unicodedata.normalize("NFKC", word).casefold() for word in names.words]
    words += [typed for run in _chinese(names) for typed in pinyin.spelled(run)]
    if min(len(_without(form, [*own, *words])) for form in forms) < profile.minimum_rest_length:
        wrong.append(violation("PW-WORDS", {"minimum": profile.minimum_rest_length}))
    judged = readable(text[:_JUDGED]) or "-"
    if zxcvbn(judged, user_inputs=[*own, *words])["score"] < profile.minimum_strength:
        wrong.append(violation("PW-STRENGTH"))
    return wrong


def readable(text: str) -> str:
    """Return the text, with signs made alike where zxcvbn would read them in too many ways."""
    readings = prod(max(1, len(set(signs) & set(text))) for signs in _SIGNS)
    return text if readings <= _MOST_READINGS else text.translate(_ALIKE)


def _texts(names: Names) -> list[str]:
    return [
        unicodedata.normalize("NFKC", text).casefold()
        for text in (names.account, names.organisation)
    ]


def _chinese(names: Names) -> list[str]:
    return [run for text in _texts(names) for run in _CHINESE.findall(text)]


def _parts(names: Names) -> list[str]:
    """Return what a password must not contain: words of names, runs of their characters."""
    latin = [
        part
        for text in _texts(names)
        for part in _LATIN.findall(text)
        if len(part) >= _SHORTEST_LATIN
    ]
    runs = _chinese(names)
    chinese = [
        run[start : start + _SHORTEST_CHINESE]
        for run in runs
        for start in range(len(run) - _SHORTEST_CHINESE + 1)
    ]
    return [
        *latin,
        *chinese,
        *(run for run in runs if len(run) < _SHORTEST_CHINESE),
        names.organisation_code,
    ]


def _without(text: str, words: Iterable[str]) -> str:
    """Return the letters and digits left of a text without words and years."""
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, " ")
    return "".join(character for character in _YEAR.sub(" ", text) if character.isalnum())
