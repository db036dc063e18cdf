"""Text that came from elsewhere, made harmless for a terminal: it moves no cursor, forges no line.

What a log or a gateway sends may be an attacker's. A character that controls or that nobody sees
(Unicode categories Cc, Cf, Cs, Zl, Zp: escape sequences, NUL, bidirectional marks, line ends) is
shown as JSON would write it.
"""

import json
import unicodedata

# A cell of a table, or a value on its line; what is whole stands in --json.
LONGEST = 400
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_LAYOUT = frozenset("\n\t")


def harmless(text: str) -> str:
    """Return a text with its own lines and tabs, every other such character spelled out."""
    return "".join(each if each in _LAYOUT else _spelled(each) for each in text)


def value(text: str) -> str:
    """Return a value that stays on its line, cut where it is longer than anybody reads."""
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}… ({len(text)})"
    return "".join(map(_spelled, text))


def _spelled(character: str) -> str:
    unseen = unicodedata.category(character) in _UNSEEN
    return json.dumps(character)[1:-1] if unseen else character
