"""Attacks on who signs policies, and who is the province, by who owns the database: rows that say what no leaf tells.

Each leaves one leaf with its reason, decides nothing, and once the rows are mended the next good call works.
"""

from dataclasses import replace

import pytest

from gateway.audit.event import Event
from gateway.config.folders import replace_public
from gateway.errors import Reason, refuse
from gateway.policy import activation, proposing
from gateway.policy.proposing import Change
from gateway.policy.trust import Trust
from gateway.store.database import StoreError
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import break_glass_service_pb2 as glass
from gateway.v1 import export_service_pb2 as export
from gateway.v1 import identity_service_pb2 as identity
from tests.coverage.rpcs import WHOAMI, Watch, a_batch, kept_token, new_id, refused
from tests.policies import (
    LOOSER,
    SERVICE,
    SHIPPED,
    TIGHTER,
    approve,
    changed,
    in_force,
    propose,
    proposed,
    signature_leaf,
    tell,
)  # fmt: skip
from tests.policy.test_activation import US, Hand, enter, signed_by
from tests.sealed import officer
from tests.world import CITY, PASSWORD, PROVINCE, held

QUIET = TIGHTER.replace("WhoAmI", "ListUnits")


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


@pytest.fixture(autouse=True)
def quiet(capfd):
    """No password on any process's output, whatever was tried."""
    yield
    assert PASSWORD not in "".join(capfd.readouterr())


async def two(world):
    return [await officer(world, name) for name in ("officer-a", "officer-b")]


async def whoami(world):
    token = await kept_token(world, world.county)
    return await world.call(world.county, WHOAMI, identity.WhoAmIRequest(), token=token)


def number_of(world):
    [[number]] = world.sql("SELECT max(number) FROM gateway.policy_activation")
    return number


async def unusable(world, mend):
    """Nothing is decided by such rows, with one leaf; mended, the next call works."""
    await kept_token(world, world.county)
    world.clock.turn(seconds=0.3)
    watch = Watch(world)
    error = await refused(whoami(world))
    leaf = await watch.only_leaf()
    assert error.code == refuse(Reason.POLICIES_UNUSABLE).code
    assert (error.reason, leaf["decision"], leaf["reason"]) == (
        "POLICIES_UNUSABLE",
        "deny",
        "POLICIES_UNUSABLE",
    )
    mend()
    world.clock.turn(seconds=0.3)
    await whoami(world)


async def written(world, people, at_us, *, told=(), leaf_roles=(), apart_s=121):
    """A bundle with these people's real signatures, proposed by the host; of `told` there are leaves, too.

    The doors read it when all of that is there.
    """
    # While nothing is decided nobody logs in.
    await kept_token(world, world.county)
    number, hand = number_of(world) + 1, Hand(world)
    found = await hand(propose, changed(f"{LOOSER}// {new_id()}\n"), Change(), at_us)
    sha256 = found.bundle.sha256
    signed = [
        signed_by(one, number, sha256, at_us + n * apart_s * US) for n, one in enumerate(people)
    ]
    await Hand(world, "owner")(enter, found.bundle, signed, number)
    for n, one in enumerate(signed):
        if one.person in told:
            event = signature_leaf(number, sha256, one, *leaf_roles, active=n == len(signed) - 1)
            await hand(tell, event, one.signed_us)
    reread(world)
    return number


def reread(world):
    """Move the epoch by which the doors read what is in force anew."""
    world.sql("UPDATE gateway.epoch SET value = value + 1 WHERE name = 'policies'")


def taken_back(world, number):
    """What the owner wrote of an activation, taken away; and the operator says what the log told up to here."""

    def mend():
        for table in ("activation", "signature", "proposal"):
            world.sql(f"DELETE FROM gateway.policy_{table} WHERE number >= %s", number)
        [[in_force, sha256]] = world.sql(
            "SELECT number, encode(sha256, 'hex') FROM gateway.policy_activation"
            " ORDER BY number DESC LIMIT 1"
        )
        text = f"{in_force} {sha256} {world.size()}\n"
        replace_public(world.home.policies_in_force, text.encode())
        reread(world)

    return mend


def test_a_signer_without_the_role_puts_nothing_in_force(province):
    """An approver's real key, and rows: no leaf of his; or one that tells the role he had."""

    async def work(world):
        people = [(await two(world))[0], await officer(world, "signer-zhao", "approver")]
        names = [one.subject.name for one in people]
        for told, role in ((names[:1], "security_officer"), (names, "approver")):
            now_us = world.clock.now_us()
            number = await written(world, people, now_us, told=told, leaf_roles=(role,))
            await unusable(world, taken_back(world, number))

    province.run(work(province.world))


@pytest.mark.parametrize("role", ["owner", "identity", "intake", "disclosure", "front"])
def test_nobody_but_administration_tells_the_log_of_signatures(province, role):
    async def work(world):
        people, now_us = await two(world), world.clock.now_us()
        await kept_token(world, world.county)
        size = world.size()
        number = await written(world, people, now_us)
        event = signature_leaf(number, "ab" * 32, signed_by(people[0], 1, "", now_us), active=True)
        with pytest.raises(StoreError):
            await Hand(world, role)(tell, event, now_us)
        assert world.size() == size + 1, "the proposal alone"
        await unusable(world, taken_back(world, number))

    province.run(work(province.world))


def test_a_signer_who_was_revoked_before_puts_nothing_in_force(province):
    """Rows and leaves agree, as administration's own role could write them; the certificate was revoked."""

    async def work(world):
        people = [await officer(world, name) for name in ("officer-a", "officer-r")]
        now_us = world.clock.now_us()
        both = [one.subject.name for one in people]
        serial = people[1].serial
        set_ = "UPDATE gateway.certificate SET state = %s, revoked_us = %s WHERE serial = %s"
        world.sql(set_, 2, now_us - 3600 * US, serial)
        number = await written(world, people, now_us, told=both)
        await unusable(world, taken_back(world, number))
        # The row says that it never was; the log tells the revocation.
        world.sql("ALTER TABLE gateway.certificate DISABLE TRIGGER USER")
        world.sql(set_, 1, None, serial)
        world.sql("ALTER TABLE gateway.certificate ENABLE TRIGGER USER")
        told = Event(kind="admin.certificate.revoke", door="host", detail={"target_serial": serial})
        await Hand(world)(tell, told, now_us)
        number = await written(world, people, now_us, told=both)
        await unusable(world, taken_back(world, number))
        # Another officer, whom nobody revoked.
        other = await officer(world, "officer-c")
        await in_force(world, people[0], other, changed(QUIET + f"// {new_id()}\n"))
        await in_force(world, people[0], other, SHIPPED)

    province.run(work(province.world))


def test_a_back_dated_signature_does_not_shorten_the_wait(province):
    """Of the other one's signature, the owner says that it is a day old: the leaf tells when it was."""

    async def work(world):
        first, second = await officer(world, "officer-a"), await officer(world, "officer-d")
        found = await proposed(world, changed(QUIET + f"// {new_id()}\n"))
        await approve(world, first, found)
        world.sql("UPDATE gateway.policy_signature SET signed_us = signed_us - %s", 86_400 * US)
        await kept_token(world, second)
        watch = Watch(world)
        error = await refused(approve(world, second, found))
        leaf = await watch.only_leaf()
        assert (error.reason, leaf["reason"]) == ("APPROVAL_TOO_SOON", "APPROVAL_TOO_SOON")
        # And were it written, and told: the leaves stand ten seconds apart.
        number = number_of(world) + 1
        taken_back(world, number)()
        people, at_us = [first, second], world.clock.now_us()
        both = [one.subject.name for one in people]
        number = await written(world, people, at_us, told=both, apart_s=10)
        await unusable(world, taken_back(world, number))
        await in_force(world, first, second, SHIPPED | {"99.cedar": f"// {new_id()}\n"})

    province.run(work(province.world))


def test_a_loosening_that_is_called_none_waits_all_the_same(province):
    async def work(world):
        first, second = await officer(world, "officer-a"), await officer(world, "officer-d")
        change = Change(newly_allowed=("ListOrganisations",))
        found = await proposed(world, changed(f"{LOOSER}// {new_id()}\n"), change)
        world.sql("UPDATE gateway.policy_proposal SET newly_allowed = '{}', proposed_us = 1")
        await approve(world, first, found)
        world.clock.turn(seconds=3600)
        await kept_token(world, second)
        watch = Watch(world)
        error = await refused(approve(world, second, found))
        leaf = await watch.only_leaf()
        assert (error.reason, leaf["reason"]) == ("APPROVAL_TOO_SOON", "APPROVAL_TOO_SOON")
        # Written and told an hour after, by who has administration's role: the proposal's leaf tells the day.
        sha256, at_us = found.bundle.sha256, world.clock.now_us()
        mine = signed_by(second, found.number, sha256, at_us)

        async def rows(tx):
            digest = bytes.fromhex(sha256)
            told = (mine.person, mine.account, mine.certificate_sha256, mine.signature, at_us)
            await tx.execute(proposing._SIGN, (found.number, digest, *told))
            await activation.activate(tx, found.number, sha256, at_us)
            await tell(tx, signature_leaf(found.number, sha256, mine, active=True), at_us)

        await Hand(world)(rows)
        await unusable(world, taken_back(world, found.number))
        found = await proposed(world, changed(f"{LOOSER}// {new_id()}\n"), change)
        await approve(world, first, found)
        world.clock.turn(seconds=24 * 3600)
        assert await approve(world, second, found)
        await in_force(world, first, second, SHIPPED)

    province.run(work(province.world))


def test_an_older_bundle_is_not_put_back(province):
    """Two officers once signed it: the log tells of a newer one; and where the owner hides that, HOME knows."""

    async def work(world):
        first, second = await officer(world, "officer-a"), await officer(world, "officer-d")
        older = await in_force(world, first, second, changed(f"{LOOSER}// {new_id()}\n"))
        newer = await in_force(world, first, second, SHIPPED)
        assert (older.number + 1, newer.number) == (newer.number, number_of(world))
        current = await Hand(world)(activation.active)
        put = "INSERT INTO gateway.policy_activation VALUES (%s, %s, 0)"
        digest = bytes.fromhex(newer.bundle.sha256)

        def put_back():
            world.sql("DELETE FROM gateway.policy_activation WHERE number = %s", newer.number)

        put_back()
        await unusable(world, lambda: world.sql(put, newer.number, digest))
        # Under the newer one's number it has no signatures.
        again = "UPDATE gateway.policy_activation SET sha256 = %s WHERE number = %s"
        world.sql(again, bytes.fromhex(older.bundle.sha256), newer.number)
        await unusable(world, lambda: world.sql(again, digest, newer.number))
        # The function that finds leaves tells of none of the newer one; the supervisor has seen it.
        Trust.of(world.home, world.settings).keep(current.mark)
        body = "SELECT prosrc FROM pg_proc WHERE proname = 'policy_leaves'"
        [[source]] = world.sql(body)
        hidden = source.replace(">= since", f">= since AND l.idx < {current.leaf}")
        make = (
            "CREATE OR REPLACE FUNCTION gateway.policy_leaves(since bigint)"
            " RETURNS TABLE (idx bigint, leaf bytea) LANGUAGE sql STABLE SECURITY DEFINER"
            " SET search_path = gateway, pg_catalog, pg_temp AS $x${}$x$"
        )
        world.sql(make.format(hidden))
        put_back()

        def mend():
            world.sql(make.format(source))
            world.sql(put, newer.number, digest)

        await unusable(world, mend)

    province.run(work(province.world))


async def tampered(world, person, method, request, *, token=None):
    """Refused because another is the province, with its one leaf."""
    watch = Watch(world)
    error = await refused(world.call(person, method, request, token=token or ""))
    leaf = await watch.only_leaf()
    assert error.code == refuse(Reason.REGISTER_TAMPERED).code
    assert (error.reason, leaf["decision"], leaf["reason"]) == (
        "REGISTER_TAMPERED",
        "deny",
        "REGISTER_TAMPERED",
    )


RENAMED = {
    "another instead": ("UPDATE gateway.organisation SET kind = 3 - kind WHERE code IN (%s, %s)",),
    "another beside": ("UPDATE gateway.organisation SET kind = 1 WHERE code IN (%s, %s)",),
}


@pytest.mark.parametrize("how", RENAMED)
def test_the_province_is_not_another_organisation(province, how):
    """HOME says which it is: else its officers would be those of whom the owner's row names."""

    async def work(world):
        person, auditor = world.province_admin, world.auditor
        token, county = await kept_token(world, person), await kept_token(world, world.county)
        of_auditor = await kept_token(world, auditor)
        listed = admin.ListOrganisationsRequest()
        tickets = export.ListExportsRequest()
        opening = glass.OpenBreakGlassRequest(
            request_id=new_id(), sealed_credential="x" * 40, reason="locked out", ticket="OPS-1"
        )
        number = world.sql("SELECT count(*) FROM gateway.organisation WHERE kind = 1")[0][0]
        assert number == 1
        try:
            world.sql(*RENAMED[how], PROVINCE, CITY)
            world.clock.turn(seconds=0.3)
            await tampered(world, person, SERVICE + "ListOrganisations", listed, token=token)
            await tampered(
                world, auditor, "/gateway.v1.ExportService/ListExports", tickets, token=of_auditor
            )
            opens = "/gateway.v1.BreakGlassService/OpenBreakGlass"
            await tampered(world, person, opens, opening)
            # What comes in goes on.
            batch = a_batch(world, world.county).SerializeToString()
            assert len(await world.upload(world.county, county, batch)) == 1
        finally:
            put = "UPDATE gateway.organisation SET kind = %s WHERE code = %s"
            world.sql(put, 1, PROVINCE)
            world.sql(put, 2, CITY)
        world.clock.turn(seconds=0.3)
        await world.call(person, SERVICE + "ListOrganisations", listed, token=token)

    province.run(work(province.world))


def test_an_officer_of_another_organisation_signs_nothing_whatever_its_row_says(province):
    """Without one above it, it was taken for the province; HOME says which that is."""

    async def work(world):
        first, city = await officer(world, "officer-a"), world.city_admin
        now_us = world.clock.now_us()
        world.sql("UPDATE gateway.organisation SET parent = NULL WHERE code = %s", CITY)
        number = number_of(world) + 1
        found = await Hand(world)(propose, changed(f"{LOOSER}// {new_id()}\n"), Change(), now_us)
        sha256 = found.bundle.sha256
        signed = [
            signed_by(first, number, sha256, now_us),
            replace(signed_by(city, number, sha256, now_us + 121 * US), person="admin"),
        ]
        await Hand(world, "owner")(enter, found.bundle, signed, number)
        for mine, place in zip(signed, (PROVINCE, CITY), strict=True):
            event = signature_leaf(number, sha256, mine, active=place == CITY, place=place)
            await Hand(world)(tell, event, mine.signed_us)

        def mend():
            world.sql("UPDATE gateway.organisation SET parent = %s WHERE code = %s", PROVINCE, CITY)
            taken_back(world, number)()

        await unusable(world, mend)

    province.run(work(province.world))
