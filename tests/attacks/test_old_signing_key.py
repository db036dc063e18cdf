"""Attack 114 of reference/identity.md at doors that serve: the key that signed last month, stolen, signs for a thief.

He holds a copy of the old private key (from a disk that was thrown away), and the claims of a session that is alive: his
token is perfect but for its key. From the hour's end after the switch on no door takes it, and none was started anew.
"""

import asyncio
import base64
import json
from dataclasses import replace

import pytest

from gateway.clock import US_PER_S
from gateway.identity import keys, token_rotation
from gateway.identity.keyring import CurrentMinter
from gateway.identity.rotation import DAY_US, HOUR_US
from gateway.identity.token import Bearer, Claims, Minter, Verifier
from gateway.names import DEFAULT_TRUST_DOMAIN
from gateway.supervise import rotation
from gateway.v1 import identity_service_pb2 as identity
from tests.world import RefusedError, World, fresh_ground

WHO_AM_I = "/gateway.v1.IdentityService/WhoAmI"
CHECKPOINT = "/gateway.v1.AuditService/GetCheckpoint"


def forged(world: World, good: str, stolen: Minter) -> str:
    """What a good token says, signed by the stolen key, and fresh."""
    public = keys.read_public(world.home.token_keys)
    auditor = world.auditor
    digest = json.loads(base64.urlsafe_b64decode(good.split(".")[1] + "=="))["cnf"]["x5t#S256"]
    bearer = Bearer(
        base64.urlsafe_b64decode(digest + "="), auditor.organisation, str(auditor.subject)
    )
    claims: Claims = Verifier(public, DEFAULT_TRUST_DOMAIN).verify(
        good, bearer, world.clock.now_us()
    )
    now_s = world.clock.now_us() // US_PER_S
    return stolen.mint(replace(claims, issued_s=now_s, expires_s=now_s + 600, token_id="stolen"))


@pytest.mark.parametrize("method", [WHO_AM_I, CHECKPOINT])
def test_the_key_of_last_month_opens_nothing(cluster, capfd, method) -> None:
    async def work(world: World) -> None:
        file = world.home.secrets("identity") / keys.PRIVATE_FILE
        private = dict(keys.read_private(file))
        stolen = Minter(private, DEFAULT_TRUST_DOMAIN)
        async with rotation.engine(world.home, world.settings, "supervisor", world.clock) as engine:
            await engine.look()
            month_us = 29 * DAY_US
            world.sql("UPDATE gateway.secret SET used_us = used_us - %s", month_us)
            assert [one.step for one in await engine.look()] == ["publish"]
            world.clock.turn(seconds=DAY_US / US_PER_S)
            assert [one.step for one in await engine.look()] == ["switch"]
            # Within the hour the old key is still good: nobody is logged out by a switch.
            good = await world.login(world.auditor)
            kept = forged(world, good, stolen)
            await world.call(world.auditor, method, b"", token=kept)
            world.clock.turn(seconds=HOUR_US / US_PER_S)
            assert [one.step for one in await engine.look()] == ["retire"]
        good = await world.login(world.auditor)
        token = forged(world, good, stolen)
        before = world.size()
        with pytest.raises(RefusedError) as refused:
            await world.call(world.auditor, method, b"", token=token)
        assert (refused.value.code, refused.value.reason) == ("UNAUTHENTICATED", "TOKEN_INVALID")
        [leaf] = world.leaves(before)
        assert (leaf["decision"], leaf["reason"]) == ("deny", "TOKEN_INVALID")
        assert "account" not in leaf
        # The very key that signs now, under the old one's name, is no better: a kid names one key.
        signing = Minter({**keys.read_private(file), "kid": private["kid"]}, DEFAULT_TRUST_DOMAIN)
        with pytest.raises(RefusedError):
            await world.call(world.auditor, method, b"", token=forged(world, good, signing))
        await world.call(world.auditor, method, b"", token=good)
        told = repr(world.leaves()) + "".join(capfd.readouterr()) + repr(refused.value.status)
        for secret in (private["d"], keys.read_private(file)["d"], token, good):
            assert secret not in told

    async def run(ground) -> None:
        async with World.open(ground, ("identity", "administration")) as world:
            await work(world)

    with fresh_ground(cluster) as ground:
        asyncio.run(run(ground))


def test_a_key_that_waits_signs_for_nobody(cluster) -> None:
    """Published a day ahead, it is known to every door; the identity process does not sign with it, and it is in no public file."""

    async def work(world: World) -> None:
        token_rotation.publish(world.home)
        folder = world.home.secrets("identity")
        waiting = keys.read_private(folder / keys.NEXT_FILE)
        minter = CurrentMinter(folder / keys.PRIVATE_FILE, DEFAULT_TRUST_DOMAIN)
        good = await world.login(world.auditor)
        header = json.loads(base64.urlsafe_b64decode(good.split(".")[0] + "=="))
        assert header["kid"] == minter._kid != waiting["kid"]
        assert (folder / keys.NEXT_FILE).stat().st_mode & 0o077 == 0
        request = identity.WhoAmIRequest()
        await world.call(world.auditor, WHO_AM_I, request, token=good)

    async def run(ground) -> None:
        async with World.open(ground, ("identity",)) as world:
            await work(world)

    with fresh_ground(cluster) as ground:
        asyncio.run(run(ground))
