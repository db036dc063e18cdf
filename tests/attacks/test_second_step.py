"""A machine left open: token, key and certificate are at hand, the password is not. Nothing that an officer changes is changed
without it, be it who comes in or who is kept out; guessing it is counted like a login.
"""

import io

import pytest

from gateway import log
from gateway.services import access
from gateway.services.contract import SERVICES
from gateway.v1 import identity_service_pb2 as identity
from tests.attacks.tried import tried
from tests.coverage.rpcs import case_of
from tests.exports.cast import Cast
from tests.world import PASSWORD, held

ADMIN = "/gateway.v1.AdminService/"
CONFIRM = "/gateway.v1.IdentityService/Confirm"
CHANGES = sorted(
    rpc.method
    for rpc in access.read(SERVICES["administration"]).values()
    if rpc.method.startswith(ADMIN) and not rpc.name.startswith(("List", "Get"))
)
TABLES = (
    "account",
    "certificate",
    "invitation",
    "organisation",
    "relation",
    "system",
    "tunnel",
    "unit",
)
LATE_S = 301
LOOKS = ("List", "Get", "Search", "AddCosignatures")


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        stands.world.cast = stands.run(Cast.open(stands.world))
        yield stands


@pytest.fixture(autouse=True)
def process_log(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(log._LINES, "stream", stream)
    return stream


def register(world):
    """Who exists and may come in, as the store has it: but what a login or a call itself notes."""
    fleeting = "- 'last_login_us' - 'first_used_us'"
    return [
        world.sql(f"SELECT to_jsonb(t) {fleeting} FROM gateway.{table} AS t ORDER BY 1")
        for table in TABLES
    ]


@pytest.mark.parametrize("method", CHANGES, ids=[one.removeprefix(ADMIN) for one in CHANGES])
def test_a_token_alone_changes_nothing(province, process_log, method):
    """Five minutes after the password was last shown; what reads is not asked."""

    async def work(world):
        case = case_of(method)
        officer = case.caller(world)
        request = case.message(world)
        token = await world.login(officer)
        world.clock.turn(seconds=LATE_S)
        try:
            before = register(world)

            async def confirmed():
                assert register(world) == before
                own = identity.ConfirmRequest(password=PASSWORD)
                await world.call(officer, CONFIRM, own, token=token)
                await world.call(officer, method, request, token=token)

            _, leaf = await tried(
                world,
                world.call(officer, method, request, token=token),
                "CONFIRMATION_NEEDED",
                secrets=(token, PASSWORD),
                process_log=process_log,
                then=confirmed,
            )
            assert leaf["rpc"] == method
            assert (leaf["account"], leaf["organisation"]) == (
                officer.account,
                officer.organisation,
            )
        finally:
            world.clock.turn(seconds=-LATE_S)

    province.run(work(province.world))


def test_guessing_at_the_second_step_is_counted(province, process_log):
    """Five guesses, then a minute's wait, as at the login itself; the officer has not lost the session."""

    async def work(world):
        officer = world.city_admin
        token = await world.login(officer)
        wrong = [f"{PASSWORD}{n}" for n in range(5)]

        def guess(password):
            request = identity.ConfirmRequest(password=password)
            return world.call(officer, CONFIRM, request, token=token)

        async def alive():
            await world.call(officer, ADMIN + "ListAccounts", b"", token=token)

        for password in wrong:
            heard = {"secrets": (token, password), "process_log": process_log, "then": alive}
            await tried(world, guess(password), "LOGIN_FAILED", **heard)
        # Now the right one is not looked at either.
        heard = {"secrets": (token,), "process_log": process_log, "then": alive}
        await tried(world, guess(PASSWORD), "LOGIN_THROTTLED", **heard)
        world.clock.turn(seconds=61)
        await guess(PASSWORD)
        world.clock.turn(seconds=-61)

    province.run(work(province.world))


def test_nothing_that_an_officer_changes_is_left_out():
    """The contract itself: at the administration door whatever is neither list nor look asks for the password.

    A witness's line is a machine's: it is judged by its signature, and changes nothing that anybody may.
    """
    rpcs = access.read(SERVICES["administration"]).values()
    within = {rpc.method: rpc.access.confirmed_within_s for rpc in rpcs}
    assert {within[method] for method in CHANGES} == {300}
    reads = [method for method, seconds in within.items() if not seconds]
    assert all(one.rsplit("/", 1)[1].startswith(LOOKS) for one in reads), reads
