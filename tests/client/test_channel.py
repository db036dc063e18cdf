import asyncio

import pytest

from gateway.client import profile as profiles
from gateway.client.channel import Channels, bearer, metadata
from gateway.client.secret import Secret
from gateway.errors import Reason, Refusal
from gateway.v1 import identity_service_pb2 as v1
from gateway.v1.identity_service_pb2_grpc import IdentityServiceStub
from tests.client.small_gateway import ACCOUNT, PASSWORD, SmallGateway, make_papers

LOGIN = v1.LoginRequest(account_name=ACCOUNT, password=PASSWORD)


def call(gateway, profile, *, seen=None):
    async def scenario():
        async with gateway:
            channels = Channels(profile(), own_connection=True, seen=seen)
            try:
                return await channels.call(
                    IdentityServiceStub(channels.to("identity")).Login, LOGIN
                )
            finally:
                await channels.close()

    return asyncio.run(asyncio.wait_for(scenario(), 20))


def test_a_call_goes_over_tls_with_both_certificates_and_tells_the_checkpoint(tmp_path):
    gateway, seen = SmallGateway(), []
    assert call(gateway, lambda: gateway.profile(tmp_path), seen=seen.append).access_token
    assert seen == [gateway.log.checkpoint()]


def foreign_root(profile):
    profile.root.write_bytes(make_papers().root)


def foreign_client(profile):
    key, certificate = make_papers().client
    profile.key.write_bytes(key)
    profile.certificate.write_bytes(certificate)


@pytest.mark.parametrize("spoil", [foreign_root, foreign_client])
def test_a_stranger_on_either_side_gets_no_connection(tmp_path, spoil):
    gateway = SmallGateway()

    def profile():
        made = gateway.profile(tmp_path)
        spoil(made)
        return made

    with pytest.raises(Refusal) as raised:
        call(gateway, profile)
    assert raised.value.reason in {Reason.TLS_FAILED, Reason.FRONT_AWAY, Reason.CERT_UNTRUSTED}
    assert gateway.calls == []


def test_a_server_of_another_name_gets_no_password(tmp_path):
    gateway = SmallGateway()

    def profile():
        made = gateway.profile(tmp_path)
        toml = made.folder / "profile.toml"
        toml.write_text(
            toml.read_text().replace('server_name = "gateway.test"', 'server_name = "other.test"')
        )
        return profiles.load(made.folder)

    with pytest.raises(Refusal) as raised:
        call(gateway, profile)
    assert raised.value.code in {"UNAVAILABLE", "UNAUTHENTICATED"}
    assert gateway.calls == []


def test_a_gateway_that_is_not_there_is_unavailable(tmp_path):
    async def scenario():
        gateway = SmallGateway()
        await gateway.start()
        channels = Channels(gateway.profile(tmp_path), own_connection=True)
        await gateway.stop()
        try:
            await channels.call(IdentityServiceStub(channels.to("identity")).Login, LOGIN)
        finally:
            await channels.close()

    with pytest.raises(Refusal) as raised:
        asyncio.run(asyncio.wait_for(scenario(), 20))
    assert raised.value.reason is Reason.FRONT_AWAY


def test_the_token_is_a_bearers():
    assert bearer(Secret("t")) == (("authorization", "Bearer t"),)
    assert bearer(None) == ()
    assert metadata(None) == {}
