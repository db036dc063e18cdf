"""Which rpcs keep the reason that is given with them, and that it is kept with the act or not at all."""

import pytest

from gateway.audit import parts
from gateway.config.home import DOORS
from gateway.services import contract
from gateway.services.reasoned import is_reasoned
from gateway.store.seal import Opener
from gateway.v1 import admin_service_pb2 as admin
from tests.coverage.rpcs import Watch, kept_token, new_id, refused
from tests.world import COUNTY

SERVICE = "/gateway.v1.AdminService/"
WORDS = "告知：王小明 13800138000"


def test_every_rpc_that_asks_why_is_reasoned():
    named = {rpc.name for door in DOORS for rpc in contract.rpcs(door).values() if is_reasoned(rpc)}
    assert named == {
        *("SetOrganisationState", "ResetPassword", "SetAccountRoles", "SetAccountState"),
        *("UnlockAccount", "RevokeCertificates", "SetTunnelState", "SetRelation", "EndWitness"),
        *("DenyExport", "RevokeExport", "HoldExport", "RecallExport"),
        "OpenBreakGlass",
    }


async def unlock(world, account="uploader", reason=WORDS):
    request = admin.UnlockAccountRequest(
        request_id=new_id(), organisation_code=COUNTY, account_name=account, reason=reason
    )
    token = await kept_token(world, world.province_admin)
    await world.call(world.province_admin, SERVICE + "UnlockAccount", request, token=token)


def test_the_words_stand_beside_the_leaf(province, capsys):
    async def work(world):
        await kept_token(world, world.province_admin)
        watch = Watch(world)
        await unlock(world, reason=f"  {WORDS}\n")
        leaf = await watch.only_leaf()
        digest = bytes.fromhex(leaf["sealed"])
        [(salt, ciphertext, key_id, recipient, wrapped)] = world.sql(
            "SELECT salt, ciphertext, key_id, recipient, wrapped FROM gateway.audit_sealed"
            " WHERE digest = %s",
            digest,
        )
        part = parts.Part(salt, ciphertext, key_id, recipient, wrapped)
        opener = Opener.load(world.home.secrets("administration"))
        assert parts.opened(opener, digest, part) == WORDS
        assert "王小明" not in str(world.leaves(watch._begin))

    province.run(work(province.world))
    said = capsys.readouterr()
    assert "王小明" not in said.out + said.err


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"account": "nobody"}, "NOT_FOUND"),
        ({"reason": "x" * 201}, "FIELD_INVALID"),
        ({"reason": " "}, "FIELD_INVALID"),
    ],
)
def test_what_is_refused_leaves_no_words(province, given, reason):
    async def work(world):
        [(before,)] = world.sql("SELECT count(*) FROM gateway.audit_sealed")
        await kept_token(world, world.province_admin)
        watch = Watch(world)
        assert (await refused(unlock(world, **given))).reason == reason
        leaf = await watch.only_leaf()
        assert (leaf["reason"], "sealed" in leaf) == (reason, False)
        assert world.sql("SELECT count(*) FROM gateway.audit_sealed") == [(before,)]
        await unlock(world)

    province.run(work(province.world))
