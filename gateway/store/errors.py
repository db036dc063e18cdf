"""What can go wrong in the store, in our words. No text here ever holds a value of a row."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

# SQLSTATE classes whose primary message names objects and states, never a row's values: connection,
# authorization, transaction rollback, syntax and access, resources, object not in state, operator
# intervention, system.
_SAYABLE = ("08", "28", "40", "42", "53", "55", "57", "58")


class StoreError(Exception):
    """A statement failed; `sqlstate` is PostgreSQL's code, `constraint` what it broke, or ""."""

    def __init__(self, text: str, *, sqlstate: str = "", constraint: str = "") -> None:
        """Say what failed without values."""
        super().__init__(text)
        self.sqlstate = sqlstate
        self.constraint = constraint


class StoreAwayError(StoreError):
    """The database does not answer, or not in time; what happened to an open COMMIT is unknown."""


class UniqueViolationError(StoreError):
    """A row with this key exists."""


class MigrationError(Exception):
    """The schema could not be brought to this code's version."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn psycopg's errors in the block into ours, without text where it could hold values."""
    try:
        yield
    except psycopg.Error as error:
        raise _ours(error) from None


def _ours(error: psycopg.Error) -> StoreError:
    sqlstate = error.sqlstate or ""
    constraint = error.diag.constraint_name or ""
    said = error.diag.message_primary if sqlstate[:2] in _SAYABLE else None
    if type(error) is psycopg.ProgrammingError:  # psycopg's own, about placeholders and types
        said = str(error)
    text = ": ".join(part for part in (type(error).__name__, sqlstate, constraint, said) if part)
    if isinstance(error, psycopg.errors.UniqueViolation):
        return UniqueViolationError(text, sqlstate=sqlstate, constraint=constraint)
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return StoreAwayError(text, sqlstate=sqlstate, constraint=constraint)
    return StoreError(text, sqlstate=sqlstate, constraint=constraint)
