"""What is wrong with a field of the register: small checks that collect violations."""

import unicodedata
from collections.abc import Container

from gateway import messages
from gateway.errors import Reason, Violation, refuse

# A name is shown in lists and statuses; longer ones are mistakes.
LONGEST_NAME = 100
# A status carries no more (design/contract.md, "Refusals").
MOST_VIOLATIONS = 50


class Wrong:
    """The violations found so far in one message."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        """Start with none."""
        self._found: list[Violation] = []

    def add(self, field: str, rule: str) -> None:
        """Note that a field breaks a rule.

        `rule` is also the message's id in the catalogue, after "registry.".
        """
        if len(self._found) == MOST_VIOLATIONS:
            return
        texts = {language: messages.text(f"registry.{rule}", language) for language in ("en", "zh")}
        self._found.append(Violation(field, rule, texts["en"], texts["zh"]))

    def unless(self, holds: object, field: str, rule: str) -> None:
        """Note a violation when the condition does not hold."""
        if not holds:
            self.add(field, rule)

    def refuse_if_any(self) -> None:
        """Raise FIELD_INVALID with all that was found, if anything was."""
        if self._found:
            raise refuse(Reason.FIELD_INVALID, violations=tuple(self._found))


def is_name(text: str) -> bool:
    """Tell whether a text can be a name: 1-100 characters, no controls, no outer spaces."""
    plain = not any(unicodedata.category(character).startswith("C") for character in text)
    return 0 < len(text) <= LONGEST_NAME and plain and text == text.strip()


def is_division(code: str, divisions: Container[str]) -> bool:
    """Tell whether the first six digits of a code are a known division (GB/T 2260)."""
    return code[:6] in divisions
