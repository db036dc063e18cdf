import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.v1 import admin_service_pb2 as admin
from tests.coverage.rpcs import Watch, kept_token, new_id, refused
from tests.papers import fingerprint, new_key, system
from tests.sealed import officer
from tests.services.enrolling import enrol, invitation, invite
from tests.services.test_register_service import ask
from tests.world import CITY, COUNTY, OTHER_COUNTY, PROVINCE

INVITED = admin.Invitation.STATE_INVITED


async def act(world, person, name, number, **fields):
    request = getattr(admin, f"{name}Request")(request_id=new_id(), invitation_id=number, **fields)
    answer = await ask(world, person, name, request, getattr(admin, f"{name}Response"))
    return answer.invitation


async def listed(world, person, **filters):
    request = admin.ListInvitationsRequest(**filters)
    answer = await ask(world, person, "ListInvitations", request, admin.ListInvitationsResponse)
    return list(answer.invitations), answer.next_page_token


def test_a_code_is_shown_once_and_pins_the_root(province):
    async def work(world):
        await kept_token(world, world.province_admin)
        watch = Watch(world)
        made = await invite(world)
        leaf = await watch.only_leaf()
        assert leaf["detail"].items() >= {
            ("invitation", made.invitation_id),
            ("purpose", "tls"),
            ("target_organisation", COUNTY),
            ("target_subject_name", "uploader"),
        }
        assert made.code not in str(world.sql("SELECT i::text FROM gateway.invitation AS i"))
        assert made.code not in str(world.leaves())
        root = x509.load_pem_x509_certificate(world.home.root_certificate.read_bytes())
        der = root.public_bytes(Encoding.DER)
        assert made.root_sha256 == hashlib.sha256(der).hexdigest()
        seconds = made.expire_time.seconds - world.clock.now_us() // 1_000_000
        assert 86_300 < seconds <= 86_400

    province.run(work(province.world))


def test_a_lost_answer_is_answered_with_a_fresh_code_for_the_same_invitation(province):
    async def work(world):
        request, who = invitation(), world.province_admin

        async def again():
            return await ask(
                world, who, "InviteCertificate", request, admin.InviteCertificateResponse
            )

        first, second = await again(), await again()
        assert first.invitation_id == second.invitation_id == request.request_id
        assert first.code != second.code
        assert (await refused(enrol(world, first.code))).reason == "CODE_INVALID"
        await enrol(world, second.code)
        assert (await refused(again())).reason == "ALREADY_EXISTS"
        request.system_name = "other"
        assert (await refused(again())).reason == "REQUEST_ID_REUSED"

    province.run(work(province.world))


def test_what_is_no_invitation(province):
    async def work(world):
        for wrong, reason in (
            (invitation("Nobody"), "FIELD_INVALID"),
            (invitation("no\0body"), "FIELD_INVALID"),
            (invitation("nobody"), "NOT_FOUND"),
            (invitation("uploader", officer=True), "NOT_FOUND"),
            (invitation(purpose=0), "FIELD_INVALID"),
            (invitation(purpose=9), "FIELD_INVALID"),
            (invitation(organisation="999999"), "POLICY_DENIED"),
            (invitation(request_id="x"), "FIELD_INVALID"),
        ):
            call = ask(world, world.province_admin, "InviteCertificate", wrong, None)
            assert (await refused(call)).reason == reason, wrong

    province.run(work(province.world))


def test_a_citys_administrator_invites_for_itself_and_below(province):
    async def work(world):
        who = world.city_admin
        for organisation, reason in (
            (CITY, ""),
            (COUNTY, ""),
            (OTHER_COUNTY, "POLICY_DENIED"),
            (PROVINCE, "POLICY_DENIED"),
        ):
            name = "admin" if organisation == PROVINCE else "uploader"
            call = ask(
                world,
                who,
                "InviteCertificate",
                invitation(name, organisation, officer=organisation == PROVINCE),
                admin.InviteCertificateResponse,
            )
            if reason:
                assert (await refused(call)).reason == reason
            else:
                assert (await call).code
        mine = await invite(world, "uploader", OTHER_COUNTY)
        for name, fields in (
            ("CancelInvitation", {}),
            ("ApproveEnrolment", {"spki_sha256": "0" * 64}),
        ):
            call = act(world, who, name, mine.invitation_id, **fields)
            assert (await refused(call)).reason == "POLICY_DENIED"
            # Whether there is one at all is the province's to know.
            call = act(world, who, name, new_id(), **fields)
            assert (await refused(call)).reason == "POLICY_DENIED"
            call = act(world, world.province_admin, name, new_id(), **fields)
            assert (await refused(call)).reason == "NOT_FOUND"
            call = act(world, who, name, "none", **fields)
            assert (await refused(call)).reason == "FIELD_INVALID"

    province.run(work(province.world))


def test_a_second_officer_confirms(province):
    """Who invites cannot confirm; who confirms names the very key that was shown."""

    async def work(world):
        system(world, COUNTY, "careful")
        made = await ask(
            world,
            world.city_admin,
            "InviteCertificate",
            invitation("careful", needs_approval=True),
            admin.InviteCertificateResponse,
        )
        key, number = new_key(), made.invitation_id
        pending = await refused(enrol(world, made.code, key))
        assert (pending.code, pending.reason) == ("FAILED_PRECONDITION", "APPROVAL_PENDING")
        spki = fingerprint(key)
        assert f'"{spki}"' in str(pending.status.details) or spki in str(pending.status)
        confirm = {"spki_sha256": spki}
        call = act(world, world.city_admin, "ApproveEnrolment", number, **confirm)
        error = await refused(call)
        assert (error.code, error.reason) == ("PERMISSION_DENIED", "SECOND_OFFICER_NEEDED")
        for wrong in (fingerprint(new_key()), spki.upper(), ""):
            call = act(world, world.province_admin, "ApproveEnrolment", number, spki_sha256=wrong)
            assert (await refused(call)).reason == "FIELD_INVALID"
        watch = Watch(world)
        found = await act(world, world.province_admin, "ApproveEnrolment", number, **confirm)
        assert found.state == admin.Invitation.STATE_APPROVED
        leaf = await watch.only_leaf()
        assert leaf["detail"].items() >= {("spki_sha256", spki), ("invitation", number)}
        answer = await enrol(world, made.code, key)
        assert answer.certificate.generation == 1

    province.run(work(province.world))


def test_the_second_officer_gets_no_code_of_the_first(province):
    """Who sends another's request again would hold its code, and could confirm his own key: one officer for both."""

    async def work(world):
        system(world, COUNTY, "twice")
        request = invitation("twice", needs_approval=True)

        async def ask_as(person):
            return await ask(
                world, person, "InviteCertificate", request, admin.InviteCertificateResponse
            )

        made = await ask_as(world.city_admin)
        await kept_token(world, world.province_admin)
        watch = Watch(world)
        assert (await refused(ask_as(world.province_admin))).reason == "ALREADY_EXISTS"
        assert (await watch.only_leaf())["decision"] == "deny"
        # The first officer's code is as good as before.
        assert (await refused(enrol(world, made.code))).reason == "APPROVAL_PENDING"

    province.run(work(province.world))


def test_a_cancelled_one_is_void(province):
    async def work(world):
        made = await invite(world)
        found = await act(world, world.province_admin, "CancelInvitation", made.invitation_id)
        assert found.state == admin.Invitation.STATE_CANCELLED
        assert (await refused(enrol(world, made.code))).reason == "CODE_INVALID"
        used = await invite(world)
        await enrol(world, used.code)
        call = act(world, world.province_admin, "CancelInvitation", used.invitation_id)
        error = await refused(call)
        assert (error.code, error.reason) == ("ABORTED", "REVISION_STALE")

    province.run(work(province.world))


def test_they_are_listed_newest_first_within_reach(province):
    async def work(world):
        for organisation in (OTHER_COUNTY, COUNTY, CITY):
            await invite(world, "uploader", organisation)
        found, _ = await listed(world, world.province_admin)
        assert [one.organisation_code for one in found[:3]] == [CITY, COUNTY, OTHER_COUNTY]
        assert found[0].state == INVITED
        assert found[0].inviter_account_name == "admin"
        mine, _ = await listed(world, world.city_admin)
        assert {one.organisation_code for one in mine} <= {CITY, COUNTY, "140106"}
        only, _ = await listed(world, world.city_admin, organisation_code=COUNTY)
        assert {one.organisation_code for one in only} == {COUNTY}
        pages, token = [], ""
        while True:
            page, token = await listed(world, world.city_admin, page_size=2, page_token=token)
            pages += page
            if not token:
                break
        assert [one.invitation_id for one in pages] == [one.invitation_id for one in mine]
        world.clock.turn(seconds=86_401)
        world.tokens.clear()
        found, _ = await listed(world, world.province_admin)
        assert found[0].state == admin.Invitation.STATE_EXPIRED

    province.run(work(province.world))


def test_an_officers_key_is_confirmed_whatever_was_asked(province):
    """By a security officer, who sees what waits; the very next enrolment brings the certificate."""

    async def work(world):
        wei = await officer(world, "wei")
        system(world, PROVINCE, "newly", "officer")
        made = await invite(
            world, "newly", organisation=PROVINCE, officer=True, needs_approval=False
        )
        key, there = new_key(), world.province_admin
        pending = await refused(enrol(world, made.code, key, there))
        assert pending.reason == "APPROVAL_PENDING"
        found, _ = await listed(world, wei, organisation_code=PROVINCE)
        waiting = next(one for one in found if one.invitation_id == made.invitation_id)
        assert waiting.state == admin.Invitation.STATE_REQUESTED
        assert waiting.spki_sha256 == fingerprint(key)
        confirm = {"spki_sha256": waiting.spki_sha256}
        done = await act(world, wei, "ApproveEnrolment", made.invitation_id, **confirm)
        assert done.state == admin.Invitation.STATE_APPROVED
        assert (await enrol(world, made.code, key, there)).certificate.generation == 1

    province.run(work(province.world))
