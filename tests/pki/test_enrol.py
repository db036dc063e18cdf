import asyncio

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.errors import Reason, Refusal
from gateway.pki import enrol, keys, profile, register
from gateway.pki.enrol import ALERT_BURNT, Denied, Enrolled
from gateway.pki.invitation import State
from gateway.pki.lint import faults, subject_of
from tests.papers import new_key, request_for
from tests.pki.office import CHEN, DAY_S, HIS, OTHER, at_the_office


def test_a_code_becomes_a_certificate_of_the_invited(conninfo):
    async def scene(office):
        code, key = await office.invite(), new_key()
        done = await office.enrol(code, key)
        assert isinstance(done, Enrolled)
        certificate = done.issued.certificate
        assert faults(certificate, profile.load("client")) == []
        assert subject_of(certificate) == office.issuer.subject(HIS)
        assert certificate.public_key() == key.public_key()
        row = (await office.rows())[done.issued.serial]
        assert (row.bearer, row.purpose, row.generation) == (HIS, register.TLS, 1)
        assert row.first_used_us is None
        assert row.issuer_sha256 == done.issued.issuer_sha256 is not None
        found = await office.invitation()
        assert (found.state, found.serial) == (State.ISSUED, done.issued.serial)
        assert found.spki_sha256 == keys.spki_sha256(key.public_key())

    at_the_office(conninfo, scene)


def test_a_person_is_invited_like_a_system(conninfo):
    async def scene(office):
        issued = await office.enrolled(CHEN)
        assert str(subject_of(issued.certificate)).endswith("/org/140100/officer/chen")

    at_the_office(conninfo, scene)


def test_a_lost_answer_is_answered_with_the_same_certificate(conninfo):
    """73: same code, same key, within the code's life; then the code is over."""

    async def scene(office):
        code, key = await office.invite(), new_key()
        first = await office.enrol(code, key)
        office.clock.turn(seconds=DAY_S - 1)
        again = await office.enrol(code.lower(), key)
        assert again.issued == first.issued
        assert len(await office.rows()) == 1
        office.clock.turn(seconds=1)
        assert (await office.enrol(code, key)).refusal.reason is Reason.CODE_INVALID

    at_the_office(conninfo, scene)


TAKEN_BACK = {
    Reason.CERT_REVOKED: "UPDATE gateway.certificate SET state = 2, revoked_us = 1",
    Reason.CERT_SUPERSEDED: "UPDATE gateway.certificate SET state = 3, revoked_us = 1",
    Reason.LINEAGE_LOCKED: "UPDATE gateway.lineage SET locked_us = 1",
}


@pytest.mark.parametrize("reason", TAKEN_BACK, ids=str)
def test_what_was_taken_back_meanwhile_is_not_answered_again(conninfo, reason):
    async def scene(office):
        code, key = await office.invite(), new_key()
        await office.enrol(code, key)
        await office.sql(TAKEN_BACK[reason])
        for _ in range(2):
            done = await office.enrol(code, key)
            assert isinstance(done, Denied)
            assert (done.refusal.reason, done.alert) == (reason, "")
            assert done.invitation.serial in await office.rows()
        assert (await office.invitation()).state is State.ISSUED
        assert isinstance(await office.enrol(await office.invite(number="2"), new_key()), Enrolled)

    at_the_office(conninfo, scene)


def test_fifty_at_once_make_one_certificate(conninfo):
    """72: the invitation's row is locked: one after the other."""

    async def scene(office):
        code, key = await office.invite(), new_key()
        done = await asyncio.gather(*(office.enrol(code, key) for _ in range(50)))
        assert {one.issued.serial for one in done} == set(await office.rows())

    at_the_office(conninfo, scene)


def test_fifty_keys_at_once_make_one_certificate_and_burn_the_code(conninfo):
    async def scene(office):
        code = await office.invite()
        done = await asyncio.gather(*(office.enrol(code, new_key()) for _ in range(50)))
        issued = [one for one in done if isinstance(one, Enrolled)]
        assert len(issued) == len(await office.rows()) == 1
        assert sum(one.alert == ALERT_BURNT for one in done if isinstance(one, Denied)) == 1
        assert (await office.invitation()).state is State.BURNT

    at_the_office(conninfo, scene)


def test_another_key_burns_the_code(conninfo):
    """71: whoever comes second with a key of his own gets nothing, nor does anybody after him."""

    async def scene(office):
        code, key = await office.invite(), new_key()
        issued = (await office.enrol(code, key)).issued
        second = await office.enrol(code, new_key())
        assert (second.refusal.reason, second.alert) == (Reason.CODE_BURNT, "code-burnt")
        third = await office.enrol(code, key)
        assert (third.refusal.reason, third.alert) == (Reason.CODE_BURNT, "")
        # The certificate that was issued stands: whose it is the officers find out.
        assert (await office.rows())[issued.serial].state == register.ACTIVE

    at_the_office(conninfo, scene)


@pytest.mark.parametrize(
    "wrong", ["unknown", "other organisation", "expired", "cancelled", "malformed"]
)
def test_one_answer_for_every_code_that_is_none(conninfo, wrong):
    """74, 75: nobody learns from the answer whether there is such a code."""

    async def scene(office):
        code, organisation = await office.invite(), "140100"
        if wrong == "unknown":
            code = ("0" if code[0] != "0" else "1") + code[1:]
        elif wrong == "other organisation":
            organisation = "140200"
        elif wrong == "expired":
            office.clock.turn(seconds=DAY_S)
        elif wrong == "cancelled":
            await office.sql("UPDATE gateway.invitation SET state = 6")
        else:
            code = code[:-1]
        done = await office.enrol(code, new_key(), organisation)
        assert done.refusal.reason is Reason.CODE_INVALID
        assert (done.refusal.metadata, done.invitation, done.alert) == ({}, None, "")
        assert await office.rows() == {}
        assert (await office.invitation()).attempts == 0

    at_the_office(conninfo, scene)


def test_wrong_requests_are_counted_and_the_last_burns_the_code(conninfo):
    async def scene(office):
        code, key = await office.invite(), new_key()
        for attempt in range(1, 6):
            done = await office.enrol(code, b"not a request")
            assert done.refusal.reason is Reason.FIELD_INVALID
            assert done.refusal.violations[0].rule == "csr-encoding"
            assert done.alert == ("code-burnt" if attempt == 5 else "")
            assert (await office.invitation()).attempts == attempt
        assert (await office.enrol(code, key)).refusal.reason is Reason.CODE_BURNT

    at_the_office(conninfo, scene)


def test_four_wrong_requests_are_forgiven(conninfo):
    async def scene(office):
        code = await office.invite()
        for _ in range(4):
            await office.enrol(code, b"not a request")
        assert isinstance(await office.enrol(code, new_key()), Enrolled)

    at_the_office(conninfo, scene)


def test_a_key_that_was_seen_is_not_certified(conninfo):
    """79: of another system, of the same one before, of the authority, of the front."""

    async def scene(office):
        mine, others = new_key(), new_key()
        await office.enrol(await office.invite(HIS, "1"), mine)
        await office.enrol(await office.invite(OTHER, "2"), others, "140200")
        own = office.issuer._authorities.issuing().key
        for number, key, rule in (
            ("3", mine, "csr-key-seen"),
            ("4", others, "csr-key-seen"),
            ("5", own, "csr-key-own"),
        ):
            done = await office.enrol(await office.invite(HIS, number), key)
            assert done.refusal.violations[0].rule == rule
            assert (await office.invitation(number)).attempts == 1

    at_the_office(conninfo, scene)


def test_who_was_suspended_meanwhile_gets_nothing_and_may_try_again(conninfo):
    async def scene(office):
        code, key = await office.invite(), new_key()
        await office.sql("UPDATE gateway.system SET state = 2")
        with pytest.raises(Refusal, match="SYSTEM_SUSPENDED"):
            await office.enrol(code, key)
        assert (await office.invitation()).state is State.INVITED
        await office.sql("UPDATE gateway.system SET state = 1")
        assert isinstance(await office.enrol(code, key), Enrolled)

    at_the_office(conninfo, scene)


def test_an_encryption_certificate_comes_by_the_same_way(conninfo):
    async def scene(office):
        code = await office.invite(purpose=register.ENCRYPTION)
        done = await office.enrol(code, new_key())
        certificate = done.issued.certificate
        assert faults(certificate, profile.load("encryption")) == []
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        assert usage.key_agreement
        assert not usage.digital_signature
        assert (await office.rows())[done.issued.serial].purpose == register.ENCRYPTION

    at_the_office(conninfo, scene)


def test_an_encryption_key_is_of_its_own_profile(conninfo):
    """RSA connects; but nothing is encrypted to it here."""
    large = rsa.generate_private_key(65537, 3072)

    async def scene(office):
        code = await office.invite(HIS, "1", purpose=register.ENCRYPTION)
        done = await office.enrol(code, large)
        assert done.refusal.violations[0].rule == "csr-key"
        assert isinstance(await office.enrol(await office.invite(HIS, "2"), large), Enrolled)

    at_the_office(conninfo, scene)


def test_a_crash_between_signature_and_commit_leaves_nothing(conninfo):
    """84: what was signed and not recorded is no certificate, and the same request succeeds."""

    async def scene(office):
        code, key = await office.invite(), new_key()
        asked = enrol.Request(code, "140100", request_for(key))
        made = []

        async def crash(tx):
            made.append(await enrol.enrol(office.issuer, tx, asked))
            raise ConnectionError

        with pytest.raises(ConnectionError):
            await office.as_("identity", crash)
        [done] = made
        assert isinstance(done, Enrolled)
        assert await office.rows() == {}
        assert (await office.invitation()).state is State.INVITED
        again = await office.enrol(code, key)
        assert again.issued.serial != done.issued.serial
        assert set(await office.rows()) == {again.issued.serial}

    at_the_office(conninfo, scene)
