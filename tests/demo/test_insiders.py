import asyncio

import pytest

from gateway.demo import insiders
from gateway.demo.insiders import ACCEPTED, VERIFIED
from gateway.errors import Reason, refuse


def test_an_attempt_ends_with_a_reason_or_accepted():
    async def fails():
        raise refuse(Reason.POLICY_DENIED)

    async def works():
        return None

    assert asyncio.run(insiders.reason_of(fails())) == "POLICY_DENIED"
    assert asyncio.run(insiders.reason_of(works())) == ACCEPTED


@pytest.mark.serial
def test_an_edited_leaf_is_found_and_put_back(province, tmp_path):
    refused, found = asyncio.run(insiders.edited_leaf(province, 0, tmp_path / "edited"))
    assert refused
    # The first thing that is wrong with a leaf that ends in a space; that its hash is another one is told after it.
    assert found == "LEAF_FORM"
    assert insiders.export_and_verify(province, tmp_path / "log") == VERIFIED
    assert insiders.truncated_log(tmp_path / "log", tmp_path / "short") != VERIFIED
