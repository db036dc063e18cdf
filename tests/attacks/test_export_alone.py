"""No sequence of calls by fewer than two distinct approvers of the province ever releases a key.

The live disclosure door with its real SQL, and its own builder; hypothesis chooses the sequences. The pure state machine
is held to the same in tests/exports/test_ticket.py.
"""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from gateway.v1 import export_service_pb2 as pb
from tests.exports.cast import Cast, about
from tests.exports.fetching import DOOR, chore, download, receipt_for, release, uploaded
from tests.world import RefusedError, held

# zhao under both accounts is one; suny asked for it under another account; hang approves for a city; song and lian not at all.
WHO = st.sampled_from(["zhao", "zhao.other", "suny", "hang", "song", "lian"])
ASKING = "suny.asks"


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        cast = stands.run(Cast.open(stands.world))
        stands.run(uploaded(cast))
        cast.second_account("suny", ASKING)
        sql = "UPDATE gateway.account SET roles = '{requester}' WHERE name = %s"
        cast.world.sql(sql, ASKING)
        yield stands, cast


async def asked(cast):
    """A ticket that suny asks for, under the other account, and that waits for approvals."""
    return await cast.submit(await cast.draft(by=ASKING), by=ASKING)


async def key(cast, ticket):
    """All that comes after the approvals: built, taken, signed for, released."""
    await chore(cast, "Builder").look(DOOR)
    fetched = await download(cast, ticket)
    await cast.ask(cast["wang"], "ReceiveExport", receipt_for(cast, ticket, fetched.payload))
    return (await release(cast, ticket)).header


def machine(stands, cast):
    class Alone(RuleBasedStateMachine):
        """One approver of the province, and whoever else would like to be the second."""

        @initialize()
        def ask_for_it(self):
            self.begin = cast.world.size()
            self.ticket = stands.run(asked(cast))

        def attempt(self, work):
            try:
                return stands.run(work)
            except RefusedError as error:
                if error.code == "INTERNAL":
                    raise
                return None

        @rule(by=WHO, signer=WHO, apart=st.booleans())
        def approve(self, by, signer, apart):
            if apart:
                cast.world.clock.turn(seconds=121)
            person = cast[by]
            signature = cast.signed(self.ticket, cast[signer]).signature
            request = cast.signed(self.ticket, person, signature=signature)
            self.attempt(cast.ask(person, "ApproveExport", request))

        @rule(by=WHO, rpc=st.sampled_from(["HoldExport", "UnholdExport"]))
        def hold(self, by, rpc):
            request = about(getattr(pb, f"{rpc}Request"), self.ticket)
            self.attempt(cast.ask(cast[by], rpc, request))

        @rule()
        def take_it(self):
            assert self.attempt(key(cast, self.ticket)) is None

        @rule()
        def take_the_key(self):
            assert self.attempt(release(cast, self.ticket)) is None

        @invariant()
        def nothing_is_approved_and_nothing_left(self):
            if not hasattr(self, "ticket"):
                return
            number = self.ticket.ticket_id
            assert cast.state(self.ticket) in {"submitted", "once_approved"}
            for table in ("ticket_approval", "export_header", "export_debit"):
                rows = cast.world.sql(f"SELECT 1 FROM gateway.{table} WHERE ticket_id = %s", number)
                assert len(rows) <= (table == "ticket_approval"), table
            moved = {
                leaf["detail"]["to_state"]
                for leaf in cast.world.leaves(self.begin)
                if "to_state" in leaf.get("detail", {}) and leaf["detail"]["ticket"] == number
            }
            assert moved <= {"draft", "submitted", "once_approved"}

    return Alone


def _hold(province, examples):
    stands, cast = province
    run_state_machine_as_test(
        machine(stands, cast),
        settings=settings(
            max_examples=examples,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

    async def enough():
        # Who is nobody's requester here signs too: a first request takes three.
        assert await key(cast, await cast.approved())

    stands.run(enough())


@pytest.mark.timeout(300)
def test_fewer_than_two_approvers_release_nothing(province):
    _hold(province, 10)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nor_in_three_hundred_sequences(province):
    _hold(province, 300)
