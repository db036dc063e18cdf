"""Ages in months as the schedule counts them, and days as the contract writes them."""

import calendar
from datetime import UTC, date, datetime, time, timedelta
from functools import cache

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.clock import SHANGHAI
from gateway.v1 import types_pb2 as t

_MONTHS = 12


def months_later(day: date, months: int) -> date:
    """Return the day `months` later, clamped: 2024-12-31 and two months is 2025-02-28."""
    index = day.month - 1 + months
    year, month = day.year + index // _MONTHS, index % _MONTHS + 1
    return date(year, month, min(day.day, _last_day(year, month)))


def as_date(day: date) -> t.Date:
    """Return the contract's message for a day."""
    return t.Date(year=day.year, month=day.month, day=day.day)


def from_date(message: t.Date) -> date:
    """Return the day of the contract's message."""
    return date(message.year, message.month, message.day)


def moment(day: date, minute: int) -> Timestamp:
    """Return the time `minute` minutes after midnight of a day in Shanxi."""
    local = datetime.combine(day, time(), SHANGHAI) + timedelta(minutes=minute)
    return Timestamp(seconds=int(local.astimezone(UTC).timestamp()))


def month_end(day: date) -> date:
    """Return the last day of the month."""
    return day.replace(day=_last_day(day.year, day.month))


@cache
def _last_day(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]
