"""Texts by id and language, out of the catalogues; placeholders are {name}."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

from gateway.messages.po import PoError, parse

Language = Literal["zh", "en"]
SUFFIXES: Mapping[Language, str] = {"zh": ".zh_CN.po", "en": ".en.po"}


def text(msgid: str, language: Language, **parameters: object) -> str:
    """Return the text of an id with its placeholders filled.

    An id that no catalogue has comes back as it is: a message must not fail where it reports a
    failure. tests/house holds that every id used has both languages and the same placeholders.
    """
    template = catalogue(language).get(msgid)
    if template is None:
        return msgid
    return template.format_map(_Given(parameters))


class _Given(dict[str, object]):
    """The parameters given; a placeholder without one stays as it is, for the same reason."""

    def __missing__(self, name: str) -> str:
        return f"{{{name}}}"


def language(environ: Mapping[str, str]) -> Language:
    """Return the user's language after POSIX: LC_ALL, LC_MESSAGES, LANG; zh for any Chinese."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = environ.get(name, "")
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


@cache
def catalogue(language: Language) -> Mapping[str, str]:
    """Return every text of a language by id; raises PoError when two files have the same id."""
    texts: dict[str, str] = {}
    folder = files("gateway.messages") / "catalogue"
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(SUFFIXES[language]):
            continue
        found = parse(file.read_text(encoding="utf-8").splitlines(), file.name)
        twice = texts.keys() & found.keys()
        if twice:
            raise PoError(f"{file.name}: {min(twice)!r} stands in another catalogue too")
        texts.update(found)
    return texts
