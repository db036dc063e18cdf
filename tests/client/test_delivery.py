"""A download's parts come one by one; how it ended is told as the gateway told it."""

import asyncio

import pytest

from gateway.client import delivery as module
from gateway.client.client import Client
from gateway.client.delivery import delivery
from gateway.client.secret import Secret
from gateway.errors import Reason, Refusal
from tests.cli.small_admin import served
from tests.cli.small_exports import TICKET
from tests.client.exporting import CHUNK, Exporting
from tests.client.small_gateway import PASSWORD


@pytest.fixture
def gateway():
    with served(Exporting()) as found:
        yield found


def taken(gateway, folder, offset=0):
    """The parts of a download, and the reason of its end."""
    parts = []

    async def run():
        profile = gateway.profile(folder)
        async with (
            Client(profile, password=lambda: Secret(PASSWORD)) as client,
            delivery(client, TICKET, offset) as coming,
        ):
            while part := await coming.part():
                parts.append(part)

    try:
        asyncio.run(run())
    except Refusal as refusal:
        return parts, refusal.reason
    return parts, None


def test_head_chunks_and_tail_and_then_no_more(gateway, tmp_path):
    parts, reason = taken(gateway, tmp_path / "profile", offset=CHUNK)
    assert reason is None
    kinds = [part.WhichOneof("part") for part in parts]
    assert (kinds[0], kinds[-1], set(kinds[1:-1])) == ("head", "tail", {"chunk"})
    assert b"".join(part.chunk for part in parts) == gateway.payload[CHUNK:]


def test_a_refusal_in_the_middle_is_raised_after_what_came(gateway, tmp_path):
    gateway.cuts = [(1, Reason.TICKET_REVOKED)]
    parts, reason = taken(gateway, tmp_path / "profile")
    assert reason is Reason.TICKET_REVOKED
    assert [part.WhichOneof("part") for part in parts] == ["head", "chunk"]


def test_a_gateway_that_sends_nothing_is_away(gateway, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ANSWER_TIMEOUT_S", 0.0)
    assert taken(gateway, tmp_path / "profile") == ([], Reason.FRONT_AWAY)
