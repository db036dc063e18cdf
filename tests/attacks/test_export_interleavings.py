"""No sequence of fetch, resume, receipt, release, revocation and passing time leaves a key without its leaf and its debit.

The live disclosure door with its real SQL; hypothesis chooses the sequences.
"""

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from gateway.clock import US_PER_S
from gateway.exports import payloads
from gateway.v1 import export_service_pb2 as pb
from tests.exports.cast import Cast, about
from tests.exports.fetching import DOOR, chore, download, list_children, received_for, release
from tests.exports.planted import plant
from tests.world import RefusedError, held

HEADER, PAYLOAD = b"header", b"noise" * 100
WINDOW_S, STEP_S = 100, 30


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands, stands.run(Cast.open(stands.world))


def machine(stands, cast, reached):
    """The machine of this province; `reached` is told each ticket whose key came."""

    class Interleaved(RuleBasedStateMachine):
        """A sealed ticket whose window ends soon, and everybody who may touch it."""

        @initialize()
        def seal(self):
            now = datetime.fromtimestamp(cast.world.clock.now_us() // US_PER_S, UTC)
            end = Timestamp()
            end.FromDatetime(now + timedelta(seconds=WINDOW_S))
            self.begin = cast.world.size()
            self.ticket = plant(cast, 5, not_after_time=end, row_cap_count=2_000)
            place = payloads.path(cast.world.home.exports, self.ticket.ticket_id)
            place.write_bytes(PAYLOAD)
            sql = "INSERT INTO gateway.export_header (ticket_id, header) VALUES (%s, %s)"
            cast.world.sql(sql, self.ticket.ticket_id, HEADER)
            list_children(cast, self.ticket)
            self.keys = 0
            self.stopped = False

        def ask(self, work):
            """Do it where it is allowed; return the answer."""
            try:
                return stands.run(work)
            except RefusedError as error:
                if error.code == "INTERNAL":
                    raise
                return None

        @rule(offset=st.integers(0, len(PAYLOAD)))
        def fetch(self, offset):
            fetched = stands.run(download(cast, self.ticket, offset=offset))
            assert not (self.stopped and fetched.parts)

        @rule()
        def receive(self):
            self.ask(received_for(cast, self.ticket))

        @rule()
        def take_the_key(self):
            answer = self.ask(release(cast, self.ticket))
            if answer is not None:
                assert (answer.header, self.stopped) == (HEADER, False)
                self.keys += 1
                reached.append(self.ticket.ticket_id)

        @rule()
        def do_all(self):
            """What an honest recipient does, so that the key is often reached."""
            self.fetch(0)
            self.receive()
            self.take_the_key()

        @rule()
        def revoke(self):
            request = about(pb.RevokeExportRequest, self.ticket)
            if self.ask(cast.ask(cast["song"], "RevokeExport", request)) is not None:
                assert self.keys == 0
                self.stopped = True

        @rule()
        def time_passes(self):
            cast.world.clock.turn(seconds=STEP_S)
            stands.run(chore(cast, "Mover").expire(DOOR))
            self.stopped = self.stopped or cast.state(self.ticket) == "expired"

        @invariant()
        def no_key_without_its_leaf_and_its_debit(self):
            if not hasattr(self, "ticket"):
                return
            number = self.ticket.ticket_id
            told = [
                leaf
                for leaf in cast.world.leaves(self.begin)
                if leaf["kind"] == "export.release"
                and leaf["decision"] == "allow"
                and leaf["detail"]["ticket"] == number
            ]
            assert len(told) == self.keys
            sql = "SELECT count(*) FROM gateway.export_debit WHERE ticket_id = %s"
            assert cast.world.sql(sql, number)[0][0] == (
                self.ticket.built_child_count if self.keys else 0
            )
            kept = cast.world.sql(
                "SELECT 1 FROM gateway.export_header WHERE ticket_id = %s", number
            )
            assert not (self.stopped and kept)

    return Interleaved


def _hold(province, examples):
    reached = []
    stands, cast = province
    run_state_machine_as_test(
        machine(stands, cast, reached),
        settings=settings(
            max_examples=examples,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert reached


@pytest.mark.timeout(300)
def test_no_interleaving_leaves_a_key_without_its_leaf_and_debit(province):
    _hold(province, 12)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nor_do_three_hundred_others(province):
    _hold(province, 300)
