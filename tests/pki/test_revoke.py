import asyncio

import pytest

from gateway.errors import Reason, Refusal
from gateway.pki import enrol, keys, publish, register, revoke, succession
from gateway.pki.invitation import State
from gateway.pki.register import Bearer
from gateway.pki.revoke import Target
from gateway.store.errors import StoreError
from tests.papers import new_key, request_for
from tests.pki.office import CHEN, HIS, OTHER, Office, at_the_office, oldest


async def take(office: Office, target, reason="cessation"):
    now_us = office.clock.now_us()
    return await office.as_(
        "administration", lambda tx: revoke.revoke_all(tx, target, reason, now_us)
    )


async def refused(awaitable):
    with pytest.raises(Refusal) as found:
        await awaitable
    return found.value.reason


async def meanwhile(office, work, target):
    """Revoke while somebody has issued in a transaction that is not committed yet; return what was issued."""
    async with office.databases["identity"].transaction() as tx:
        made = await work(tx)
        taking = asyncio.create_task(take(office, target))
        # It waits, or it has missed what is not visible yet.
        await asyncio.wait([taking], timeout=0.2)
    await taking
    return made


async def revoked(office):
    return {serial for serial, row in (await office.rows()).items() if row.state == 2}


def test_one_certificate(conninfo):
    async def scene(office):
        mine, others = await office.enrolled(HIS, "1"), await office.enrolled(OTHER, "2")
        before = await office.as_("owner", publish.epoch)
        done = await take(office, Target.of_serial(mine.serial))
        assert (done.certificates, done.invitations) == (1, 0)
        assert done.epoch == before + 1
        assert await revoked(office) == {mine.serial}
        row = (await office.rows())[mine.serial]
        assert (row.reason, row.revoked_us) == ("cessation", office.clock.now_us())
        assert (await office.rows())[others.serial].state == register.ACTIVE
        assert await refused(take(office, Target.of_serial(mine.serial))) is Reason.ALREADY_EXISTS
        assert await refused(take(office, Target.of_serial("ab"))) is Reason.NOT_FOUND

    at_the_office(conninfo, scene)


def test_one_by_the_host(conninfo):
    async def scene(office):
        mine = await office.enrolled(HIS)
        now_us = office.clock.now_us()

        async def work(tx, reason="key-compromise"):
            return await revoke.revoke(tx, mine.serial, reason, now_us)

        assert await refused(office.as_("administration", lambda tx: work(tx, "because"))) is (
            Reason.FIELD_INVALID
        )
        assert await office.as_("administration", work) == HIS
        assert await refused(office.as_("administration", work)) is Reason.ALREADY_EXISTS

    at_the_office(conninfo, scene)


def test_a_superseded_certificate_can_still_be_revoked_and_nothing_comes_back(conninfo):
    async def scene(office):
        first = await office.enrolled()
        second = await office.renew(first.serial, new_key())
        await office.use(second.serial)
        await take(office, Target.of_serial(first.serial))
        assert await revoked(office) == {first.serial}
        for state in (1, 3):
            with pytest.raises(Exception, match="cannot follow"):
                await office.sql(
                    "UPDATE gateway.certificate SET state = %s, revoked_us = NULLIF(%s, 1) WHERE state = 2",
                    *(state, state),
                )

    at_the_office(conninfo, scene)


def test_all_of_a_bearer_with_what_it_was_invited_to(conninfo):
    async def scene(office):
        mine = await office.enrolled(HIS, "1")
        second = await office.renew(mine.serial, new_key())
        chens = await office.enrolled(CHEN, "2")
        code = await office.invite(HIS, "3")
        done = await take(office, Target.of_bearer(HIS))
        assert (done.certificates, done.invitations) == (2, 1)
        assert await revoked(office) == {mine.serial, second.serial}
        assert (await office.rows())[chens.serial].state == register.ACTIVE
        assert (await office.invitation("3")).state is State.CANCELLED
        assert (await office.enrol(code, new_key())).refusal.reason is Reason.CODE_INVALID
        again = await take(office, Target.of_bearer(HIS))
        assert (again.certificates, again.invitations) == (0, 0)
        nobody = Target.of_bearer(Bearer("140100", "sys", "nobody"))
        assert await refused(take(office, nobody)) is Reason.NOT_FOUND
        assert await refused(take(office, Target.of_bearer(HIS), "because")) is Reason.FIELD_INVALID

    at_the_office(conninfo, scene)


def test_all_of_an_organisation(conninfo):
    async def scene(office):
        await office.enrolled(HIS, "1")
        await office.enrolled(CHEN, "2")
        others = await office.enrolled(OTHER, "3")
        await office.invite(HIS, "4")
        await office.invite(OTHER, "5")
        done = await take(office, Target.of_organisation("140100"))
        assert (done.certificates, done.invitations) == (2, 1)
        assert others.serial not in await revoked(office)
        assert (await office.invitation("5")).state is State.INVITED
        assert await refused(take(office, Target.of_organisation("999999"))) is Reason.NOT_FOUND

    at_the_office(conninfo, scene)


def test_all_of_an_authority_also_those_issued_before_it_was_noted(conninfo):
    async def scene(office):
        first = await office.enrolled(HIS, "1")
        second = await office.enrolled(OTHER, "2")
        await office.sql(
            "UPDATE gateway.certificate SET issuer_sha256 = NULL WHERE serial = %s", first.serial
        )
        foreign = await office.enrolled(CHEN, "3")
        await office.sql(
            "UPDATE gateway.certificate SET issuer_sha256 = sha256('x') WHERE serial = %s",
            foreign.serial,
        )
        target = revoke.authority_target(office.home, oldest(office))
        assert (await take(office, target)).certificates == 2
        assert await revoked(office) == {first.serial, second.serial}
        with pytest.raises(Refusal, match="NOT_FOUND"):
            revoke.authority_target(office.home, keys.spki_sha256(new_key().public_key()))

    at_the_office(conninfo, scene)


def test_expired_ones_are_revoked_too_for_they_could_be_renewed(conninfo):
    async def scene(office):
        mine = await office.enrolled(HIS)
        office.clock.turn(seconds=15 * 86_400)
        assert (await take(office, Target.of_bearer(HIS))).certificates == 1
        assert await refused(office.renew(mine.serial, new_key())) is Reason.CERT_REVOKED

    at_the_office(conninfo, scene)


@pytest.mark.parametrize("covers", ["serial", "bearer", "organisation", "authority"])
def test_what_is_being_renewed_meanwhile_is_revoked_too(conninfo, covers):
    """A thief who renews without pause would else keep what was not committed when it was looked for."""

    async def scene(office):
        first, csr = await office.enrolled(), request_for(new_key())
        his = str(office.issuer.subject(HIS))
        target = {
            "serial": Target.of_serial(first.serial),
            "bearer": Target.of_bearer(HIS),
            "organisation": Target.of_organisation("140100"),
            "authority": Target.of_authority(oldest(office), oldest(office)),
        }[covers]
        made = await meanwhile(
            office, lambda tx: succession.succeed(office.issuer, tx, first.serial, his, csr), target
        )
        assert await revoked(office) == {first.serial, made.serial}
        assert await office.use(made.serial) is None

    at_the_office(conninfo, scene)


def test_who_is_enrolling_meanwhile_is_revoked_too(conninfo):
    async def scene(office):
        asked = enrol.Request(await office.invite(), "140100", request_for(new_key()))
        made = await meanwhile(
            office, lambda tx: enrol.enrol(office.issuer, tx, asked), Target.of_bearer(HIS)
        )
        assert await revoked(office) == {made.issued.serial}

    at_the_office(conninfo, scene)


@pytest.mark.parametrize("under_way", ["enrolment", "renewal"])
@pytest.mark.parametrize("covers", ["bearer", "organisation"])
def test_what_an_issuer_that_stands_still_has_under_way_is_undone(
    conninfo, monkeypatch, capsys, under_way, covers
):
    """The server throws it out within the revocation's patience: there is no race left to lose."""
    monkeypatch.setattr(register, "STILL_MS", 300)

    async def scene(office):
        first = await office.enrolled()
        asked = enrol.Request(await office.invite(number="2"), "140100", request_for(new_key()))
        target = {
            "bearer": Target.of_bearer(HIS),
            "organisation": Target.of_organisation("140100"),
        }[covers]

        async def stands_still(tx):
            if under_way == "enrolment":
                await enrol.enrol(office.issuer, tx, asked)
            else:
                his = str(office.issuer.subject(HIS))
                await succession.succeed(office.issuer, tx, first.serial, his, asked.csr)
            done = await take(office, target)
            assert (done.certificates, done.invitations) == (1, 1)

        with pytest.raises(StoreError, match="IdleInTransaction"):
            await office.as_("identity", stands_still)
        assert await revoked(office) == set(await office.rows()) == {first.serial}
        assert "stands still" not in "".join(capsys.readouterr())
        assert (await office.enrol(asked.code, asked.csr)).refusal.reason is Reason.CODE_INVALID
        await office.enrolled(OTHER, "3")

    at_the_office(conninfo, scene)


def test_an_issuer_that_sets_itself_no_limit_keeps_nobody_from_revoking(
    conninfo, monkeypatch, capsys
):
    monkeypatch.setattr(register, "PATIENCE_MS", 50)

    async def scene(office):
        first = await office.enrolled()
        async with office.databases["identity"].transaction() as tx:
            await register.issuing(tx)
            await tx.execute("SET LOCAL idle_in_transaction_session_timeout TO DEFAULT")
            # Patience is asked for once: what the same transaction waits for later is not cut short.
            async with office.databases["administration"].transaction() as other:
                now_us = office.clock.now_us()
                target = Target.of_serial(first.serial)
                assert (
                    await revoke.revoke_all(other, target, "cessation", now_us)
                ).certificates == 1
                assert await other.fetch("SHOW lock_timeout") == [("10s",)]
        assert await revoked(office) == {first.serial}
        assert "an issuer stands still" in "".join(capsys.readouterr())
        async with office.databases["administration"].transaction() as other:
            assert await register.revoking(other)
            assert await other.fetch("SHOW lock_timeout") == [("10s",)]

    at_the_office(conninfo, scene)


def test_with_a_certificate_goes_the_successor_that_nobody_has_used(conninfo):
    """Whoever has the key may have renewed already; one in use was used by whom the officer knows."""

    async def scene(office):
        first = await office.enrolled(HIS, "1")
        stolen = await office.renew(first.serial, new_key())
        done = await take(office, Target.of_serial(first.serial), "key-compromise")
        assert done.certificates == 2
        assert await revoked(office) == {first.serial, stolen.serial}
        old = await office.enrolled(OTHER, "2")
        used = await office.renew(old.serial, new_key())
        await office.use(used.serial)
        waiting = await office.renew(used.serial, new_key())
        assert (await take(office, Target.of_serial(old.serial))).certificates == 1
        rows = await office.rows()
        assert [rows[one.serial].state for one in (used, waiting)] == [1, 1]

    at_the_office(conninfo, scene)


def test_identity_which_issues_cannot_revoke(conninfo):
    async def scene(office):
        mine = await office.enrolled(HIS)
        with pytest.raises(Exception, match="permission denied"):
            await office.as_("identity", lambda tx: revoke.revoke(tx, mine.serial, "cessation", 1))

    at_the_office(conninfo, scene)
