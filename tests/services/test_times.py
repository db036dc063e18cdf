from datetime import date

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.errors import InvalidError
from gateway.services import times
from gateway.v1.types_pb2 import Date


@pytest.mark.parametrize("us", [0, 1, 1_790_000_000_123_456, 253_402_214_400_000_000])
def test_times_there_and_back(us):
    made = times.timestamp(us)
    assert times.microseconds(made) == us
    other = Timestamp()
    other.FromMicroseconds(us)
    assert made == other


def test_days_there_and_back():
    assert times.day(times.message(date(2024, 2, 29)), "f") == date(2024, 2, 29)


@pytest.mark.parametrize("given", [(0, 0, 0), (2023, 2, 29), (10**6, 1, 1)], ids=str)
def test_a_day_that_does_not_exist(given):
    year, month, day = given
    with pytest.raises(InvalidError) as raised:
        times.day(Date(year=year, month=month, day=day), "units[3].active_from_date")
    assert raised.value.violations[0].field == "units[3].active_from_date"
