"""No sequence of calls by fewer than two distinct approvers of the province ever releases a key.

The live doors with their real SQL, and the disclosure door's own builder; hypothesis chooses the sequences. An administrator of the
province, alone, is one of those who would like to be the second: he makes persons up, resets a real approver, invites, comes with the
code, confirms and grants roles. The pure state machine is held to the same in tests/exports/test_ticket.py.
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

from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import export_service_pb2 as pb
from gateway.v1 import options_pb2 as options
from tests.coverage.rpcs import new_id
from tests.exports.cast import Cast, about
from tests.exports.fetching import DOOR, chore, download, receipt_for, release, uploaded
from tests.papers import fingerprint, new_key
from tests.sealed import officer
from tests.services.enrolling import enrol, invitation
from tests.services.test_register_service import ask
from tests.world import PROVINCE, RefusedError, held

# zhao under both accounts is one; suny asked for it under another account; hang approves for a city; song and lian not at all.
WHO = st.sampled_from(["zhao", "zhao.other", "suny", "hang", "song", "lian"])
ASKING = "suny.asks"
# A real approver, whom the administrator resets.
RESET = "wenl"


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        cast = stands.run(Cast.open(stands.world))
        stands.run(uploaded(cast))
        cast.second_account("suny", ASKING)
        sql = "UPDATE gateway.account SET roles = '{requester}' WHERE name = %s"
        cast.world.sql(sql, ASKING)
        stands.run(officer(cast.world, RESET, "approver"))
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


class Administrator:
    """What one administrator of the province does for a second approver: by rpcs, and with nobody's help."""

    def __init__(self, world):
        self._world, self._alone = world, world.province_admin
        self.made_up, self.invited = [], []

    async def _ask(self, rpc, response=None, **fields):
        request = getattr(admin, f"{rpc}Request")(request_id=new_id(), **fields)
        return await ask(self._world, self._alone, rpc, request, response)

    async def make_up(self):
        name = f"made-{new_id()[:8]}"
        where = {"organisation_code": PROVINCE, "system_name": name}
        await self._ask("CreateSystem", **where, officer=True)
        await self._ask("CreateAccount", **where, account_name=name, roles=[options.ROLE_REQUESTER])
        self.made_up.append(name)

    async def reset(self):
        where = {"organisation_code": PROVINCE, "account_name": RESET}
        await self._ask("ResetPassword", **where, reason="forgot it")

    async def invite(self, *, second):
        for name in (RESET, *self.made_up):
            request = invitation(name, PROVINCE, officer=True, needs_approval=second)
            answer = admin.InviteCertificateResponse
            made = await ask(self._world, self._alone, "InviteCertificate", request, answer)
            self.invited.append((made, new_key()))

    async def grant(self):
        for name in self.made_up:
            where = {"organisation_code": PROVINCE, "account_name": name}
            roles = [options.ROLE_APPROVER]
            await self._ask("SetAccountRoles", **where, roles=roles, reason="another duty")

    async def confirm(self):
        for made, key in self.invited:
            spki = fingerprint(key)
            await self._ask("ApproveEnrolment", invitation_id=made.invitation_id, spki_sha256=spki)

    async def come(self):
        """Enrol with each code: the certificate with which he would sign as somebody else."""
        for made, key in self.invited:
            await enrol(self._world, made.code, key, self._alone)


ACTS = st.sampled_from(["make_up", "reset", "invite", "invite_two", "grant", "confirm", "come"])


def machine(stands, cast):
    class Alone(RuleBasedStateMachine):
        """One approver of the province, and whoever else would like to be the second."""

        @initialize()
        def ask_for_it(self):
            self.begin = cast.world.size()
            self.ticket = stands.run(asked(cast))
            self.administrator = Administrator(cast.world)
            self.apart = False

        def attempt(self, work):
            try:
                return stands.run(work)
            except RefusedError as error:
                if error.code == "INTERNAL":
                    raise
                return None

        @rule(act=ACTS)
        def administer(self, act):
            he, word = self.administrator, act.partition("_two")[0]
            work = he.invite(second=act != word) if word == "invite" else getattr(he, act)()
            self.attempt(work)

        @rule(by=WHO, signer=WHO, apart=st.booleans())
        def approve(self, by, signer, apart):
            # Once: what is asked is not how long they wait, and every turn costs everybody a login.
            if apart and not self.apart:
                cast.world.clock.turn(seconds=121)
                self.apart = True
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
        def nothing_is_approved(self):
            if hasattr(self, "ticket"):
                assert cast.state(self.ticket) in {"submitted", "once_approved"}

        def teardown(self):
            """Nothing is left of all that was tried, as rows and leaves have it."""
            number = self.ticket.ticket_id
            for table in ("ticket_approval", "export_header", "export_debit"):
                rows = cast.world.sql(f"SELECT 1 FROM gateway.{table} WHERE ticket_id = %s", number)
                assert len(rows) <= (table == "ticket_approval"), table
            moved = {
                leaf["detail"]["to_state"]
                for leaf in cast.world.leaves(self.begin)
                if "to_state" in leaf.get("detail", {}) and leaf["detail"]["ticket"] == number
            }
            assert moved <= {"draft", "submitted", "once_approved"}
            made = [made.invitation_id for made, _ in self.administrator.invited]
            issued = "SELECT id FROM gateway.invitation WHERE id = ANY(%s) AND state NOT IN (1, 2)"
            assert cast.world.sql(issued, made) == []

    return Alone


def _hold(province, examples, steps):
    stands, cast = province
    run_state_machine_as_test(
        machine(stands, cast),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
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
    _hold(province, 10, 12)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nor_in_three_hundred_sequences(province):
    _hold(province, 300, 8)
