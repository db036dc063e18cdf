import asyncio

import pytest

from gateway.config.exports import export_rules
from gateway.config.policies import shipped
from gateway.config.settings import load
from gateway.demo import province as provinces
from gateway.demo.province import CITIES, COUNTIES, PROVINCE
from gateway.identity import rule_files
from gateway.v1 import identity_service_pb2 as identity
from gateway.v1 import options_pb2 as options
from gateway.v1.identity_service_pb2_grpc import IdentityServiceStub


def test_every_organisation_has_one_address():
    codes = [code for _, code in provinces.owners()]
    octets = [octet for octet, _ in provinces.owners()]
    assert sorted(codes) == sorted({PROVINCE, *CITIES, *COUNTIES})
    assert len(set(octets)) == len(octets)
    assert provinces.NOBODY_OCTET not in octets


def test_generated_passwords_differ_and_have_every_class():
    first, second = provinces.new_password(), provinces.new_password()
    assert first != second
    for kind in (str.islower, str.isupper, str.isdigit):
        assert any(map(kind, first.value))


def test_the_demo_s_policies_differ_in_one_number_and_one_word_alone(tmp_path):
    folder, ships = provinces.policies(tmp_path / "policies"), shipped("policies")
    for path in (path for path in ships.rglob("*") if path.is_file()):
        before = path.read_text(encoding="utf-8").splitlines()
        after = (folder / path.relative_to(ships)).read_text(encoding="utf-8").splitlines()
        changed = [pair for pair in zip(before, after, strict=True) if len(set(pair)) == 2]
        assert len(changed) == {"exports.toml": 2, "05-exports-floor.cedar": 1}.get(path.name, 0)
        for old, new in changed:
            assert (
                old.replace("120", "2").replace("first_is_new = true", "first_is_new = false")
                == new
            )
    assert (
        export_rules((folder / "cedar" / "exports.toml").read_text()).approvals.apart_s
        == provinces.APART_S
    )


@pytest.mark.serial
def test_each_member_is_who_it_says(province):
    async def who(member):
        channels = member.channels()
        try:
            token = (await member.session(channels).token()).secret
            stub = IdentityServiceStub(channels.to("identity"))
            return await channels.call(stub.WhoAmI, identity.WhoAmIRequest(), token)
        finally:
            await channels.close()

    county = asyncio.run(who(province.members[COUNTIES[0]]))
    assert county.organisation_code == COUNTIES[0]
    assert list(county.roles) == [options.ROLE_UPLOADER]
    assert county.origin_strength == "weak"
    assert list(asyncio.run(who(province.auditor)).roles) == [options.ROLE_AUDITOR]
    assert load(province.host.home.settings).origin.allow_weak_origin
    assert rule_files.load(province.host.home.policies / "passwords.toml").dated
