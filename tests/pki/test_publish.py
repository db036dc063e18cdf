import asyncio

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.errors import Reason
from gateway.pki import (
    authorities,
    ceremony,
    crl,
    der,
    ended,
    external,
    keys,
    offline,
    publish,
    revoke,
    rollover,
)
from gateway.pki.defect import SUPERSEDED
from gateway.pki.paths import Trust
from gateway.pki.publish import Keeper, RestoredError
from gateway.pki.revoke import Target
from gateway.pki.verify import Verifier
from tests.papers import new_key
from tests.pki.foreign import Foreign
from tests.pki.forge import DOMAIN, Ca
from tests.pki.office import CHEN, HIS, OTHER, at_the_office
from tests.pki.test_issuer import roll_over, settle


def number(office):
    return publish.published(office.home).number


def named(office, position=0):
    lists = der.revocation_lists(office.home.crl.read_bytes())
    return {f"{entry.serial_number:x}" for entry in lists[position]}


async def keeper_of(office):
    return Keeper(office.home, office.databases["front"], office.clock)


async def epoch(office):
    return await office.as_("owner", publish.epoch)


async def take(office, serial):
    now_us = office.clock.now_us()
    target = Target.of_serial(serial)
    await office.as_(
        "administration", lambda tx: revoke.revoke_all(tx, target, "key-compromise", now_us)
    )


def test_from_the_row_to_the_list(conninfo):
    """One act: the row, the epoch, the list; and the verifier that loads it refuses."""

    async def scene(office):
        keeper = await keeper_of(office)
        await keeper.look()
        assert not await keeper.look()
        mine = await office.enrolled(used=False)
        assert not await keeper.look()  # a new certificate takes nothing back
        await take(office, mine.serial)
        assert await keeper.look()
        assert number(office) == await epoch(office)
        assert named(office) == {mine.serial}
        [anchor] = authorities.load(office.home)
        [listed] = der.revocation_lists(office.home.crl.read_bytes())
        judge = Verifier(Trust((anchor.certificate,), (listed,)), DOMAIN, office.clock)
        found = judge.judge((mine.certificate.public_bytes(Encoding.DER),))
        assert found.defect is Reason.CERT_REVOKED
        assert not await keeper.look()

    at_the_office(conninfo, scene)


def test_what_was_revoked_stays_on_the_list_whatever_its_row_says(conninfo):
    """Whoever owns the database puts it in force again, under another authority's name: the log is told, once."""

    async def scene(office):
        told = []
        front = office.databases["front"]
        tell = lambda *said: told.append(said)  # noqa: E731
        keeper = Keeper(office.home, front, office.clock, tell)
        await keeper.look()
        mine = await office.enrolled(used=False)
        await take(office, mine.serial)
        await keeper.look()
        assert (named(office), told) == ({mine.serial}, [])
        guard = "ALTER TABLE gateway.certificate DISABLE TRIGGER certificate_never_returns"
        await office.sql(guard)
        for change in (
            "revoked_us = NULL, state = 1, reason = NULL",
            f"issuer_sha256 = '\\x{'01' * 32}'",
        ):
            await office.sql(
                f"UPDATE gateway.certificate SET {change} WHERE serial = %s", mine.serial
            )
            for _ in range(2):
                office.clock.turn(seconds=3_601)
                assert await keeper.look()
                assert named(office) == {mine.serial}
        await keeper.look()
        detail = {"target_serial": mine.serial, "alert": publish.RAISED_ALERT}
        assert told == [(publish.RAISED_KIND, detail)]
        # As long as it could be renewed, and no longer.
        row = (await office.rows())[mine.serial]
        office.clock.us = row.not_after_us + 7 * 86_400 * 10**6 + 1
        await keeper.look()
        await keeper.look()
        assert named(office) == set()

    at_the_office(conninfo, scene)


def test_hourly_it_is_signed_anew_with_the_next_epoch(conninfo):
    async def scene(office):
        keeper = await keeper_of(office)
        await keeper.look()
        first = number(office)
        office.clock.turn(seconds=3_599)
        assert not await keeper.look()
        office.clock.turn(seconds=2)
        assert await keeper.look()
        assert number(office) == first + 1 == await epoch(office)
        [listed] = der.revocation_lists(office.home.crl.read_bytes())
        life = listed.next_update_utc - listed.last_update_utc - crl.BACKDATE
        assert life.total_seconds() == 24 * 3_600

    at_the_office(conninfo, scene)


def test_who_was_superseded_is_named_after_a_day_and_who_can_be_renewed_no_more_no_more(conninfo):
    async def scene(office):
        keeper = await keeper_of(office)
        first = await office.enrolled()
        second = await office.renew(first.serial, new_key())
        await office.use(second.serial)
        assert await keeper.look()
        assert (await office.rows())[first.serial].state == SUPERSEDED
        assert named(office) == set()
        office.clock.turn(seconds=86_401)
        assert await keeper.look()
        assert named(office) == {first.serial}
        # Its successor is of the same age: expired, it could still be renewed for a week.
        office.clock.us = (await office.rows())[first.serial].not_after_us + 7 * 86_400 * 10**6 - 1
        assert await keeper.look()
        assert named(office) == {first.serial}
        office.clock.turn(seconds=3_600)
        assert await keeper.look()
        assert named(office) == set()

    at_the_office(conninfo, scene)


def test_each_authority_has_its_list(conninfo):
    """After a roll-over the old one names what it issued, and what was issued before issuers were noted."""

    async def scene(office):
        keeper = await keeper_of(office)
        unnoted, noted = await office.enrolled(HIS, "1"), await office.enrolled(OTHER, "2")
        await office.sql(
            "UPDATE gateway.certificate SET issuer_sha256 = NULL WHERE serial = %s", unnoted.serial
        )
        fresh = roll_over(office.home)
        assert await keeper.look()
        settle(office)
        latest = await office.enrolled(CHEN, "3")
        assert latest.issuer_sha256 == keys.spki_sha256(fresh.key.public_key())
        for one in (unnoted, noted, latest):
            await take(office, one.serial)
        assert await keeper.look()
        assert named(office, 0) == {latest.serial}
        assert named(office, 1) == {unnoted.serial, noted.serial}
        lists = der.revocation_lists(office.home.crl.read_bytes())
        assert {crl.number_of(one) for one in lists} == {await epoch(office)}
        for anchor, one in zip(authorities.load(office.home), lists, strict=True):
            assert one.is_signature_valid(anchor.certificate.public_key())

    at_the_office(conninfo, scene)


def test_the_list_of_an_authority_whose_key_is_not_here_is_the_one_that_was_placed(conninfo):
    async def scene(office):
        keeper = await keeper_of(office)
        foreign = Ca.make(office.clock.now_us(), "elsewhere.invalid").client
        own = office.home.client_authority_certificate.read_bytes()
        office.home.client_authority_certificate.write_bytes(
            own + ceremony.pem(foreign.certificate)
        )
        place = authorities.external_list(office.home, foreign.certificate)

        def put(number, signer=foreign):
            made = crl.build(signer, [], number, office.clock.now_us())
            place.write_bytes(made.public_bytes(Encoding.PEM))

        def listed():
            found = crl.of(foreign.certificate, der.revocation_lists(office.home.crl.read_bytes()))
            return None if found is None else crl.number_of(found)

        await keeper.look()
        assert listed() is None
        put(7)
        assert await keeper.look()
        assert listed() == 7
        put(6)  # older than the one in force
        await keeper.look()
        assert listed() == 7
        put(9, Ca.make(office.clock.now_us(), "elsewhere.invalid").client)  # not its signature
        await keeper.look()
        assert listed() == 7
        place.write_bytes(b"nothing")
        await keeper.look()
        assert listed() == 7
        put(8)
        assert await keeper.look()
        assert listed() == 8
        place.unlink()
        await keeper.look()
        assert listed() == 8

    at_the_office(conninfo, scene)


def test_where_no_authority_is_ours_nothing_is_signed_and_the_placed_list_is_kept(conninfo):
    """Else each look would take the next epoch, twice a second."""

    async def scene(office):
        keeper = await keeper_of(office)
        await keeper.look()
        foreign = Foreign.make(office.clock.now_us())
        external.trust(office.home, foreign.certificate, foreign.revocations(number=3))
        rollover.retire(office.home, authorities.load(office.home)[0], 9)
        await keeper.look()
        before = await epoch(office)
        place = authorities.external_list(office.home, foreign.certificate)
        for listed in (3, 4):
            made = foreign.revocations(number=listed)
            place.write_bytes(made.public_bytes(Encoding.DER))
            await keeper.look()
            before = max(before, await epoch(office)) if listed == 4 else before
            for _ in range(3):
                office.clock.turn(seconds=7_200)
                assert not await keeper.look()
            assert await epoch(office) == before
            [found] = der.revocation_lists(office.home.crl.read_bytes())
            assert crl.number_of(found) == listed

    at_the_office(conninfo, scene)


def test_an_authority_installed_while_lists_are_written_keeps_its_list(conninfo, monkeypatch):
    """The front takes no authority without one."""

    async def scene(office):
        keeper = await keeper_of(office)
        really = publish.renew

        async def meanwhile(*given):
            """The keeper has looked at the authorities; before it writes there is one more."""
            await asyncio.to_thread(install)
            return await really(*given)

        def install():
            now_us = office.clock.now_us()
            request = rollover.request(office.home, "client-authority").public_bytes(Encoding.PEM)
            asked = offline.read(request, "client-authority")
            content = offline.sign(asked, ceremony.load(office.home.offline, "root"), now_us)
            following = rollover.judge(office.home, content, DOMAIN, now_us)
            rollover.put(office.home, following, now_us)

        monkeypatch.setattr(publish, "renew", meanwhile)
        assert await keeper.look()
        lists = der.revocation_lists(office.home.crl.read_bytes())
        anchors = authorities.load(office.home)
        assert len(anchors) == 2
        assert all(crl.of(one.certificate, lists) is not None for one in anchors)

    at_the_office(conninfo, scene)


def test_a_database_older_than_the_list_writes_none(conninfo):
    async def scene(office):
        keeper = await keeper_of(office)
        for _ in range(3):
            office.clock.turn(seconds=3_601)
            await keeper.look()
        before = office.home.crl.read_bytes()
        await office.sql("UPDATE gateway.epoch SET value = 1 WHERE name = 'revocation'")
        with pytest.raises(RestoredError, match="kept of epoch 2, the database has 1"):
            await keeper.look()
        # Without that file the list's own number tells.
        ended.place(office.home).unlink()
        with pytest.raises(RestoredError, match="number 3, the database 1"):
            await (await keeper_of(office)).look()
        assert office.home.crl.read_bytes() == before

    at_the_office(conninfo, scene)


def test_while_it_runs_it_survives_what_passes(conninfo, monkeypatch, capsys):
    monkeypatch.setattr(publish, "POLL_S", 0.01)

    async def scene(office):
        keeper = await keeper_of(office)
        office.clock.turn(seconds=3_601)
        await keeper.look()
        await office.sql("UPDATE gateway.epoch SET value = 0 WHERE name = 'revocation'")
        running = asyncio.create_task(keeper.run())
        await asyncio.sleep(0.2)
        kept = office.home.client_authority_certificate.read_bytes()
        office.home.client_authority_certificate.write_bytes(b"half a file")
        await asyncio.sleep(0.2)
        assert not running.done()
        office.home.client_authority_certificate.write_bytes(kept)
        await office.sql("UPDATE gateway.epoch SET value = 9 WHERE name = 'revocation'")
        assert await publish.reached(office.home, 9, 5) == 9
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    at_the_office(conninfo, scene)
    capsys.readouterr()


def test_who_waits_for_a_list_waits_no_longer_than_told(conninfo):
    async def scene(office):
        assert await publish.reached(office.home, 0, 1) == 0
        assert await publish.reached(office.home, 1, 0.1) == 0
        office.clock.turn(seconds=3_601)
        await (await keeper_of(office)).look()
        assert await publish.reached(office.home, 1, 1) == 1

    at_the_office(conninfo, scene)


def test_two_writers_leave_one_whole_file(conninfo):
    """The command line and the supervisor at the same moment: one after the other."""

    async def scene(office):
        mine = await office.enrolled()
        await take(office, mine.serial)
        await asyncio.gather(
            *(
                publish.renew(office.home, office.databases[role], office.rules, office.clock)
                for role in ("front", "administration")
            )
        )
        assert number(office) == await epoch(office)
        assert named(office) == {mine.serial}

    at_the_office(conninfo, scene)
