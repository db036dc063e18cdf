import psycopg
import pytest

from gateway.store.errors import StoreAwayError, StoreError, translated


def test_an_error_without_sqlstate_is_named_only() -> None:
    with pytest.raises(StoreError) as caught, translated():
        raise psycopg.DataError("value canary out of range")
    assert str(caught.value) == "DataError"
    assert caught.value.__cause__ is None
    assert caught.value.sqlstate == ""


def test_the_drivers_own_complaint_is_kept() -> None:
    with pytest.raises(StoreError, match="2 placeholders"), translated():
        raise psycopg.ProgrammingError("the query has 2 placeholders but 1 parameters were passed")


@pytest.mark.parametrize("kind", [psycopg.OperationalError, psycopg.InterfaceError])
def test_what_means_away(kind: type[psycopg.Error]) -> None:
    with pytest.raises(StoreAwayError), translated():
        raise kind("gone")


def test_other_exceptions_pass() -> None:
    with pytest.raises(KeyError), translated():
        raise KeyError("mine")
