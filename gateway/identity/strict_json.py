"""JSON of a token, read strictly: one object, no name twice, integers as the only numbers."""

import json
from typing import NoReturn


class TokenFaultError(Exception):
    """A token breaks the rule named `rule`, such as "header.members".

    For the log and the tests; the caller hears TOKEN_INVALID. Never holds a part of the token.
    """

    def __init__(self, rule: str) -> None:
        """Name the rule."""
        super().__init__(rule)
        self.rule = rule


def parse_object(encoded: bytes, part: str) -> dict[str, object]:
    """Return the object; raises TokenFaultError("<part>.json") for anything else.

    `part` names it in the fault.
    """
    try:
        document = json.loads(
            encoded.decode("utf-8"),
            object_pairs_hook=_once,
            parse_constant=_refused,
            parse_float=_refused,
        )
    except (ValueError, RecursionError):
        raise TokenFaultError(part + ".json") from None
    if not isinstance(document, dict):
        raise TokenFaultError(part + ".json")
    return document


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _refused(_text: str) -> NoReturn:
    raise ValueError
