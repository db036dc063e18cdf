import re

import grpc
import pytest

from gateway.errors import REASONS, Reason, Refusal, Violation, refuse


@pytest.mark.parametrize("reason", Reason)
def test_a_refusal_is_of_its_reasons_family(reason):
    refusal = refuse(reason)
    assert type(refusal) is REASONS[reason].family
    assert str(refusal) == refusal.reason == reason.value == reason.name
    assert re.fullmatch(r"[A-Z][A-Z0-9_]{1,61}[A-Z0-9]", reason), "AIP-193's form of a reason"


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


def test_texts_are_whole_sentences_without_placeholders():
    for reason, meaning in REASONS.items():
        assert not re.search(r"[{}%]", meaning.english + meaning.chinese), reason
        assert re.search(r"[\u4e00-\u9fff]", meaning.chinese), reason
