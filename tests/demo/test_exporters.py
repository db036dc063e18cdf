import asyncio

import pytest

from gateway.client import papers
from gateway.demo.exporters import CITY
from gateway.demo.province import PROVINCE
from gateway.v1 import identity_service_pb2 as identity
from gateway.v1 import options_pb2 as options
from gateway.v1.identity_service_pb2_grpc import IdentityServiceStub

ROLES = {
    "lian": (CITY, options.ROLE_REQUESTER),
    "chen": (CITY, options.ROLE_REQUESTER),
    "wang": (CITY, options.ROLE_RECIPIENT),
    "wang.other": (CITY, options.ROLE_RECIPIENT),
    "wang.elsewhere": (CITY, options.ROLE_RECIPIENT),
    "zhao": (PROVINCE, options.ROLE_APPROVER),
    "zhao.two": (PROVINCE, options.ROLE_APPROVER),
    "qian": (PROVINCE, options.ROLE_APPROVER),
    "song": (PROVINCE, options.ROLE_SECURITY_OFFICER),
}


@pytest.mark.serial
@pytest.mark.timeout(240)
def test_each_is_who_it_says_and_one_person_stands_behind_two_accounts(people):
    async def who(member):
        channels = member.channels()
        try:
            token = (await member.session(channels).token()).secret
            stub = IdentityServiceStub(channels.to("identity"))
            return await channels.call(stub.WhoAmI, identity.WhoAmIRequest(), token)
        finally:
            await channels.close()

    assert set(people) == set(ROLES)
    for name, (code, role) in ROLES.items():
        found = asyncio.run(who(people[name]))
        assert (found.organisation_code, list(found.roles)) == (code, [role]), name

    def certificate(name):
        return papers.read(people[name].profile.certificate.read_bytes())

    assert certificate("zhao.two").sha256 == certificate("zhao").sha256
    assert certificate("wang.other").subject == certificate("wang").subject
    assert certificate("wang.other").sha256 != certificate("wang").sha256
    assert people["wang.elsewhere"].profile.remote.host != people["wang"].profile.remote.host
    encryption = people["wang"].profile.folder / "encryption.pem"
    assert papers.read(encryption.read_bytes()).subject == certificate("wang").subject
