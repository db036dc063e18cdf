import pytest

from gateway.errors import Reason, Refusal
from gateway.pki import invitation
from gateway.pki.invitation import State
from gateway.pki.register import Bearer
from tests.papers import new_key
from tests.pki.office import ADMIN, CHEN, DAY_S, HIS, OTHER, SECOND, at_the_office


def test_a_code_has_130_bits_and_survives_a_telephone():
    codes = {invitation.new_code() for _ in range(50)}
    assert len(codes) == 50
    assert all(len(code) == 26 and set(code) <= set(invitation.ALPHABET) for code in codes)
    assert len(invitation.ALPHABET) ** 26 == 1 << 130
    assert not set("ILOU") & set(invitation.ALPHABET)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("0123456789ABCDEFGHJKMNPQRS", True),
        ("0123456789abcdefghjkmnpqrs", True),
        ("o123456789abcdefghjkmnpqrs", True),
        ("0i23456789abcdefghjkmnpqrs", True),
        ("OL23-4567 89AB-CDEF-GHJK-MNPQ-RS", True),
        ("0123456789ABCDEFGHJKMNPQR", False),
        ("0123456789ABCDEFGHJKMNPQRST", False),
        ("0123456789ABCDEFGHJKMNPQRU", False),
        ("0123456789ABCDEFGHJKMNPQR\x00", False),
        ("０123456789ABCDEFGHJKMNPQRS", False),
        ("-" * 79, False),
        ("", False),
    ],
)
def test_a_code_as_people_type_it(typed, read):
    digest = invitation.code_sha256("0123456789ABCDEFGHJKMNPQRS")
    assert (invitation.code_sha256(typed) == digest) == read
    assert read or invitation.code_sha256(typed) is None


async def refused(awaitable):
    with pytest.raises(Refusal) as found:
        await awaitable
    return found.value.reason


def test_only_who_may_come_in_is_invited(conninfo):
    async def scene(office):
        assert await refused(office.invite(Bearer("140100", "sys", "nobody"))) is Reason.NOT_FOUND
        assert await refused(office.invite(Bearer("999999", "sys", "his"))) is Reason.NOT_FOUND
        await office.sql("UPDATE gateway.system SET state = 2 WHERE kind = 'officer'")
        assert await refused(office.invite(CHEN)) is Reason.SYSTEM_SUSPENDED
        await office.sql("UPDATE gateway.organisation SET state = 2 WHERE code = '140200'")
        assert await refused(office.invite(OTHER)) is Reason.ORGANISATION_SUSPENDED
        await office.invite(HIS)
        assert await refused(office.invite(HIS)) is Reason.ALREADY_EXISTS

    at_the_office(conninfo, scene)


def test_the_code_itself_is_nowhere(conninfo):
    async def scene(office):
        code = await office.invite()
        [(row,)] = await office.sql("SELECT i::text FROM gateway.invitation AS i")
        assert code not in row
        assert invitation.code_sha256(code).hex() in row

    at_the_office(conninfo, scene)


def test_a_fresh_code_takes_the_place_of_one_whose_answer_was_lost(conninfo):
    async def scene(office):
        first, second = await office.invite(), invitation.new_code()

        async def recode(tx, officer=ADMIN):
            now_us = office.clock.now_us()
            wanted = invitation.Wanted("one", HIS, 1, False, officer)
            return await invitation.recode(tx, wanted, second, office.terms, now_us)

        async def by_another(tx):
            return await recode(tx, SECOND)

        office.clock.turn(seconds=3600)
        assert await refused(office.as_("administration", by_another)) is Reason.ALREADY_EXISTS
        again = await office.as_("administration", recode)
        assert again.expires_us == office.clock.now_us() + DAY_S * 1_000_000
        key = new_key()
        assert (await office.enrol(first, key)).refusal.reason is Reason.CODE_INVALID
        assert (await office.enrol(second, key)).issued.generation == 1
        assert await refused(office.as_("administration", recode)) is Reason.ALREADY_EXISTS

    at_the_office(conninfo, scene)


def test_an_invitation_ends(conninfo):
    async def scene(office):
        await office.invite()
        found = await office.invitation()
        assert found.standing(office.clock.now_us()) is State.INVITED
        office.clock.turn(seconds=DAY_S)
        assert found.standing(office.clock.now_us()) is State.EXPIRED

    at_the_office(conninfo, scene)


def test_cancelling(conninfo):
    async def scene(office):
        async def cancel(number):
            return await office.as_("administration", lambda tx: invitation.cancel(tx, number))

        code = await office.invite()
        assert (await cancel("one")).state is State.CANCELLED
        assert (await cancel("one")).state is State.CANCELLED
        assert (await office.enrol(code, new_key())).refusal.reason is Reason.CODE_INVALID
        assert await refused(cancel("none")) is Reason.NOT_FOUND
        await office.enrolled(HIS, "two")
        assert await refused(cancel("two")) is Reason.REVISION_STALE

    at_the_office(conninfo, scene)


def test_all_open_ones_of_a_bearer_or_an_organisation_are_cancelled(conninfo):
    async def scene(office):
        await office.invite(HIS, "1")
        await office.invite(CHEN, "2")
        await office.invite(OTHER, "3")
        await office.enrolled(CHEN, "4")

        async def cancel(organisation, bearer=None):
            return await office.as_(
                "administration", lambda tx: invitation.cancel_all(tx, organisation, bearer)
            )

        assert await cancel("140100", HIS) == 1
        assert await cancel("140100") == 1
        states = [int((await office.invitation(number)).state) for number in "1234"]
        assert states == [6, 6, 1, 4]

    at_the_office(conninfo, scene)


def test_pages_go_from_the_newest_on(conninfo):
    async def scene(office):
        for number in "abcd":
            await office.invite(OTHER if number == "c" else HIS, number)
            office.clock.turn(seconds=0 if number == "a" else 1)

        async def page(organisation, before, limit=10):
            found = await office.as_(
                "administration", lambda tx: invitation.page(tx, organisation, before, limit)
            )
            return [one.id for one in found], found and (found[-1].created_us, found[-1].id)

        newest = (1 << 62, "")
        first, last = await page("", newest, 2)
        assert first == ["d", "c"]
        assert (await page("", last))[0] == ["b", "a"]
        assert (await page("140100", newest))[0] == ["d", "b", "a"]

    at_the_office(conninfo, scene)


def test_an_officers_needs_a_second_one_whatever_was_asked(conninfo):
    async def scene(office):
        await office.invite(CHEN, "1", approval=False)
        await office.invite(HIS, "2", approval=False)
        await office.invite(HIS, "3", approval=True)
        found = [await office.invitation(number) for number in "123"]
        assert [one.needs_approval for one in found] == [True, False, True]
        assert [one.needs_second for one in found] == [True, False, True]
        # Of an officer, even where the row says otherwise.
        await office.sql("UPDATE gateway.invitation SET needs_approval = false WHERE id = '1'")
        assert (await office.invitation("1")).needs_second

    at_the_office(conninfo, scene)


@pytest.mark.parametrize(
    "change",
    [
        "id = 'two'",
        "code_sha256 = sha256('x')",
        "subject_kind = 'officer', subject_name = 'chen'",
        "organisation = '140200'",
        "purpose = 2",
        "needs_approval = true",
        "created_us = created_us + 1",
        "expires_us = expires_us + 1",
        "inviter_organisation = '140100'",
        "inviter = 'other'",
        "inviter_person = 'other'",
        "proof = NULL",
        "proof = sha256('x')",
    ],
)
def test_a_row_that_was_changed_is_proven_no_more(conninfo, change):
    async def scene(office):
        await office.invite()
        assert invitation.proven(await office.invitation(), office.proofs)
        await office.sql("UPDATE gateway.invitation SET state = 2, attempts = 3")
        assert invitation.proven(await office.invitation(), office.proofs)
        await office.sql(f"UPDATE gateway.invitation SET {change}")
        [(number,)] = await office.sql("SELECT id FROM gateway.invitation")
        assert not invitation.proven(await office.invitation(number), office.proofs)

    at_the_office(conninfo, scene)


def test_no_fresh_code_for_a_row_that_nobody_made(conninfo):
    async def scene(office):
        await office.invite()
        await office.sql("UPDATE gateway.invitation SET purpose = 2")

        async def recode(tx):
            wanted, code = invitation.Wanted("one", HIS, 2, False, ADMIN), invitation.new_code()
            now_us = office.clock.now_us()
            return await invitation.recode(tx, wanted, code, office.terms, now_us)

        assert await refused(office.as_("administration", recode)) is Reason.ALREADY_EXISTS

    at_the_office(conninfo, scene)
