"""The second officer: another person, the very key, and a confirmation that no row can claim by itself."""

import pytest

from gateway.errors import Reason
from gateway.pki import enrol, keys
from gateway.pki.confirmation import HOST
from gateway.pki.invitation import Officer, State
from tests.papers import new_key
from tests.pki.office import ADMIN, CHEN, DAY_S, SECOND, at_the_office
from tests.pki.test_invitation import refused

CONFIRMED = "approver_organisation, approver, approver_person, confirmation, spki_sha256, state"


def digest(key):
    return keys.spki_sha256(key.public_key())


def test_a_second_officer_confirms_the_very_key_that_was_shown(conninfo):
    async def scene(office):
        key, other = new_key(), new_key()
        code = await office.invite(approval=True)
        shown = await office.enrol(code, key)
        assert shown.refusal.reason is Reason.APPROVAL_PENDING
        assert bytes.fromhex(shown.refusal.metadata["spkiSha256"]) == digest(key)
        assert await refused(office.confirm(key, officer=ADMIN)) is Reason.SECOND_OFFICER_NEEDED
        assert await refused(office.confirm(bytes(32))) is Reason.FIELD_INVALID
        assert (await office.enrol(code, key)).refusal.reason is Reason.APPROVAL_PENDING
        assert (await office.confirm(key)).state is State.APPROVED
        third = Officer("140000", "third", "third")
        # A leaf would say that he confirmed it.
        assert await refused(office.confirm(key, officer=third)) is Reason.ALREADY_EXISTS
        assert (await office.confirm(key)).approver == SECOND
        done = await office.enrol(code, key)
        assert done.issued.serial in await office.rows()
        assert (await office.confirm(key)).state is State.ISSUED
        assert await refused(office.confirm(key, officer=HOST)) is Reason.ALREADY_EXISTS
        assert (await office.enrol(code, other)).refusal.reason is Reason.CODE_BURNT
        assert await refused(office.confirm(key)) is Reason.NOT_FOUND

    at_the_office(conninfo, scene)


def test_persons_count_and_not_accounts(conninfo):
    """Neither who invited under another account, nor who is to bear the certificate."""

    async def scene(office):
        key = new_key()
        code = await office.invite(CHEN)
        await office.enrol(code, key)
        for himself in (
            Officer("140000", "admin.other", "admin"),
            Officer("140100", "chen.admin", "chen"),
        ):
            call = office.confirm(key, officer=himself)
            assert await refused(call) is Reason.SECOND_OFFICER_NEEDED
        assert (await office.enrol(code, key)).refusal.reason is Reason.APPROVAL_PENDING
        # The host is nobody's account, and another of the same name elsewhere is another.
        await office.confirm(key, officer=Officer("140200", "chen", "chen"))
        assert (await office.enrol(code, key)).issued.generation == 1

    at_the_office(conninfo, scene)


def test_the_host_stands_in(conninfo):
    async def scene(office):
        key = new_key()
        code = await office.invite(CHEN)
        await office.enrol(code, key)
        assert (await office.confirm(key, officer=HOST)).approver == HOST
        assert (await office.enrol(code, key)).issued.generation == 1

    at_the_office(conninfo, scene)


@pytest.mark.parametrize(
    ("constraint", "change"),
    [
        ("officer", "approver_organisation = inviter_organisation, approver = inviter"),
        ("person", "approver_organisation = inviter_organisation, approver_person = inviter_person"),
        ("the_bearer", "approver_organisation = organisation, approver_person = subject_name"),
    ],
)  # fmt: skip
def test_the_database_itself_wants_two_persons(conninfo, constraint, change):
    async def scene(office):
        await office.invite(CHEN)
        with pytest.raises(Exception, match=f"invitation_(second|not)_{constraint}"):
            await office.sql(f"UPDATE gateway.invitation SET {change}")

    at_the_office(conninfo, scene)


def test_who_was_not_shown_a_key_confirms_none(conninfo):
    async def scene(office):
        await office.invite(approval=True)
        assert await refused(office.confirm(bytes(32))) is Reason.FIELD_INVALID
        office.clock.turn(seconds=DAY_S)
        assert await refused(office.confirm(bytes(32))) is Reason.NOT_FOUND

    at_the_office(conninfo, scene)


def test_what_nobody_made_is_not_confirmed(conninfo):
    async def scene(office):
        key = new_key()
        code = await office.invite(CHEN)
        await office.enrol(code, key)
        await office.sql("UPDATE gateway.invitation SET inviter_person = 'other'")
        assert await refused(office.confirm(key)) is Reason.NOT_FOUND

    at_the_office(conninfo, scene)


@pytest.mark.parametrize(
    "change",
    [
        "confirmation = NULL",
        "confirmation = sha256('x')",
        "approver = 'third'",
        "approver_person = 'third'",
        "approver_organisation = '140200'",
        "approver_organisation = NULL",
        "spki_sha256 = sha256('x')",
    ],
)
def test_a_confirmation_written_by_hand_issues_nothing(conninfo, change):
    async def scene(office):
        key = new_key()
        code = await office.invite(CHEN)
        await office.enrol(code, key)
        await office.confirm(key)
        await office.sql(f"UPDATE gateway.invitation SET {change}")
        denied = await office.enrol(code, key)
        if "spki" in change:  # another key than the one the row names now
            assert denied.refusal.reason is Reason.CODE_BURNT
        else:
            assert denied.refusal.reason is Reason.CODE_INVALID
            assert denied.alert == enrol.ALERT_TAMPERED
        assert await office.rows() == {}

    at_the_office(conninfo, scene)


def test_a_confirmation_is_of_one_key_and_one_invitation(conninfo):
    """The confirmed key's columns, copied to another invitation, or with the thief's key in its place."""

    async def scene(office):
        key, thiefs = new_key(), new_key()
        first, second = await office.invite(CHEN, "one"), await office.invite(CHEN, "two")
        await office.enrol(first, key)
        await office.confirm(key)
        await office.sql(
            f"UPDATE gateway.invitation AS i SET ({CONFIRMED}) ="
            f" (SELECT {CONFIRMED} FROM gateway.invitation WHERE id = 'one') WHERE i.id = 'two'"
        )
        assert (await office.enrol(second, key)).alert == enrol.ALERT_TAMPERED
        await office.sql("UPDATE gateway.invitation SET spki_sha256 = %s", digest(thiefs))
        assert (await office.enrol(first, thiefs)).alert == enrol.ALERT_TAMPERED
        assert await office.rows() == {}

    at_the_office(conninfo, scene)
