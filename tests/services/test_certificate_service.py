import pytest

from gateway.pki import publish
from gateway.pki.authorities import Current
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import certificate_pb2 as certificate
from tests.coverage.rpcs import Watch, kept_token, new_id, refused
from tests.papers import system
from tests.services.enrolling import enrol, invite, renew
from tests.services.test_register_service import ask
from tests.world import CITY, COUNTY, OTHER_COUNTY, held

Request = admin.RevokeCertificatesRequest


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        stands.run(stands.world.keep_lists())
        yield stands


def revocation(**target):
    return Request(
        request_id=new_id(), cause=Request.CAUSE_KEY_COMPROMISE, reason="stolen", **target
    )


async def take(world, request, who=None):
    who = who or world.province_admin
    return await ask(world, who, "RevokeCertificates", request, admin.RevokeCertificatesResponse)


async def listed(world, who, **filters):
    request = admin.ListCertificatesRequest(**filters)
    answer = await ask(world, who, "ListCertificates", request, admin.ListCertificatesResponse)
    return list(answer.certificates), answer.next_page_token


async def newcomer(world, name, organisation=COUNTY):
    """The serial of a certificate that nobody uses."""
    system(world, organisation, name)
    person = world.people[organisation, "uploader"]
    return (
        await enrol(world, (await invite(world, name, organisation)).code, None, person)
    ).certificate.serial


def names(world):
    return {
        f"{entry.serial_number:x}" for one in publish.published(world.home).lists for entry in one
    }


def test_one_call_revokes_lists_and_leaves_its_leaf(province):
    async def work(world):
        serial = await newcomer(world, "gone")
        await kept_token(world, world.province_admin)
        watch, request = Watch(world), revocation(serial=serial)
        answer = await take(world, request)
        leaf = await watch.only_leaf()
        assert leaf["kind"] == "admin.certificate.revoke"
        assert leaf["counts"] == {"certificates": 1, "invitations": 0}
        assert leaf["detail"].items() >= {("target_serial", serial), ("cause", "key-compromise")}
        assert "stolen" not in str(leaf)
        assert answer.revoked_count == 1
        [(epoch,)] = world.sql("SELECT value FROM gateway.epoch WHERE name = 'revocation'")
        assert answer.crl_number == epoch
        assert serial in names(world)
        # A lost answer: the same request is answered as it was, and takes nothing more.
        again = await take(world, request)
        assert again.revoked_count == 1
        request.request_id = new_id()
        assert (await refused(take(world, request))).reason == "ALREADY_EXISTS"
        request.request_id = ""
        assert (await refused(take(world, request))).reason == "FIELD_INVALID"

    province.run(work(province.world))


def test_all_of_a_bearer_and_its_invitations(province):
    async def work(world):
        await newcomer(world, "worn")
        open_one = await invite(world, "worn")
        bearer = Request.Bearer(organisation_code=COUNTY, system_name="worn")
        answer = await take(world, revocation(bearer=bearer))
        assert answer.revoked_count == 1
        assert (await refused(enrol(world, open_one.code))).reason == "CODE_INVALID"
        # The way back in is another invitation.
        assert (await enrol(world, (await invite(world, "worn")).code)).certificate.generation == 1

    province.run(work(province.world))


def test_who_may_revoke_what(province):
    async def work(world):
        mine, others = await newcomer(world, "a"), await newcomer(world, "b", OTHER_COUNTY)
        own = Current(world.home).anchors()[0].spki_sha256.hex()
        for target in (
            {"serial": others},
            {"serial": "ab"},
            {"organisation_code": OTHER_COUNTY},
            {"bearer": Request.Bearer(organisation_code=OTHER_COUNTY, system_name="b")},
            {"authority_spki_sha256": own},
        ):
            watch = Watch(world)
            error = await refused(take(world, revocation(**target), world.city_admin))
            assert error.reason == "POLICY_DENIED", target
            assert (await watch.leaves())[-1]["reason"] == "POLICY_DENIED"
        assert (await take(world, revocation(serial=mine), world.city_admin)).revoked_count == 1
        assert (await refused(take(world, revocation(serial="ab")))).reason == "NOT_FOUND"
        unknown = revocation(authority_spki_sha256="0" * 64)
        assert (await refused(take(world, unknown))).reason == "NOT_FOUND"
        nobody = Request.Bearer(organisation_code=COUNTY, system_name="nobody")
        assert (await refused(take(world, revocation(bearer=nobody)))).reason == "NOT_FOUND"

    province.run(work(province.world))


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"serial": "AB"},
        {"serial": "0x12"},
        {"organisation_code": "1"},
        {"bearer": Request.Bearer(organisation_code=COUNTY, system_name="A")},
        {"bearer": Request.Bearer(organisation_code="x", system_name="a")},
        {"authority_spki_sha256": "00"},
        {"serial": "ab", "cause": 0},
        {"serial": "ab", "cause": 2},
        {"serial": "ab", "reason": " "},
    ],
)
def test_what_is_no_revocation(province, wrong):
    async def work(world):
        fields = {"request_id": new_id(), "cause": Request.CAUSE_CESSATION, "reason": "x"}
        request = Request(**{**fields, **wrong})
        assert (await refused(take(world, request))).reason == "FIELD_INVALID"

    province.run(work(province.world))


def test_without_a_keeper_the_answer_says_that_the_list_follows(cluster, monkeypatch):
    monkeypatch.setattr("gateway.services.certificate_service.LIST_PATIENCE_S", 0.2)

    async def work(world):
        serial = await newcomer(world, "gone")
        answer = await take(world, revocation(serial=serial))
        assert (answer.revoked_count, answer.crl_number) == (1, 0)

    with held(cluster) as stands:
        stands.run(work(stands.world))


def test_certificates_are_listed_with_state_and_purpose(province):
    async def work(world):
        system(world, COUNTY, "told")
        encryption = certificate.CERTIFICATE_PURPOSE_ENCRYPTION
        await enrol(world, (await invite(world, "told", purpose=encryption)).code)
        await enrol(world, (await invite(world, "told")).code)
        found, _ = await listed(world, world.city_admin, organisation_code=COUNTY)
        told = [one for one in found if one.system_name == "told"]
        assert {one.purpose for one in told} == {1, 2}
        assert {one.state for one in told} == {certificate.CERTIFICATE_STATE_ISSUED}
        assert not told[0].HasField("first_use_time")
        used = next(one for one in found if one.serial == world.county.serial)
        assert used.generation == 1
        assert used.certificate_sha256
        times = [one.issue_time.seconds for one in found]
        assert times == sorted(times, reverse=True)
        await take(world, revocation(serial=told[0].serial))
        in_force, _ = await listed(world, world.city_admin, in_force=True)
        serials = {one.serial for one in in_force}
        assert told[1].serial in serials
        assert told[0].serial not in serials
        assert {one.organisation_code for one in in_force} <= {CITY, COUNTY, "140106"}
        everything, _ = await listed(world, world.city_admin)
        pages, token = [], ""
        while True:
            page, token = await listed(world, world.city_admin, page_size=2, page_token=token)
            pages += page
            if not token:
                break
        assert [one.serial for one in pages] == [one.serial for one in everything]
        revoked = next(one for one in everything if one.serial == told[0].serial)
        assert revoked.state == certificate.CERTIFICATE_STATE_REVOKED
        assert revoked.HasField("end_time")

    province.run(work(province.world))


def test_the_ladder_of_a_certificate_that_ends_is_told(province):
    async def work(world):
        next_one = (await renew(world, world.other_county)).certificate.serial
        world.clock.turn(seconds=7.5 * 86_400)
        world.tokens.clear()
        found, _ = await listed(world, world.province_admin, organisation_code=OTHER_COUNTY)
        assert {one.warning_days for one in found if one.serial == next_one} == {7}

    province.run(work(province.world))
