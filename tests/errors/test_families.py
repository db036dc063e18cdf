import grpc
import pytest

from gateway.errors import Reason, Refusal, Violation, refuse


@pytest.mark.parametrize(
    "family", sorted(Refusal.__subclasses__(), key=lambda family: family.__name__)
)
def test_a_family_is_one_of_grpcs_codes(family):
    assert family.code in grpc.StatusCode.__members__
    assert family.code != "OK"
    assert family.__name__.endswith("Error")


def test_families_do_not_share_a_code():
    codes = [family.code for family in Refusal.__subclasses__()]
    assert len(codes) == len(set(codes))


def test_a_refusal_carries_what_it_is_given():
    wrong = Violation("items[0].child.name", "CH-03", "too long", "过长")
    refusal = refuse(
        Reason.FIELD_INVALID, metadata={"limit": "50"}, violations=(wrong,), retry_after_s=2.0
    )
    assert (refusal.metadata, refusal.violations, refusal.retry_after_s) == (
        {"limit": "50"},
        (wrong,),
        2.0,
    )
    assert refusal.leaf_index is None
