"""The key that signs tokens is changed in a province of real processes, each with its own user where there is root."""

import asyncio
import base64
import json

import psycopg
import pytest

from gateway.config import settings
from gateway.demo.province import COUNTIES, Province
from gateway.identity import token_rotation
from gateway.identity.rotation import DAY_US, HOUR_US
from gateway.store import roles
from gateway.v1 import identity_service_pb2 as identity
from gateway.v1.identity_service_pb2_grpc import IdentityServiceStub


def rotated(province: Province) -> list[str]:
    told = json.loads(province.host.run("rotation", "run", str(province.host.home.root), "--json"))
    return [one["step"] for one in told["done"] if one["kind"] == "token-key"]


def grow_old(province: Province, span_us: int) -> None:
    """Let all token keys be older: certificates and passwords of the demo live on."""
    home = province.host.home
    with psycopg.connect(roles.conninfo(home, settings.load(home.settings), "owner")) as connection:
        connection.execute(
            "UPDATE gateway.secret SET made_us = made_us - %(by)s, used_us = used_us - %(by)s,"
            " replaced_us = replaced_us - %(by)s WHERE kind = 'token-key' AND ended_us IS NULL",
            {"by": span_us},
        )


async def who(member, channels, token) -> str:
    stub = IdentityServiceStub(channels.to("identity"))
    answer = await channels.call(stub.WhoAmI, identity.WhoAmIRequest(), token)
    return answer.organisation_code


def forget_tokens(province: Province) -> None:
    """The province is others' too: what they hold was signed by a key that is gone before its hour."""
    for held in province.host.home.root.rglob("token.json"):
        held.unlink()


@pytest.mark.serial
def test_a_key_follows_another_and_nobody_is_logged_out(province: Province) -> None:
    member = province.members[COUNTIES[0]]

    async def scene() -> None:
        held, fresh = member.channels(), member.channels()
        try:
            session = member.session(held)
            token = (await session.token()).secret
            before = token_rotation.read(province.host.home).current
            await asyncio.to_thread(grow_old, province, 29 * DAY_US + HOUR_US)
            assert await asyncio.to_thread(rotated, province) in (["publish"], [])
            await asyncio.to_thread(grow_old, province, DAY_US + HOUR_US)
            assert await asyncio.to_thread(rotated, province) in (["switch"], [])
            after = token_rotation.read(province.host.home).current
            assert after != before
            # The old token still counts, and a new session has one of the new key.
            assert await who(member, held, token) == member.code
            again = member.session(fresh)
            await again.login(member.password)
            other = (await again.token()).secret
            header = other.value.split(".")[0]
            assert json.loads(base64.urlsafe_b64decode(header + "=="))["kid"] == after
            assert await who(member, fresh, other) == member.code
            await asyncio.to_thread(grow_old, province, 2 * HOUR_US)
            assert await asyncio.to_thread(rotated, province) in (["retire"], [])
            assert token_rotation.read(province.host.home).published == {after}
            assert await who(member, fresh, other) == member.code
        finally:
            await held.close()
            await fresh.close()
            forget_tokens(province)

    asyncio.run(scene())
