"""What a recipient says binds it: signed over bytes that both sides know, and only of what it opened itself."""

import asyncio
from datetime import date

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.client import attesting, sealed
from gateway.client.client import Client
from gateway.client.sealed import ExportError, Note
from gateway.client.secret import Secret
from gateway.exports import receipt
from gateway.v1 import export_service_pb2 as pb
from tests.cli.small_admin import served
from tests.cli.small_exports import TICKET
from tests.client.exporting import Exporting
from tests.client.small_gateway import PASSWORD

DAY = date(2026, 12, 31)


@pytest.fixture
def gateway():
    with served(Exporting()) as found:
        yield found


@pytest.fixture
def profile(gateway, tmp_path):
    return gateway.profile(tmp_path / "profile")


def asked(profile, work):
    async def run():
        async with Client(profile, password=lambda: Secret(PASSWORD)) as client:
            return await work(client)

    return asyncio.run(run())


def test_both_sides_sign_and_verify_the_same_bytes():
    assert attesting.receipt(TICKET, "ab" * 32) == receipt.statement(TICKET, "ab" * 32)
    theirs = receipt.attestation(TICKET, "cd" * 32, DAY)
    assert attesting.attestation(TICKET, "cd" * 32, DAY) == theirs


def test_only_what_was_opened_here_is_acknowledged_and_by_its_manifest(gateway, profile):
    with pytest.raises(ExportError) as error:
        asked(profile, lambda client: attesting.acknowledge(client, TICKET))
    assert error.value.code == "NOT_OPENED"
    assert gateway.asked == []
    sealed.remember(profile, TICKET, Note({}, "ab" * 32, "/there"))
    told = asked(profile, lambda client: attesting.acknowledge(client, TICKET))
    assert told.state == pb.EXPORT_STATE_ACKNOWLEDGED
    assert gateway.asked[-1].manifest_sha256 == "ab" * 32


def test_the_destruction_is_signed_for_the_plan_as_its_bytes_say(gateway, profile):
    told = asked(profile, lambda client: attesting.destroyed(client, TICKET, DAY))
    assert told.state == pb.EXPORT_STATE_DESTROYED
    [request] = gateway.asked
    day = request.destroyed_date
    assert (day.year, day.month, day.day) == (2026, 12, 31)
    key = load_pem_private_key(profile.key.read_bytes(), None)
    signed = receipt.attestation(TICKET, gateway.ticket.plan_sha256, DAY)
    key.public_key().verify(request.signature, signed, ec.ECDSA(SHA256()))
