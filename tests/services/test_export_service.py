"""Tickets through the live disclosure door: asked for, signed by two, stopped by one; one leaf each."""

import pytest

from gateway.exports.plan import parse
from gateway.v1 import export_service_pb2 as pb
from tests.coverage.rpcs import Watch, refused
from tests.exports.cast import Cast, digest
from tests.world import CITY, PROVINCE, held


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        cast = stands.run(Cast.open(stands.world))
        yield lambda work: stands.run(work(cast))


def test_what_is_left_out_of_the_recipient_is_its_own_in_the_plan(province):
    async def work(cast):
        bare = {
            "connection_certificate_sha256": "",
            "encryption_certificate_sha256": "",
            "tunnel_name": "",
        }
        plan = parse((await cast.draft(**bare)).plan)
        assert plan.connection_certificate_sha256 == digest(cast["wang"])
        assert plan.encryption_certificate_sha256 == digest(cast.encryption["wang"])
        assert plan.tunnel == cast.origin(CITY).tunnel
        # A certificate that was taken back never returns: of somebody whom no other test needs.
        sql = (
            "UPDATE gateway.certificate SET state = 2, revoked_us = 1"
            " WHERE purpose = 2 AND subject_name = 'yang'"
        )
        cast.world.sql(sql)
        theirs = cast.plan_of_county(**bare)
        error = await refused(cast.ask(cast["chen"], "DraftExport", theirs))
        assert cast.rules(error) == {"EX-CERTIFICATE"}

    province(work)


def test_a_ticket_goes_its_way_and_every_step_is_a_leaf(province):
    async def work(cast):
        watch = Watch(cast.world)
        ticket = await cast.approved()
        leaves = [leaf for leaf in await watch.leaves() if leaf["kind"].startswith("export.")]
        assert [leaf["kind"] for leaf in leaves] == [
            *("export.draft", "export.submit", *["export.approve"] * 3)
        ]
        assert [leaf["detail"]["to_state"] for leaf in leaves] == [
            *("draft", "submitted", "once_approved", "once_approved", "approved")
        ]
        assert {leaf["detail"]["ticket"] for leaf in leaves} == {ticket.ticket_id}
        assert {leaf["detail"]["plan_sha256"] for leaf in leaves} == {ticket.plan_sha256}
        assert all(leaf["policies"] for leaf in leaves)
        assert [leaf["organisation"] for leaf in leaves] == [CITY, CITY, *[PROVINCE] * 3]
        assert ticket.state == pb.EXPORT_STATE_APPROVED
        assert [one.officer_name for one in ticket.approvals] == ["zhao", "qian", "suny"]
        plan = parse(ticket.plan)
        assert plan.sha256 == ticket.plan_sha256
        assert (plan.requester.name, plan.recipient.name) == ("lian", "wang")

    province(work)
