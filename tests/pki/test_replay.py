import pytest

from gateway.errors import Refusal
from gateway.pki import publish, revoke
from gateway.pki.publish import Keeper
from gateway.pki.replay import replay
from gateway.pki.revoke import Target
from gateway.tlog import leaf as leaves
from tests.papers import new_key
from tests.pki.office import CHEN, HIS, OTHER, at_the_office, oldest


async def again(office):
    return await office.as_("administration", lambda tx: replay(office.home, tx, oldest(office)))


async def take(office, target):
    now_us = office.clock.now_us()
    await office.as_(
        "administration", lambda tx: revoke.revoke_all(tx, target, "key-compromise", now_us)
    )


async def leaf(office, detail, time_us):
    content = leaves.encode({"kind": revoke.KIND, "detail": detail})
    # Administration alone tells of revocations, but by who owns the triggers.
    await office.sql("ALTER TABLE gateway.audit_entry DISABLE TRIGGER USER")
    await office.sql(
        "INSERT INTO gateway.audit_entry (idx, leaf, leaf_hash, time_us, kind, decision)"
        " VALUES ((SELECT coalesce(max(idx), -1) + 1 FROM gateway.audit_entry), %s, sha256('x'), %s, %s, 'allow')",
        *(content, time_us, revoke.KIND),
    )
    await office.sql("ALTER TABLE gateway.audit_entry ENABLE TRIGGER USER")


async def set_back(office):
    """Make the database what it was before anything was revoked: only the owner of triggers can."""
    await office.sql("ALTER TABLE gateway.certificate DISABLE TRIGGER USER")
    await office.sql("UPDATE gateway.certificate SET state = 1, revoked_us = NULL, reason = NULL")
    await office.sql("ALTER TABLE gateway.certificate ENABLE TRIGGER USER")
    await office.sql("UPDATE gateway.epoch SET value = 0 WHERE name = 'revocation'")


def test_what_the_list_names_is_revoked_again(conninfo):
    async def scene(office):
        keeper = Keeper(office.home, office.databases["front"], office.clock)
        mine, others = await office.enrolled(HIS, "1"), await office.enrolled(OTHER, "2")
        await take(office, Target.of_serial(mine.serial))
        office.clock.turn(seconds=3_601)
        await keeper.look()
        listed = publish.published(office.home).number
        before = (await office.rows())[mine.serial]
        await set_back(office)
        done = await again(office)
        assert (done.certificates, done.unknown, done.epoch) == (1, 0, listed + 1)
        row = (await office.rows())[mine.serial]
        assert (row.state, row.reason) == (2, "key-compromise")
        assert row.revoked_us == before.revoked_us
        assert (await office.rows())[others.serial].state == 1
        # Now the keeper goes on, with a number above the list's.
        assert await keeper.look()
        assert publish.published(office.home).number == listed + 1
        assert (await again(office)).certificates == 0

    at_the_office(conninfo, scene)


def test_whom_the_restored_register_does_not_know_is_counted(conninfo):
    async def scene(office):
        keeper = Keeper(office.home, office.databases["front"], office.clock)
        mine = await office.enrolled(HIS, "1")
        await take(office, Target.of_serial(mine.serial))
        await keeper.look()
        await office.sql("UPDATE gateway.invitation SET state = 6, serial = NULL")
        await office.sql("DELETE FROM gateway.certificate")
        await office.sql("UPDATE gateway.epoch SET value = 0 WHERE name = 'revocation'")
        done = await again(office)
        assert (done.certificates, done.unknown) == (0, 1)

    at_the_office(conninfo, scene)


def test_who_was_revoked_and_has_expired_is_not_renewed_after_a_restore(conninfo):
    """An expired certificate is renewed for a week: so long the list must name it, for a restored register."""

    async def scene(office):
        keeper = Keeper(office.home, office.databases["front"], office.clock)
        mine = await office.enrolled()
        await take(office, Target.of_serial(mine.serial))
        await keeper.look()
        office.clock.turn(seconds=15 * 86_400)
        await keeper.look()
        await set_back(office)
        assert (await again(office)).certificates == 1
        with pytest.raises(Refusal, match="CERT_REVOKED"):
            await office.renew(mine.serial, new_key())

    at_the_office(conninfo, scene)


def test_who_enrolled_right_after_a_revocation_is_left_alone(conninfo):
    """A certificate is valid from five minutes before it is issued: that does not make it older."""

    async def scene(office):
        first = await office.enrolled(HIS, "1")
        told = {**Target.of_bearer(HIS).told, "cause": "key-compromise"}
        await leaf(office, told, office.clock.now_us())
        office.clock.turn(seconds=2)
        second = await office.enrolled(HIS, "2")
        assert (await again(office)).certificates == 1
        rows = await office.rows()
        assert (rows[first.serial].state, rows[second.serial].state) == (2, 1)

    at_the_office(conninfo, scene)


def test_what_the_log_tells_is_revoked_again(conninfo):
    """Each kind of revocation by its leaf; what was issued after it is left alone."""

    async def scene(office):
        serials = {
            one: (await office.enrolled(one, str(number))).serial
            for number, one in enumerate((HIS, CHEN, OTHER))
        }

        async def revoked():
            return {row.bearer for row in (await office.rows()).values() if row.state == 2}

        now_us = office.clock.now_us()
        bearer = dict(Target.of_bearer(CHEN).told)
        await leaf(office, {**bearer, "cause": "cessation"}, now_us - 10**9)  # before it was issued
        assert (await again(office)).certificates == 0
        await leaf(office, {"target_serial": serials[HIS], "cause": "cessation"}, now_us)
        assert (await again(office)).certificates == 1
        assert await revoked() == {HIS}
        await leaf(office, {**bearer, "cause": "cessation"}, now_us)
        assert (await again(office)).certificates == 1
        assert await revoked() == {HIS, CHEN}
        await leaf(office, {"target_organisation": "140200"}, now_us)
        assert (await again(office)).certificates == 1
        await set_back(office)
        await leaf(
            office, {"issuer_sha256": oldest(office).hex(), "cause": "key-compromise"}, now_us
        )
        await leaf(office, {"digest": "00" * 32}, now_us)
        assert (await again(office)).certificates == 3

    at_the_office(conninfo, scene)
