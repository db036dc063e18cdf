"""Reads gettext's text form (.po): msgid and msgstr, no plurals and no contexts.

The form is that of the GNU gettext manual, section 10.1, so that translators' tools open the files;
read directly, so that a checkout needs no compiled .mo.
"""

import re
from collections.abc import Iterable

_LINE = re.compile(r'(?:(msgid|msgstr) )?"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}


class PoError(ValueError):
    """A catalogue is not in the form that is read here; the text names file and line."""


def parse(lines: Iterable[str], name: str) -> dict[str, str]:
    """Return msgstr by msgid, without the header entry; `name` is the file's name for errors."""
    texts: dict[str, str] = {}
    entry: dict[str, str] = {}
    part = ""
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None or not (match[1] or part):
            raise PoError(f"{name}:{number}: not a line of a catalogue")
        if match[1] == "msgid":
            _close(texts, entry, name)
            entry = {}
        if match[1]:
            part = match[1]
            if part in entry or (part == "msgstr" and "msgid" not in entry):
                raise PoError(f"{name}:{number}: {part} out of order")
            entry[part] = ""
        entry[part] += _ESCAPE.sub(lambda m: _ESCAPED.get(m[1], m[0]), match[2])
    _close(texts, entry, name)
    return texts


def _close(texts: dict[str, str], entry: dict[str, str], name: str) -> None:
    if not entry:
        return
    msgid = entry["msgid"]
    if "msgstr" not in entry:
        raise PoError(f"{name}: no msgstr for {msgid!r}")
    if msgid in texts:
        raise PoError(f"{name}: {msgid!r} stands there twice")
    if msgid:
        texts[msgid] = entry["msgstr"]
