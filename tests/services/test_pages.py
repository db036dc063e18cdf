import asyncio
import base64
from types import SimpleNamespace

import pytest

from gateway.clock import TurnedClock
from gateway.errors import Refusal
from gateway.services import pages
from gateway.services.pages import Pages
from gateway.v1.admin_service_pb2 import ListAccountsRequest, ListUnitsRequest


def call(account="a", organisation="140105", subject="spiffe://x"):
    return SimpleNamespace(
        caller=SimpleNamespace(organisation=organisation, account=account, subject=subject)
    )


@pytest.mark.parametrize(
    ("asked", "size"), [(0, 50), (1, 1), (1000, 1000), (1001, 1000), (2**31 - 1, 1000)]
)
def test_size(asked, size):
    assert pages.size(ListUnitsRequest(page_size=asked)) == size


def test_a_negative_size_is_refused():
    with pytest.raises(Refusal) as raised:
        pages.size(ListUnitsRequest(page_size=-1))
    assert raised.value.violations[0].field == "page_size"


def test_a_token_gives_its_position_back():
    sealer = Pages(TurnedClock(0))
    request = ListUnitsRequest(page_size=2, organisation_code="140100")
    assert sealer.position(call(), request) is None
    token = sealer.seal(call(), request, ["1401050001", 7])
    assert "1401050001" not in token
    later = ListUnitsRequest(page_size=9, organisation_code="140100", page_token=token)
    assert sealer.position(call(), later) == ["1401050001", 7]


def test_a_token_is_good_for_its_query_caller_and_hour_only():
    clock = TurnedClock(0)
    sealer = Pages(clock)
    token = sealer.seal(call(), ListUnitsRequest(organisation_code="140100"), ["x"])

    def refused(caller, request, by=sealer):
        with pytest.raises(Refusal) as raised:
            by.position(caller, request)
        assert raised.value.reason == "PAGE_TOKEN_INVALID"

    same = ListUnitsRequest(organisation_code="140100", page_token=token)
    refused(call("b"), same)
    refused(call(organisation="140106"), same)
    refused(call(subject="spiffe://y"), same)
    refused(call(), ListUnitsRequest(organisation_code="140200", page_token=token))
    refused(call(), ListAccountsRequest(organisation_code="140100", page_token=token))
    refused(call(), same, Pages(clock))
    raw = bytearray(base64.urlsafe_b64decode(token))
    raw[-1] ^= 1
    refused(
        call(),
        ListUnitsRequest(
            organisation_code="140100", page_token=base64.urlsafe_b64encode(raw).decode()
        ),
    )
    for text in ("x", "中", "a" * 600, token + "A", token[:8], "=="):
        refused(call(), ListUnitsRequest(organisation_code="140100", page_token=text))
    assert sealer.position(call(), same) == ["x"]
    clock.turn(seconds=3600)
    refused(call(), same)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 100])
def test_pages_within_reach_are_filled_from_further_on(limit):
    numbers = list(range(1, 13))
    asked = []

    async def read(after, count):
        asked.append(after)
        return [one for one in numbers if one > after][:count]

    found = asyncio.run(pages.gather(read, lambda one: one, lambda one: one % 3 == 0, 0, limit))
    assert found == [3, 6, 9, 12][:limit]
    assert asked[0] == 0
