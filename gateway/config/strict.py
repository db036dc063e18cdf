"""TOML tables to frozen dataclasses, strictly.

An unknown key, a missing one or another type is an error naming the key.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

# What TOML can hold for a field of this type; bool is no int here.
_PLAIN: Mapping[type, tuple[type, ...]] = {
    str: (str,),
    int: (int,),
    float: (float, int),
    bool: (bool,),
}

Built = TypeVar("Built")


class SettingsError(Exception):
    """A file of settings or policies is not as it must be; the text names file and key."""


def read(path: Path) -> dict[str, object]:
    """Return the table of a TOML file; raises SettingsError when it cannot be read or parsed."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise SettingsError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path}: not TOML: {error}"
        raise SettingsError(msg) from error


def parse(text: str, where: str) -> dict[str, object]:
    """Return the table of a TOML text; raises SettingsError, `where` naming it."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"{where}: not TOML: {error}"
        raise SettingsError(msg) from error


def build(kind: type[Built], table: Mapping[str, object], where: str) -> Built:
    """Return the dataclass `kind` filled from a table; `where` stands before a key in an error."""
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type] # a dataclass by contract
    for key in table:
        if key not in known:
            msg = f"{where}{key}: unknown key"
            raise SettingsError(msg)
    hints = get_type_hints(kind)
    values = {
        name: _value(hints[name], table[name], f"{where}{name}")
        for name, field in known.items()
        if _given(field, table, where)
    }
    return kind(**values)


def _given(
    field: "Field[Any]", table: Mapping[str, object], where: str
) -> bool:  # Any: a field of any type
    if field.name in table:
        return True
    if field.default is MISSING and field.default_factory is MISSING:
        msg = f"{where}{field.name}: missing"
        raise SettingsError(msg)
    return False


# Any: a type or a generic alias, for which typing has no common name.
def _value(hint: Any, given: object, where: str) -> object:  # noqa: ANN401
    if is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(given, Mapping):
            msg = f"{where}: must be a table"
            raise SettingsError(msg)
        return build(hint, given, f"{where}.")
    if get_origin(hint) is tuple:
        if not isinstance(given, list):
            msg = f"{where}: must be a list"
            raise SettingsError(msg)
        element = get_args(hint)[0]
        return tuple(_value(element, one, f"{where}[{n}]") for n, one in enumerate(given))
    if type(given) not in _PLAIN[hint]:
        msg = f"{where}: must be {hint.__name__}, not {type(given).__name__}"
        raise SettingsError(msg)
    return float(given) if hint is float else given  # type: ignore[arg-type] # an int or a float here
