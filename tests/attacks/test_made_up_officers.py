"""Nobody becomes an officer by one person's hand, nor by rows that somebody writes (decision 0023).

An administrator of the province alone, by every rpc there is; and whoever owns the database, or is its administration role. Each
attack is refused with its reason and one leaf, no certificate comes of it, no code stands on any output, the next good call works.
"""

import hashlib
from contextlib import closing

import psycopg
import pytest

from gateway.pki.enrol import ALERT_TAMPERED
from gateway.pki.invitation import new_code
from gateway.store import roles
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import options_pb2 as options
from tests import papers
from tests.coverage.rpcs import Watch, kept_token, new_id, refused
from tests.papers import fingerprint, new_key
from tests.sealed import officer, seal
from tests.services.enrolling import enrol, invitation, renew
from tests.services.test_invitation_service import act
from tests.services.test_register_service import SERVICE, ask
from tests.world import CITY, COUNTY, PASSWORD, PROVINCE, Person, held

OPENED = ("CreateAccount", "InviteCertificate")
RESET = ("ResetPassword", "InviteCertificate")


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield lambda work: stands.run(work(stands.world))


@pytest.fixture(autouse=True)
def quiet(capfd, monkeypatch):
    """No password and no code on any process's output, whatever was tried."""
    codes = []
    monkeypatch.setattr(
        papers.invitation, "new_code", lambda: codes.append(new_code()) or codes[-1]
    )
    yield
    said = "".join(capfd.readouterr())
    assert not [secret for secret in (PASSWORD, *codes) if secret in said]


def certificates(world, name):
    sql = "SELECT serial FROM gateway.certificate WHERE subject_name = %s"
    return {serial for (serial,) in world.sql(sql, name)}


def second_account(world, person, account):
    """Open a second account for the same person, as the owner, and return him under it."""
    world.sql(
        "INSERT INTO gateway.account (organisation, name, roles, subject_kind, subject_name, password_hash, password_set_us,"
        " password_expires_us, must_change, history, created_us) SELECT organisation, %s, '{admin}', subject_kind, subject_name,"
        " password_hash, password_set_us, password_expires_us, must_change, history, created_us FROM gateway.account"
        " WHERE organisation = %s AND name = %s ON CONFLICT DO NOTHING",
        *(account, person.organisation, person.account),
    )
    return Person(person.subject, account, ("admin",), person.key, person.certificate)


async def caught(world, call, reason, code="", alert=""):
    """The call is refused as it must be, with one leaf that holds no code."""
    watch = Watch(world)
    error = await refused(call)
    leaf = await watch.only_leaf()
    assert (leaf["decision"], leaf["reason"], error.reason) == ("deny", reason, reason)
    assert leaf.get("detail", {}).get("alert", "") == alert
    assert not code or code not in str(leaf)
    return leaf


async def make_up(world, name, account_role=options.ROLE_APPROVER, organisation=PROVINCE):
    """The administrator enters a person and opens an account, as the contract lets him."""
    await ask(world, world.province_admin, "CreateSystem", admin.CreateSystemRequest(
        request_id=new_id(), organisation_code=organisation, system_name=name, officer=True,
    ), None)  # fmt: skip
    await ask(world, world.province_admin, "CreateAccount", admin.CreateAccountRequest(
        request_id=new_id(), organisation_code=organisation, account_name=name, system_name=name, roles=[account_role],
    ), None)  # fmt: skip


async def invited(world, name, organisation=PROVINCE, by=None, **fields):
    """An invitation of an officer, with what the request asks for."""
    request = invitation(name, organisation, officer=True, **fields)
    answer = admin.InviteCertificateResponse
    return await ask(world, by or world.province_admin, "InviteCertificate", request, answer)


def confirming(world, person, made, key):
    return act(world, person, "ApproveEnrolment", made.invitation_id, spki_sha256=fingerprint(key))


async def enrolled(world, made, key):
    """The next good call: another officer confirms, and the certificate is there."""
    second = await officer(world, "weiq")
    await confirming(world, second, made, key)
    answer = await enrol(world, made.code, key, world.province_admin)
    assert answer.certificate.generation == 1


@pytest.mark.parametrize("acts", [OPENED, RESET], ids=["create", "reset"])
def test_an_administrator_alone_makes_nobody_an_officer(province, acts):
    """Not for a person he made up, not for a real one whose password he reset; as often as he asks, under both his accounts."""

    async def work(world):
        name = f"zhao-{acts[0][0].lower()}"
        alone = world.province_admin
        if acts is OPENED:
            await make_up(world, name)
        else:
            await officer(world, name, "approver")
            await ask(world, alone, "ResetPassword", admin.ResetPasswordRequest(
                request_id=new_id(), organisation_code=PROVINCE, account_name=name, reason="forgot it",
            ), None)  # fmt: skip
        had = certificates(world, name)
        made, key = await invited(world, name, needs_approval=False), new_key()
        for himself in (alone, second_account(world, alone, "admin.other")):
            await caught(world, enrol(world, made.code, key, alone), "APPROVAL_PENDING", made.code)
            world.tokens.clear()
            await kept_token(world, himself)
            await caught(
                world, confirming(world, himself, made, key), "SECOND_OFFICER_NEEDED", made.code
            )
        await caught(world, enrol(world, made.code, key, alone), "APPROVAL_PENDING", made.code)
        world.tokens.clear()
        assert certificates(world, name) == had
        await enrolled(world, made, key)

    province(work)


def test_who_is_invited_does_not_confirm_himself(province):
    """A security officer's second certificate; and under an administrator's account, should he have one too."""

    async def work(world):
        song = await officer(world, "song")
        made, key = await invited(world, "song"), new_key()
        await refused(enrol(world, made.code, key, world.province_admin))
        for himself in (song, second_account(world, song, "song.admin")):
            world.tokens.clear()
            await kept_token(world, himself)
            await caught(world, confirming(world, himself, made, key), "SECOND_OFFICER_NEEDED")
        world.tokens.clear()
        await enrolled(world, made, key)

    province(work)


def test_a_city_confirms_no_officer_of_the_province(province):
    async def work(world):
        await make_up(world, "qian-city")
        made, key = await invited(world, "qian-city"), new_key()
        await refused(enrol(world, made.code, key, world.province_admin))
        for below in (world.city_admin, await officer_of_city(world)):
            await kept_token(world, below)
            await caught(world, confirming(world, below, made, key), "POLICY_DENIED")
        await enrolled(world, made, key)

    province(work)


async def officer_of_city(world):
    found = second_account(world, world.city_admin, "city.secures")
    world.sql("UPDATE gateway.account SET roles = '{security_officer}' WHERE name = 'city.secures'")
    world.tokens.clear()
    return found


def test_roles_that_come_later_make_no_officer_either(province):
    """A harmless account first; or a system, for whom one person is enough, that is to become an approver."""

    async def work(world):
        alone = world.province_admin
        await make_up(world, "later", options.ROLE_REQUESTER, CITY)
        made, key = await invited(world, "later", CITY), new_key()
        roles_of = admin.SetAccountRolesRequest(
            request_id=new_id(), organisation_code=CITY, account_name="later", reason="another duty",
            roles=[options.ROLE_APPROVER],
        )  # fmt: skip
        await ask(world, alone, "SetAccountRoles", roles_of, None)
        await caught(world, enrol(world, made.code, key, world.city), "APPROVAL_PENDING")
        assert certificates(world, "later") == set()
        # A system's certificate he gets alone; nobody's rights hang on it but an uploader's.
        papers.system(world, PROVINCE, "plain")
        request = invitation("plain", PROVINCE)
        answer = admin.InviteCertificateResponse
        plain = await ask(world, alone, "InviteCertificate", request, answer)
        await enrol(world, plain.code, person=alone)
        account = admin.CreateAccountRequest(
            request_id=new_id(), organisation_code=PROVINCE, account_name="plain", system_name="plain",
            roles=[options.ROLE_APPROVER],
        )  # fmt: skip
        await caught(world, ask(world, alone, "CreateAccount", account, None), "FIELD_INVALID")
        account.request_id, account.roles[0] = new_id(), options.ROLE_UPLOADER
        await ask(world, alone, "CreateAccount", account, None)
        roles_of.request_id, roles_of.organisation_code = new_id(), PROVINCE
        roles_of.account_name = "plain"
        await caught(world, ask(world, alone, "SetAccountRoles", roles_of, None), "FIELD_INVALID")

    province(work)


def test_a_break_glass_session_makes_nobody_an_officer_either(province):
    """Who opened it invites; the session confirms nothing, nor does he under an administrator's account."""

    async def work(world):
        sealed = await seal(world)
        opening, token = await sealed.entered()
        papers.system(world, PROVINCE, "spare", "officer")
        request, key = invitation("spare", PROVINCE, officer=True), new_key()
        raw = await world.call(sealed.opener, f"{SERVICE}InviteCertificate", request, token=token)
        made = admin.InviteCertificateResponse.FromString(raw)
        there = world.province_admin
        await caught(world, enrol(world, made.code, key, there), "APPROVAL_PENDING", made.code)
        confirm = admin.ApproveEnrolmentRequest(
            request_id=new_id(), invitation_id=made.invitation_id, spki_sha256=fingerprint(key)
        )
        call = world.call(sealed.opener, f"{SERVICE}ApproveEnrolment", confirm, token=token)
        await caught(world, call, "ROLE_NOT_ALLOWED", alert="break-glass")
        await sealed.close(opening, token)
        himself = second_account(world, sealed.opener, "opener.admin")
        await kept_token(world, himself)
        await caught(world, confirming(world, himself, made, key), "SECOND_OFFICER_NEEDED")
        world.tokens.clear()
        await enrolled(world, made, key)

    province(work)


# Rows that somebody writes.


def run_as(world, role, sql, *values):
    conninfo = roles.conninfo(world.home, world.settings, role)
    with closing(psycopg.connect(conninfo, autocommit=True)) as connection:
        return connection.execute(sql, values).rowcount


@pytest.mark.parametrize("role", ["owner", "administration"])
@pytest.mark.parametrize("proof", ["none", "made-up", "another's"])
def test_an_invitation_that_nobody_made_issues_nothing(province, role, proof):
    """Person, account, the way through a tunnel of his own, and the code: all written into the tables."""

    async def work(world):
        name, code = f"made-{role[:5]}-{proof[0]}", new_code()
        columns = ("organisation, kind, name, state, created_us", f"'{PROVINCE}', 'officer', '{name}', 1, 1")  # fmt: skip
        run_as(world, role, "INSERT INTO gateway.system ({}) VALUES ({})".format(*columns))
        run_as(
            world, role,
            "INSERT INTO gateway.account (organisation, name, roles, subject_kind, subject_name, state, password_hash,"
            " password_set_us, password_expires_us, must_change, history, created_us, password_epoch, role_epoch)"
            " VALUES (%s, %s, '{approver}', 'officer', %s, 1, 'x', 1, 9000000000000000, false, '{}', 1, 0, 0)",
            PROVINCE, name, name,
        )  # fmt: skip
        way = (
            "INSERT INTO gateway.relation VALUES (%s, %s, 'uses_tunnel_of') ON CONFLICT DO NOTHING"
        )
        run_as(world, role, way, PROVINCE, CITY)
        honest, _ = papers.invite(world, COUNTY, "uploader")
        [(theirs,)] = world.sql("SELECT proof FROM gateway.invitation WHERE id = %s", honest)
        given = {"none": None, "made-up": bytes(32), "another's": theirs}[proof]
        now_us, key = world.clock.now_us(), new_key()
        spki = bytes.fromhex(fingerprint(key))
        run_as(
            world, role,
            "INSERT INTO gateway.invitation (id, code_sha256, organisation, subject_kind, subject_name, purpose, state,"
            " needs_approval, created_us, expires_us, inviter_organisation, inviter, inviter_person, proof, spki_sha256,"
            " approver_organisation, approver, approver_person, confirmation)"
            " VALUES (%s, %s, %s, 'officer', %s, 1, 3, false, %s, %s, %s, 'admin', 'admin', %s, %s, %s, 'wei', 'wei', %s)",
            new_id(), hashlib.sha256(code.encode()).digest(), PROVINCE, name, now_us, now_us + 10**9, PROVINCE, given,
            spki, PROVINCE, given,
        )  # fmt: skip
        for way_in in (world.province_admin, world.city):
            await caught(
                world, enrol(world, code, key, way_in), "CODE_INVALID", code, ALERT_TAMPERED
            )
        assert certificates(world, name) == set()
        world.sql("DELETE FROM gateway.relation")
        await good(world)

    province(work)


async def good(world):
    """The next good call: a system is invited and enrols."""
    service = world.guard("enrolment")._methods["/gateway.v1.EnrolmentService/Enrol"][1].__self__
    service._unknown._levels.clear()
    request, answer = invitation(), admin.InviteCertificateResponse
    made = await ask(world, world.province_admin, "InviteCertificate", request, answer)
    assert (await enrol(world, made.code)).certificate.generation == 1


def test_who_comes_with_a_made_up_code_learns_no_more_than_of_any_other(province):
    async def work(world):
        _, planted = papers.invite(world, COUNTY, "uploader")
        world.sql("UPDATE gateway.invitation SET proof = NULL")
        errors = [await refused(enrol(world, code)) for code in (planted, new_code())]
        assert errors[0].message == errors[1].message
        assert errors[0].reason == errors[1].reason == "CODE_INVALID"
        await good(world)

    province(work)


PUT_BACK = (
    "UPDATE gateway.invitation SET state = %s, serial = NULL, attempts = 0, spki_sha256 = %s WHERE id = %s"
)  # fmt: skip


@pytest.mark.parametrize("end", ["burnt", "issued", "cancelled"])
def test_an_invitation_that_has_ended_and_is_put_back_issues_no_second_certificate(province, end):
    async def work(world):
        request, answer = invitation(), admin.InviteCertificateResponse
        made = await ask(world, world.province_admin, "InviteCertificate", request, answer)
        if end == "cancelled":
            await act(world, world.province_admin, "CancelInvitation", made.invitation_id)
        else:
            await enrol(world, made.code)
        if end == "burnt":
            assert (await refused(enrol(world, made.code))).reason == "CODE_BURNT"
        had, key = certificates(world, "uploader"), new_key()
        assert world.sql("SELECT state FROM gateway.invitation WHERE id = %s", made.invitation_id) != [(1,)]  # fmt: skip
        for state, spki in ((1, None), (3, bytes.fromhex(fingerprint(key)))):
            run_as(world, "owner", PUT_BACK, state, spki, made.invitation_id)
            await caught(world, enrol(world, made.code, key), "CODE_INVALID", made.code, ALERT_TAMPERED)  # fmt: skip
        assert certificates(world, "uploader") == had
        await good(world)

    province(work)


@pytest.mark.parametrize("hand", ["another key", "no confirmation", "another's confirmation"])
def test_a_confirmation_written_by_hand_issues_nothing(province, hand):
    async def work(world):
        name = f"hand-{len(hand)}"
        await make_up(world, name)
        made, key, thiefs = await invited(world, name), new_key(), new_key()
        await refused(enrol(world, made.code, key, world.province_admin))
        if hand == "another key":
            await confirming(world, await officer(world, "weiq"), made, key)
            run_as(
                world, "owner", "UPDATE gateway.invitation SET spki_sha256 = %s WHERE id = %s",
                bytes.fromhex(fingerprint(thiefs)), made.invitation_id,
            )  # fmt: skip
        else:
            other, _ = papers.invite(
                world, COUNTY, "uploader", needs_approval=True, state=2,
                spki_sha256=bytes.fromhex(fingerprint(key)),
            )  # fmt: skip
            await papers.confirm(world, other, key)
            run_as(
                world, "administration",
                "UPDATE gateway.invitation AS i SET state = 3, approver_organisation = o.approver_organisation,"
                " approver = o.approver, approver_person = o.approver_person, confirmation = CASE WHEN %s THEN"
                " o.confirmation END FROM gateway.invitation AS o WHERE o.id = %s AND i.id = %s",
                hand == "another's confirmation", other, made.invitation_id,
            )  # fmt: skip
            thiefs = key
        call = enrol(world, made.code, thiefs, world.province_admin)
        await caught(world, call, "CODE_INVALID", made.code, ALERT_TAMPERED)
        assert certificates(world, name) == set()
        await good(world)

    province(work)


def test_an_officer_confirms_nothing_that_nobody_made(province):
    """The row is planted, the fingerprint read aloud: whoever would confirm it in good faith is told that there is none."""

    async def work(world):
        papers.system(world, PROVINCE, "faith", "officer")
        key = new_key()
        number, code = papers.invite(
            world, PROVINCE, "faith", subject_kind="officer", state=2,
            spki_sha256=bytes.fromhex(fingerprint(key)),
        )  # fmt: skip
        world.sql("UPDATE gateway.invitation SET proof = NULL WHERE id = %s", number)
        second = await officer(world, "weiq")
        await kept_token(world, second)
        made = admin.InviteCertificateResponse(invitation_id=number, code=code)
        await caught(world, confirming(world, second, made, key), "NOT_FOUND", code, ALERT_TAMPERED)
        await good(world)

    province(work)


def test_a_system_that_rows_make_an_administrator_invites_and_confirms_nobody(province):
    """A system's certificate takes one person; with the database's owner it would be the second officer."""

    async def work(world):
        papers.system(world, PROVINCE, "robot", "officer")
        made, key = await invited(world, "robot"), new_key()
        await refused(enrol(world, made.code, key, world.province_admin))
        county = world.county
        change = "UPDATE gateway.account SET roles = %s WHERE organisation = %s AND name = %s"
        world.sql(change, ["admin"], county.organisation, county.account)
        world.tokens.clear()
        own, there = invitation("uploader"), papers.system(world, COUNTY, "nurse", "officer")
        assert there is None
        await kept_token(world, county)
        call = ask(world, county, "InviteCertificate", own, None)
        await caught(world, call, "SECOND_OFFICER_NEEDED")
        nurse = await invited(world, "nurse", COUNTY)
        await refused(enrol(world, nurse.code, key, county))
        await caught(world, confirming(world, county, nurse, key), "SECOND_OFFICER_NEEDED")
        world.sql(change, ["uploader"], county.organisation, county.account)
        world.tokens.clear()
        await enrolled(world, made, key)

    province(work)


def test_a_certificate_that_is_given_another_name_in_the_register_is_not_renewed_under_it(province):
    """One's own system's connection stands; its row now says an officer of the province."""

    async def work(world):
        await officer(world, "weiq")
        had, serial = certificates(world, "weiq"), world.county.serial
        rename = (
            "UPDATE gateway.certificate SET organisation = %s, subject_kind = %s, subject_name = %s"
            " WHERE serial = %s"
        )
        run_as(world, "owner", rename, PROVINCE, "officer", "weiq", serial)
        await caught(world, renew(world, world.county), "CERT_UNKNOWN")
        run_as(world, "owner", rename, COUNTY, "sys", "uploader", serial)
        assert certificates(world, "weiq") == had
        assert (await renew(world, world.county)).certificate.generation == 2

    province(work)
