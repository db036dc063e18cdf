from gateway.sample.dose_defects import DOSE_DEFECTS
from tests.sample.made import defective

OF_THE_CARD = {"child_not_accepted", "before_its_child"}


def test_every_kind_is_planted_once_in_a_family_at_most():
    planted = {plant.__name__: 0 for plant in DOSE_DEFECTS}
    for family in defective():
        truths = [
            t for t in family.truth if t.kind == "vaccination" and t.defect not in OF_THE_CARD
        ]
        assert len(truths) <= 1
        for truth in truths:
            planted[truth.defect] += 1
            assert truth.record_id in {dose.record_id for dose in family.doses}
    assert min(planted.values()) > 0


def test_a_late_card_leaves_its_first_dose_waiting():
    late = [family for family in defective() if family.late]
    assert late
    for family in late:
        (truth,) = family.truth
        assert truth.then == "accepted"
        assert [dose.record_id for dose in family.doses] == [truth.record_id]
