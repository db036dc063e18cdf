"""The desk of one batch."""

from datetime import date

from gateway.clock import US_PER_S
from gateway.records.desk import ordinal_of_seconds
from tests.records.office import desk
from tests.uploads.county import FOREIGN_UNIT, UNIT, Register


def test_today_is_shanghais():
    # 2026-01-01 00:30 in Shanxi is still 2025 in UTC.
    moment = 1767198600
    assert desk(now_us=moment * US_PER_S).today == date(2026, 1, 1)
    assert date.fromordinal(ordinal_of_seconds(moment)) == date(2026, 1, 1)
    assert date.fromordinal(ordinal_of_seconds(moment - 1801)) == date(2025, 12, 31)


def test_tags_differ_by_domain():
    place = desk()
    assert place.child_tag("1") == place.child_tag("1") == place.tag("child", "1")
    assert place.tag("name", "1") != place.tag("child", "1")


def test_the_register_is_asked_once():
    class Counting(Register):
        asked = 0

        def unit(self, code):
            Counting.asked += 1
            return super().unit(code)

    place = desk(units=Counting())
    assert place.unit(UNIT) is place.unit(UNIT) is not None
    assert place.unit("x") is place.unit("x") is None
    assert Counting.asked == 2
    assert place.in_scope(UNIT)
    assert not place.in_scope(FOREIGN_UNIT)


def test_delegated_units_are_in_scope():
    register = Register()
    register.delegates = frozenset({"140105"})
    assert desk(units=register).in_scope(FOREIGN_UNIT)
    assert not desk(units=register).in_scope("1401069999")
