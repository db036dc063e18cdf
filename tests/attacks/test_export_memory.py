"""Attacks on what HOME remembers of exports and certificates, by who owns the database: a moment's lie, a stolen key.

Marks, retired authorities, revoked certificates. Each refusal has its reason and one leaf, nothing goes out, and the next good export goes its way.
"""

import json
from contextlib import contextmanager

import pytest

from gateway.config import folders
from gateway.exports.continuity import MARK_FILE
from gateway.exports.marks import Marks
from gateway.pki import crl, der, ended
from gateway.pki.publish import RAISED_ALERT, RAISED_KIND, Keeper
from gateway.store import roles
from gateway.store.database import Database
from gateway.v1 import export_service_pb2 as pb
from tests.attacks.test_export_owner import debits, forgetful, good, stopped, tampered
from tests.attacks.test_export_retired import retire
from tests.coverage.rpcs import Watch, refused
from tests.exports.cast import Cast, about
from tests.exports.fetching import DOOR, WIDE, a_release, chore, list_children, uploaded
from tests.exports.planted import plant
from tests.people import newcomer
from tests.world import PASSWORD, held


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        cast = stands.run(Cast.open(stands.world))
        stands.run(uploaded(cast))
        yield lambda work: stands.run(work(cast))


@pytest.fixture(autouse=True)
def quiet(capfd):
    """No password on any process's output, whatever was tried."""
    yield
    assert PASSWORD not in "".join(capfd.readouterr())


@contextmanager
def another_leaf(cast):
    """Another hash at the place of the leaf that the door saw last, for a moment."""
    index = json.loads((cast.world.home.exports / MARK_FILE).read_bytes())["index"]
    guard = "ALTER TABLE gateway.audit_entry {} TRIGGER audit_entry_append_only"
    [(own,)] = cast.world.sql("SELECT leaf_hash FROM gateway.audit_entry WHERE idx = %s", index)
    change = "UPDATE gateway.audit_entry SET leaf_hash = %s WHERE idx = %s"
    cast.world.sql(guard.format("DISABLE"))
    try:
        cast.world.sql(change, b"\x01" * 32, index)
        yield
    finally:
        cast.world.sql(change, bytes(own), index)
        cast.world.sql(guard.format("ENABLE"))


def put_back(cast, ticket, value):
    """The row of before its stop, its header and its children."""
    sql = "UPDATE gateway.ticket SET state = %s, version = %s, moved_us = %s WHERE ticket_id = %s"
    before = (value.state.value, value.version, value.moved_us)
    cast.world.sql(sql, *before, ticket.ticket_id)
    keep = "INSERT INTO gateway.export_header (ticket_id, header) VALUES (%s, %s)"
    cast.world.sql(keep, ticket.ticket_id, b"header")
    list_children(cast, ticket)


@pytest.mark.parametrize("meanwhile", ["stopped", "spoiled", "standing"])
def test_a_database_that_looks_restored_for_a_moment_lowers_no_mark(province, meanwhile):
    """The door believes that a backup was put back, ends what stands, and remembers how far the rest had come."""

    async def work(cast):
        memory, marks = chore(cast, "Continuity"), cast.tickets.ground.seal.marks
        await memory.look(DOOR)
        ticket = plant(cast, 7, **WIDE)
        value = await cast.value(ticket)
        await cast.ask(cast["suny"], "RevokeExport", about(pb.RevokeExportRequest, ticket))
        with forgetful(cast, ticket):
            if meanwhile == "standing":
                put_back(cast, ticket, value)
            needed = "UPDATE gateway.ticket SET needed = %s WHERE ticket_id = %s"
            if meanwhile == "spoiled":
                cast.world.sql(needed, 9, ticket.ticket_id)
            with another_leaf(cast):
                await memory.look(DOOR)
            if meanwhile == "spoiled":
                cast.world.sql(needed, 2, ticket.ticket_id)
            assert cast.state(ticket) == "revoked"
            assert marks.of(ticket.ticket_id) > value.version
            assert Marks(cast.world.home.exports).of(ticket.ticket_id) > value.version
            put_back(cast, ticket, value)
            [(mac,)] = cast.world.sql("SELECT mac FROM gateway.ticket_leaf(%s)", ticket.ticket_id)
            assert cast.tickets.ground.seal.fits(await cast.value(ticket), mac)
            request = about(pb.ReleaseExportRequest, ticket)
            await tampered(cast, "wang", "ReleaseExport", request)
            assert (debits(cast, ticket), cast.state(ticket)) == (0, "received")
        await stopped(cast, ticket)
        await good(cast)

    province(work)


def test_a_version_beyond_all_moves_costs_no_memory(province):
    """Stopped by an honest person, it leaves marks that are read again: no memory would be a backup put back."""

    async def work(cast):
        ticket, other = plant(cast, 5, **WIDE), plant(cast, 0)
        marks = cast.tickets.ground.seal.marks
        await marks.keep(other.ticket_id, 7)
        sql = "UPDATE gateway.ticket SET version = 999999999 WHERE ticket_id = %s"
        cast.world.sql(sql, ticket.ticket_id)
        request = about(pb.RevokeExportRequest, ticket)
        await cast.token(cast["song"])
        watch = Watch(cast.world)
        await cast.ask(cast["song"], "RevokeExport", request)
        leaf = await watch.only_leaf()
        assert (leaf["decision"], cast.state(ticket)) == ("allow", "revoked")
        again = Marks(cast.world.home.exports)
        assert (again.known, again.of(other.ticket_id)) == (True, 7)
        await good(cast)

    province(work)


def test_a_key_is_not_given_again_by_a_retired_authority(province):
    """The file is out and its duties stand; its header does not go out once more."""

    async def work(cast):
        asked = a_release(cast)
        ticket = pb.ExportTicket(ticket_id=asked.ticket_id)
        await cast.ask(cast["wang"], "ReleaseExport", asked)
        before = {
            path: path.read_bytes() if path.exists() else None
            for path in (
                cast.world.home.former_authorities,
                cast.world.home.client_authority_certificate,
            )
        }
        retire(cast)
        try:
            again = about(pb.ReleaseExportRequest, ticket)
            await tampered(cast, "wang", "ReleaseExport", again)
            request = pb.GetExportRequest(ticket_id=ticket.ticket_id)
            seen = await cast.ask(cast["zhao"], "GetExport", request)
            standings = {one.standing for one in seen.ticket.approvals}
            assert standings == {pb.APPROVAL_STANDING_RETIRED}
            await cast.ask(cast["song"], "RecallExport", about(pb.RecallExportRequest, ticket))
            assert cast.state(ticket) == "recalled"
        finally:
            for path, content in before.items():
                if content is None:
                    path.unlink()
                else:
                    folders.replace_public(path, content)
        await good(cast)

    province(work)


async def kept(cast, told):
    """Look after the lists once, as the supervisor does when the epoch moves."""
    cast.world.sql("UPDATE gateway.epoch SET value = value + 1 WHERE name = 'revocation'")
    front = roles.conninfo(cast.world.home, cast.world.settings, "front")
    database = await Database.open(front, application="lists", size=1)
    try:
        tell = lambda kind, detail: told.append((kind, detail))  # noqa: E731
        await Keeper(cast.world.home, database, cast.world.clock, tell).look()
    finally:
        await database.close()
    cast.world.clock.turn(seconds=0.3)


async def revoked_and_raised(cast, serial, told):
    """Revoke a certificate; then, as the owner of the tables, put its row in force again."""
    change = (
        "UPDATE gateway.certificate SET state = %s, revoked_us = %s, reason = %s WHERE serial = %s"
    )
    await kept(cast, told)
    cast.world.sql(change, 2, cast.world.clock.now_us(), "key-compromise", serial)
    await kept(cast, told)
    # Of what other tests of this province put back each keeper tells anew.
    assert not [one for one in told if one[1]["target_serial"] == serial]
    guard = "ALTER TABLE gateway.certificate {} TRIGGER certificate_never_returns"
    cast.world.sql(guard.format("DISABLE"))
    cast.world.sql(change, 1, None, None, serial)
    cast.world.sql(guard.format("ENABLE"))
    await kept(cast, told)
    mine = [one for one in told if one[1]["target_serial"] == serial]
    assert mine == [(RAISED_KIND, {"target_serial": serial, "alert": RAISED_ALERT})]


async def denied(cast, asked):
    """No key, with the policies' word, and nothing charged."""
    await cast.token(cast["wang"])
    watch = Watch(cast.world)
    error = await refused(cast.ask(cast["wang"], "ReleaseExport", asked))
    leaf = await watch.only_leaf()
    assert (error.reason, leaf["reason"]) == ("POLICY_DENIED", "POLICY_DENIED")
    ticket = pb.ExportTicket(ticket_id=asked.ticket_id)
    assert (debits(cast, ticket), cast.state(ticket)) == (0, "received")
    return leaf["policies"]


def test_a_revoked_approver_is_none_again_whatever_his_row_says(province):
    """The key was stolen and revoked; the database's owner puts the certificate in force again."""

    async def work(cast):
        qian, asked, told = cast["qian"], a_release(cast), []
        await revoked_and_raised(cast, qian.serial, told)
        # No connection: its authority's list names it still.
        lists = der.revocation_lists(cast.world.home.crl.read_bytes())
        listed = crl.of(cast.world.authority.certificate, lists)
        assert qian.serial in {f"{one.serial_number:x}" for one in listed}
        assert "f20-four-eyes" in await denied(cast, asked)
        # With a certificate of his own again he is who he was.
        owner = roles.conninfo(cast.world.home, cast.world.settings, "owner")
        key = (qian.organisation, qian.subject.name)
        cast.world.people[key] = await newcomer(owner, cast.world.authority, qian.subject)
        cast.tokens.clear()
        cast.world.clock.turn(seconds=0.3)
        await good(cast)

    province(work)


def test_no_key_goes_to_a_revoked_certificate_whatever_its_row_says(province):
    """The same of the certificate that a file is encrypted to; what was revoked by mistake root alone gives back."""

    async def work(cast):
        serial, asked, told = cast.encryption["wang"].serial, a_release(cast), []
        await revoked_and_raised(cast, serial, told)
        await denied(cast, asked)
        place = ended.place(cast.world.home)
        content = json.loads(place.read_bytes())
        del content["certificates"][serial], content["revoked"][serial]
        folders.replace_public(place, json.dumps(content).encode())
        ticket = pb.ExportTicket(ticket_id=asked.ticket_id)
        await cast.ask(cast["wang"], "ReleaseExport", about(pb.ReleaseExportRequest, ticket))
        await cast.ask(cast["song"], "RecallExport", about(pb.RecallExportRequest, ticket))
        await good(cast)

    province(work)
