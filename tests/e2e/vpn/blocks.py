"""Commands and settings cut out of docs/operations.md: the suite runs what a person reads."""

import re

from tests.house.tree import ROOT

_PAGE = ROOT / "docs" / "operations.md"
_FENCED = re.compile(r"^```(?:sh|toml|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def block(section: str, opening: str) -> str:
    """Return the one fenced block of a section ("### …") whose first line, a comment, begins so."""
    page = _PAGE.read_text(encoding="utf-8")
    (text,) = re.findall(
        rf"^### {re.escape(section)}\n(.*?)(?=^##)", page, re.MULTILINE | re.DOTALL
    )
    (found,) = (one for one in _FENCED.findall(text) if one.startswith(f"# {opening}"))
    return str(found)
