"""A card beside stored ones: CH-19, CH-20, CH-22, CH-23, and what is the same card."""

import pytest

from gateway.records import card, card_history
from gateway.v1.child_pb2 import IDENTITY_DOCUMENT_RESIDENT_CARD, SEX_MALE
from tests.records.office import desk, ids, paths
from tests.records.test_child import number
from tests.uploads.county import TODAY, a_child


def key(record, index=0):
    return card.key_of(card.read(record), desk(), index)


def judged(record, stored=None, *, retired=False, owners=None):
    before = None if stored is None else key(stored).child
    return card_history.judge(key(record), before, retired=retired, owners=owners or {})


def test_a_new_card():
    assert judged(a_child()) == []
    assert judged(a_child(revision=3)) == []


def test_the_same_card_again():
    stored = key(a_child()).child
    assert card_history.same_card(key(a_child(revision=2)).child, stored)
    assert not card_history.same_card(key(a_child(household__detail="别处")).child, stored)
    assert not card_history.same_card(stored, None)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"name": "王大明"}, ["child.name"]),
        ({"name": " 王小 明"}, []),
        ({"sex": SEX_MALE}, ["child.sex"]),
        ({"birth_date": TODAY}, ["child.birth_date"]),
        ({"household__detail": "新地址"}, []),
    ],
)
def test_ch_19_a_change_of_the_person_needs_a_reason(changes, found):
    changed = a_child(revision=1, **changes)
    assert paths(judged(changed, a_child())) == found
    assert judged(a_child(revision=1, correction_reason="更名", **changes), a_child()) == []


@pytest.mark.parametrize(("revision", "found"), [(0, ["CH-20"]), (1, ["CH-20"]), (2, []), (9, [])])
def test_ch_20_stale_revision(revision, found):
    assert (
        ids(judged(a_child(revision=revision, birth_weight_grams=1), a_child(revision=1))) == found
    )


def test_ch_22_retired():
    assert ids(judged(a_child(), retired=True)) == ["CH-22"]


def test_ch_23_identity_of_another_card():
    mine = {"document": IDENTITY_DOCUMENT_RESIDENT_CARD, "document_number": number()}
    tag = key(a_child(**mine)).identities[0]
    assert ids(judged(a_child(**mine), owners={tag: b"another"})) == ["CH-23"]
    assert judged(a_child(**mine), owners={tag: key(a_child()).child.child_tag}) == []


def test_ch_23_birth_certificate_of_another_card():
    mine = {"birth_certificate_number": "V140000001"}
    tag = key(a_child(**mine)).identities[0]
    assert ids(judged(a_child(**mine), owners={tag: b"another"})) == ["CH-23"]
