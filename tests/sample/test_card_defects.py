from gateway.sample.card_defects import CARD_DEFECTS
from tests.sample.made import defective


def test_every_kind_is_planted():
    planted = {truth.defect for family in defective() for truth in family.truth}
    assert {plant.__name__ for plant in CARD_DEFECTS} <= planted


def test_a_card_has_one_defect_and_its_first_dose_waits_when_it_is_not_accepted():
    for family in defective():
        truths = [truth for truth in family.truth if truth.kind == "child"]
        assert len(truths) <= 1
        for truth in truths:
            if truth.state in ("quarantined", "rejected") and family.second_card is None:
                assert len(family.doses) <= 1
                waiting = [each.record_id for each in family.truth if each.rules == ("VA-01",)]
                assert waiting == [dose.record_id for dose in family.doses]


def test_a_second_card_has_the_same_number_under_another_code():
    seconds = [family for family in defective() if family.second_card is not None]
    assert seconds
    for family in seconds:
        assert family.second_card.document_number == family.child.document_number != ""
        assert family.second_card.child_code != family.child.child_code
