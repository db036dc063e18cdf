"""Honest people after an authority was retired: duties are met, files called back, pages read; nothing new goes out by it."""

import pytest

from gateway.config import folders
from gateway.pki import ceremony, retired
from gateway.services.export_tickets import TAMPERED_ALERT
from gateway.v1 import export_service_pb2 as pb
from tests.attacks.test_export_owner import thief
from tests.coverage.rpcs import Watch, refused
from tests.exports.cast import Cast, about
from tests.exports.fetching import DOOR, WIDE, a_release, chore, destroyed
from tests.exports.planted import plant
from tests.world import PASSWORD, held


@pytest.fixture
def province(cluster):
    with held(cluster) as stands:
        cast = stands.run(Cast.open(stands.world))
        yield lambda work: stands.run(work(cast))


@pytest.fixture(autouse=True)
def quiet(capfd):
    """No password on any process's output, whatever was tried."""
    yield
    assert PASSWORD not in "".join(capfd.readouterr())


def retire(cast, *, leaf=None):
    """Put another authority in the place of everybody's; the log tells of it by this leaf (its next one)."""
    home = cast.world.home
    told = cast.world.size() if leaf is None else leaf
    retired.keep(home.former_authorities, cast.world.authority.certificate, told)
    folders.replace_public(
        home.client_authority_certificate, ceremony.pem(thief("next").certificate)
    )


async def shown(cast, ticket):
    """What the page of a ticket says of its approvals."""
    request = pb.GetExportRequest(ticket_id=ticket.ticket_id)
    answer = await cast.ask(cast["song"], "GetExport", request)
    return {one.standing for one in answer.ticket.approvals}


DUTIES = [
    ("wang", "AcknowledgeExport", 8, "acknowledged"),
    ("wang", "AttestDestruction", 9, "destroyed"),
    ("song", "RecallExport", 8, "recalled"),
    ("song", "HoldExport", 8, "released"),
    ("song", "RevokeExport", 5, "revoked"),
    ("song", "HoldExport", 5, "sealed"),
]


def test_what_is_owed_can_be_met_and_what_stands_stopped_after_the_authority_was_retired(province):
    async def work(cast):
        tickets = [plant(cast, steps, **WIDE) for _, _, steps, _ in DUTIES]
        assert await shown(cast, tickets[0]) == {pb.APPROVAL_STANDING_GENUINE}
        retire(cast)
        for (name, rpc, _, state), ticket in zip(DUTIES, tickets, strict=True):
            assert await shown(cast, ticket) == {pb.APPROVAL_STANDING_RETIRED}
            request = about(getattr(pb, f"{rpc}Request"), ticket)
            if rpc == "AttestDestruction":
                request = destroyed(cast, ticket)
            if rpc == "AcknowledgeExport":
                request.manifest_sha256 = "34" * 32
            await cast.token(cast[name])
            watch = Watch(cast.world)
            await cast.ask(cast[name], rpc, request)
            leaf = await watch.only_leaf()
            assert (leaf["decision"], cast.state(ticket)) == ("allow", state), rpc
            assert "alert" not in leaf["detail"]

    province(work)


def test_nothing_new_goes_out_by_a_retired_authority(province):
    """As before: the key is refused, and the gateway ends what was not released."""

    async def work(cast):
        asked, waiting = a_release(cast), plant(cast, 3, **WIDE)
        retire(cast)
        await cast.token(cast["wang"])
        watch = Watch(cast.world)
        error = await refused(cast.ask(cast["wang"], "ReleaseExport", asked))
        leaf = await watch.only_leaf()
        assert (error.reason, leaf["reason"]) == ("TICKET_TAMPERED", "TICKET_TAMPERED")
        assert leaf["detail"]["alert"] == TAMPERED_ALERT
        await chore(cast, "Keeper").look(DOOR)
        received = pb.ExportTicket(ticket_id=asked.ticket_id)
        assert [cast.state(one) for one in (received, waiting)] == ["revoked"] * 2

    province(work)


def test_an_approval_told_after_the_retirement_is_nobodys(province):
    """Whoever has the retired authority's key writes no leaf that stands before its retirement."""

    async def work(cast):
        retire(cast, leaf=1)
        ticket = plant(cast, 8, **WIDE)
        assert await shown(cast, ticket) == {pb.APPROVAL_STANDING_FALSE}

    province(work)
