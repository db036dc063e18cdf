"""Every filter narrows, or is refused: none is left out, and an empty place is nowhere (attack 26 of exports.md)."""

from datetime import date

import pytest

from gateway.records.wanted import FIELDS, ORDER_KEY_BYTES, Wanted, count, select

KEY = bytes(range(ORDER_KEY_BYTES))
DAY = date(2025, 3, 1)


def wanted(dataset="vaccinations", divisions=("140105",), **more):
    return Wanted(dataset, divisions, more.pop("order_key", KEY), **more)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"divisions": ()}, "divisions"),
        ({"divisions": ("",)}, "divisions"),
        ({"divisions": ("140105", "%")}, "divisions"),
        ({"divisions": ("1401__",)}, "divisions"),
        ({"divisions": ("1401",)}, "divisions"),
        ({"divisions": ("１４０１０５",)}, "divisions"),
        ({"order_key": b""}, "order_key"),
        ({"dataset": "children", "happened_from": DAY}, "happened"),
        ({"dataset": "children", "vaccine_codes": ("0202",)}, "vaccine_codes"),
        ({"dataset": "stock", "born_until": DAY}, "born"),
        ({"dataset": "adverse_events", "born_from": DAY}, "born"),
    ],
)
def test_what_would_widen_is_refused(changes, named):
    with pytest.raises(ValueError, match=named):
        wanted(**changes)


def test_an_unknown_dataset_is_refused():
    with pytest.raises(KeyError):
        wanted("batches", vaccine_codes=("0202",))
    with pytest.raises(KeyError):
        select(wanted("batches"))


@pytest.mark.parametrize("dataset", FIELDS)
def test_every_value_is_a_parameter(dataset):
    """No value of a plan is in the text of a statement."""
    asked = wanted(dataset, ("140105", "140200", "140000"), units=("1401050001",))
    statement, parameters = select(asked)
    assert statement.count("%") == len(parameters)
    assert parameters[0] == ["140105%", "1402%", "14%"]
    assert not any(text in statement for text in ("1401", "1402"))


def test_all_filters_of_doses_are_conditions():
    days = {f"{name}_{end}": DAY for name in ("born", "happened") for end in ("from", "until")}
    asked = wanted(vaccine_codes=("0202",), units=("1401050001",), **days)
    for statement, parameters in (select(asked), count(asked)):
        assert statement.count("%") == len(parameters)
        assert parameters.count(DAY) == 4
        assert ["0202"] in parameters
        assert ["1401050001"] in parameters
