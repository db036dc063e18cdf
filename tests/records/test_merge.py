"""Merges and devices."""

import pytest

from gateway.records import card, merge
from gateway.v1.child_pb2 import ChildMerge
from gateway.v1.types_pb2 import Device
from tests.records.office import desk, ids
from tests.uploads.county import FOREIGN_UNIT, TODAY, UNIT, _set, a_child, a_date

KEPT, TWIN, OTHER = (a_child(n).child_code for n in (1, 2, 3))


def a_merge(**changes):
    found = ChildMerge(
        merge_id="M-1",
        kept_child_code=KEPT,
        retired_child_codes=[TWIN],
        reason="重卡",
        unit_code=UNIT,
    )
    for name, value in changes.items():
        _set(found, name, value)
    return found


def a_device(**changes):
    found = Device(
        device_id="S-1", unit_code=UNIT, type=Device.TYPE_SCANNER, commissioned_date=a_date(TODAY)
    )
    for name, value in changes.items():
        _set(found, name, value)
    return found


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, []),
        ({"retired_child_codes": [TWIN, OTHER]}, []),
        ({"merge_id": ""}, ["EN-10"]),
        ({"unit_code": FOREIGN_UNIT}, ["EN-03"]),
        ({"kept_child_code": "1"}, ["CH-01"]),
        ({"retired_child_codes": ["1"]}, ["CH-01"]),
        ({"retired_child_codes": []}, ["ME-01"]),
        ({"retired_child_codes": [KEPT]}, ["ME-01"]),
        ({"retired_child_codes": [KEPT, TWIN]}, ["ME-01"]),
        ({"retired_child_codes": [TWIN, TWIN]}, ["ME-01"]),
        ({"retired_child_codes": [a_child(n).child_code for n in range(2, 30)]}, ["ME-01"]),
        ({"reason": " "}, ["ME-01"]),
    ],
)
def test_merges(changes, broken):
    assert ids(merge.judge_merge(a_merge(**changes), desk())) == broken


def test_me_02_cards_are_known_in_use_and_ones_own():
    tags = merge.merge_tags(a_merge(), desk())
    cards = {
        tag: card.key_of(card.read(a_child(n)), desk(), 0).child for n, tag in enumerate(tags, 1)
    }
    assert merge.judge_merge_known(tags, cards, (), desk()) == []
    assert ids(merge.judge_merge_known(tags, {tags[0]: cards[tags[0]]}, (), desk())) == ["ME-02"]
    assert ids(merge.judge_merge_known(tags, cards, (tags[1],), desk())) == ["ME-02"]
    foreign = cards | {tags[1]: cards[tags[1]]._replace(unit_code=FOREIGN_UNIT)}
    assert ids(merge.judge_merge_known(tags, foreign, (), desk())) == ["ME-02"]


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, []),
        ({"commissioned_date": None}, []),
        ({"device_id": ""}, ["EN-10"]),
        ({"unit_code": FOREIGN_UNIT}, ["EN-03"]),
        ({"type": 0}, ["DE-01"]),
        ({"type": 9}, ["EN-08"]),
        ({"commissioned_date__day": 0}, ["EN-10"]),
        ({"revision": 2**31}, ["EN-10"]),
    ],
)
def test_devices(changes, broken):
    assert ids(merge.judge_device(a_device(**changes), desk())) == broken


def test_ids():
    assert merge.merge_id(a_merge(merge_id="11010519491231002X")) == ""
    assert merge.device_id(a_device()) == "S-1"
