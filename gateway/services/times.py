"""Times and days between the contract's messages and the values that rooms work with."""

from datetime import date

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.clock import US_PER_S
from gateway.services.requests import invalid
from gateway.v1.types_pb2 import Date

_NS_PER_US = 1000


def timestamp(us: int) -> Timestamp:
    """Return the Timestamp of microseconds since the epoch."""
    return Timestamp(seconds=us // US_PER_S, nanos=us % US_PER_S * _NS_PER_US)


def microseconds(moment: Timestamp) -> int:
    """Return the microseconds since the epoch of a Timestamp."""
    return int(moment.seconds * US_PER_S + moment.nanos // _NS_PER_US)


def message(day: date) -> Date:
    """Return the message of a day."""
    return Date(year=day.year, month=day.month, day=day.day)


def day(given: Date, field: str) -> date:
    """Return the day of a message.

    Raises FIELD_INVALID naming the field when there is no such day.
    """
    try:
        return date(given.year, given.month, given.day)
    except ValueError:
        raise invalid(field, "DATE", "A day that exists.", "须为真实存在的日期。") from None
