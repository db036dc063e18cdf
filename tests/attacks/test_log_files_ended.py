"""The log's files over HTTP/1.1, on a connection that stands: what is revoked, suspended or ended meanwhile reads no file more.

The reader's first request is answered; then his right ends, and the next one on the same connection is refused, with one leaf.
"""

import asyncio
import json

import pytest

from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import identity_service_pb2 as identity
from tests.attacks.test_revocation_at_once import administer, login, over_tls
from tests.coverage.rpcs import Watch, eventually, new_id
from tests.http_reader import get, through_the_front
from tests.world import World, fresh_ground

LOGOUT = "/gateway.v1.IdentityService/Logout"
FILE = "tile/entries/000.p/1"


async def suspended(world, _):
    """By another administrator than the reader."""
    person = world.auditor
    request = admin.SetAccountStateRequest(
        request_id=new_id(),
        organisation_code=person.organisation,
        account_name=person.account,
        state=admin.Account.STATE_SUSPENDED,
        reason="on leave",
    )
    await administer(world, "SetAccountState", request, admin.SetAccountStateResponse)


async def logged_out(world, token):
    request = identity.LogoutRequest()
    await over_tls(world, world.auditor, "identity", LOGOUT, request, token)


async def expired(world, _):
    world.clock.turn(seconds=16 * 60)


ENDS = {"suspended": suspended, "logged out": logged_out, "expired": expired}


@pytest.mark.parametrize("end", ENDS)
def test_whose_token_or_account_ended_reads_no_more(cluster, end):
    async def attack(world):
        token = await login(world, world.auditor)
        async with through_the_front(world, world.auditor) as line:
            assert (await line.ask(get(FILE, token))).status == 200
            await ENDS[end](world, token)
            watch = Watch(world)
            answer = await line.ask(get(FILE, token))
            leaf = await watch.only_leaf()
        assert (answer.status, answer.reason) == (
            401,
            "TOKEN_EXPIRED" if end == "expired" else "SESSION_UNKNOWN",
        )
        assert (leaf["kind"], leaf["decision"], leaf["reason"]) == (
            "audit.file",
            "deny",
            answer.reason,
        )
        assert token not in answer.content.decode() + json.dumps(leaf)
        await good(world, suspended=end == "suspended")

    play(cluster, attack)


def test_whose_certificate_is_revoked_is_cut_off(cluster):
    """An open connection ends with one leaf; another is told why, with one leaf, and reads nothing."""

    async def attack(world):
        await world.keep_lists()
        token = await login(world, world.auditor)
        async with through_the_front(world, world.auditor) as line:
            assert (await line.ask(get(FILE, token))).status == 200
            begin = world.size()
            await administer(
                world,
                "RevokeCertificates",
                admin.RevokeCertificatesRequest(
                    request_id=new_id(),
                    serial=world.auditor.serial,
                    cause=admin.RevokeCertificatesRequest.CAUSE_KEY_COMPROMISE,
                    reason="stolen",
                ),
                admin.RevokeCertificatesResponse,
            )
            assert await line.ended()
        await eventually(lambda: cuts(world, begin))
        [cut] = cuts(world, begin)
        assert (cut["reason"], cut["serial"]) == ("CERT_REVOKED", world.auditor.serial)
        watch = Watch(world)
        async with through_the_front(world, world.auditor) as line:
            answer = await line.ask(get(FILE, token))
        leaf = await watch.only_leaf()
        assert (answer.reason, leaf["reason"], leaf["decision"]) == (
            "CERT_REVOKED",
            "CERT_REVOKED",
            "deny",
        )
        assert not [
            one
            for one in world.leaves(begin)
            if one["kind"] == "audit.file" and one["decision"] == "allow"
        ]

    play(cluster, attack)


def cuts(world, begin):
    return [one for one in world.leaves(begin) if one["kind"] == "connection.cut"]


async def good(world, *, suspended):
    """The next good request works: of the reader again, where he may."""
    if suspended:
        person = world.auditor
        request = admin.SetAccountStateRequest(
            request_id=new_id(),
            organisation_code=person.organisation,
            account_name=person.account,
            state=admin.Account.STATE_ACTIVE,
            reason="back",
        )
        await administer(world, "SetAccountState", request, admin.SetAccountStateResponse)
    token = await login(world, world.auditor)
    async with through_the_front(world, world.auditor) as line:
        assert (await line.ask(get(FILE, token))).status == 200


def play(cluster, attack):
    async def run(ground):
        async with World.open(ground) as world:
            await world.open_front()
            await attack(world)

    with fresh_ground(cluster) as ground:
        asyncio.run(run(ground))
