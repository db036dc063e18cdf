"""Attacks on what is approved (reference/exports.md section 8: 2, 8, 9, 15, 25, 34, 36, 47 to 53, 56, 57): file, key, channel.

Each through the live disclosure door: the reason, one leaf, no byte and no key, and the next good call works.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.clock import civil_day
from gateway.exports import payloads, ticket_rows
from gateway.exports.ticket import Act
from gateway.pki import register
from gateway.services.export_delivery import DeliveryService
from gateway.store import roles
from gateway.store.database import Database
from gateway.v1 import admin_service_pb2 as ad
from gateway.v1 import export_service_pb2 as pb
from gateway.v1.types_pb2 import Date
from tests.coverage.rpcs import Watch, refused
from tests.exports.cast import Cast, about, digest, encrypting, new_id
from tests.exports.fetching import (
    DOOR,
    a_receipt,
    chore,
    destroyed,
    download,
    drained,
    list_children,
    open_download,
    opened,
    receipt_for,
    received,
    release,
    sealed,
    uploaded,
)
from tests.exports.planted import plant
from tests.people import issued
from tests.world import CITY, COUNTY, PASSWORD, held

# Why nothing is fetched of a ticket that has gone so many steps; of 5 and 6 (sealed, fetching) it is.
NO_FETCH = {
    **dict.fromkeys((0, 1, 2), "TICKET_NOT_APPROVED"),
    **dict.fromkeys((3, 4, 7, 8, 9, 10), "TICKET_STATE"),
}
# And of one that ended otherwise: after how many steps, by whose call.
ENDED = {
    "withdrawn": (1, "lian", "WithdrawExport", "TICKET_STATE"),
    "denied": (1, "zhao", "DenyExport", "TICKET_STATE"),
    "revoked": (5, "song", "RevokeExport", "TICKET_REVOKED"),
    "recalled": (8, "song", "RecallExport", "TICKET_STATE"),
    "held": (5, "song", "HoldExport", "TICKET_HELD"),
}
# By the gateway itself.
OVER = {
    "failed": (4, Act.FAIL, "TICKET_STATE"),
    "expired": (5, Act.EXPIRE, "TICKET_EXPIRED"),
    "overdue": (8, Act.LAPSE, "TICKET_STATE"),
}
BIG = 24 * 1024 * 1024
PEER = """
INSERT INTO gateway.tunnel (kind, peer, organisation, addresses, created_us, changed_us)
SELECT 'wireguard', 'EXPORTS', '140100', '{10.9.0.2/32}', t, t FROM (VALUES (%s::bigint)) AS v (t) ON CONFLICT DO NOTHING
"""
# What may fall while a download runs: in which table, how, and how it is put right again; why the stream is cut.
FALLS = {
    "tunnel": (
        "tunnel",
        "state = 2 WHERE peer = 'EXPORTS'",
        "state = 1 WHERE peer = 'EXPORTS'",
        "POLICY_DENIED",
    ),
    "organisation": (
        "organisation",
        "state = 2 WHERE code = '140100'",
        "state = 1 WHERE code = '140100'",
        "ORGANISATION_SUSPENDED",
    ),
    "encryption certificate": (
        "certificate",
        "state = 2, revoked_us = 1, reason = 'key_compromise' WHERE encode(certificate_sha256, 'hex') = %s",
        "",
        "POLICY_DENIED",
    ),
    "requester": (
        "account",
        "state = 2 WHERE name = 'lian'",
        "state = 1 WHERE name = 'lian'",
        "POLICY_DENIED",
    ),
    "approver's role": (
        "account",
        "roles = '{auditor}' WHERE name = 'qian'",
        "roles = '{approver}' WHERE name = 'qian'",
        "POLICY_DENIED",
    ),
}


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        cast = stands.run(Cast.open(stands.world))
        stands.run(uploaded(cast))
        yield lambda work: stands.run(work(cast))


@pytest.fixture(autouse=True)
def quiet(capfd):
    """Neither password nor child nor key on any process's output, whatever was tried."""
    yield
    told = "".join(capfd.readouterr())
    assert not [one for one in (PASSWORD, "王小", "age-encryption") if one in told]


async def withheld(cast, ticket, reason, by="wang", **found):
    """Try to take the file: refused for this reason, with one leaf, without a part, nothing moved."""
    person = cast[by] if isinstance(by, str) else by
    await cast.token(person)
    before = (await cast.value(ticket)).version
    watch = Watch(cast.world)
    fetched = await download(cast, ticket, person, **found)
    leaf = await watch.only_leaf()
    assert fetched.refused is not None
    assert (fetched.parts, fetched.payload) == ([], b"")
    assert fetched.refused.reason == leaf["reason"] == reason
    assert (leaf["kind"], leaf["decision"]) == ("export.begin", "deny")
    assert (await cast.value(ticket)).version == before
    return leaf


async def good(cast):
    """The next good export goes all its way."""
    ticket, fetched = await received(cast)
    rows, _ = opened(cast, ticket, fetched, (await release(cast, ticket)).header)
    assert rows


async def no_key(cast, ticket, reason, by="wang", **found):
    """Ask for the key: refused for this reason, with one leaf, nothing charged and nothing moved."""
    person = cast[by] if isinstance(by, str) else by
    await cast.token(person)
    state, charged = cast.state(ticket), debits(cast, ticket)
    request = about(pb.ReleaseExportRequest, ticket)
    watch = Watch(cast.world)
    error = await refused(cast.ask(person, "ReleaseExport", request, **found))
    leaf = await watch.only_leaf()
    assert error.reason == leaf["reason"] == reason
    assert (leaf["kind"], leaf["decision"]) == ("export.release", "deny")
    assert (cast.state(ticket), debits(cast, ticket)) == (state, charged)
    return leaf


async def ended(watch):
    """The leaves of downloads' ends, once there is one."""
    while True:
        found = [one for one in await watch.leaves() if one["kind"] == "export.end"]
        if found:
            return found
        await asyncio.sleep(0.02)


async def written_again(cast, ticket):
    """Wait until the door writes its log again: a download begins."""
    while (await download(cast, ticket)).refused is not None:  # noqa: ASYNC110  the door tells nobody
        await asyncio.sleep(0.05)


def debits(cast, ticket):
    sql = "SELECT count(*) FROM gateway.export_debit WHERE ticket_id = %s"
    return cast.world.sql(sql, ticket.ticket_id)[0][0]


async def another_certificate(cast):
    """wang with a second certificate to connect with, as after a renewal."""
    person = issued(cast.world.authority, cast["wang"].subject, "recipient")
    owner = roles.conninfo(cast.world.home, cast.world.settings, "owner")
    database = await Database.open(owner, application="test", size=1)
    try:
        async with database.transaction() as tx:
            await register.insert(tx, person.certificate, person.subject)
    finally:
        await database.close()
    cast.world.clock.turn(seconds=0.3)
    return replace(person, account="wang")


@pytest.mark.parametrize("steps", NO_FETCH)
def test_002_a_fetch_in_every_state_that_has_none(province, steps):
    async def work(cast):
        await withheld(cast, plant(cast, steps), NO_FETCH[steps])
        await good(cast)

    province(work)


@pytest.mark.parametrize("state", ENDED)
def test_002_a_fetch_of_what_somebody_stopped(province, state):
    async def work(cast):
        steps, name, rpc, reason = ENDED[state]
        ticket = plant(cast, steps)
        await cast.ask(cast[name], rpc, about(getattr(pb, f"{rpc}Request"), ticket))
        await withheld(cast, ticket, reason)
        await good(cast)

    province(work)


@pytest.mark.parametrize("state", OVER)
def test_002_a_fetch_of_what_is_over(province, state):
    async def work(cast):
        steps, act, reason = OVER[state]
        end, now_us = Timestamp(), cast.world.clock.now_us()
        end.FromMicroseconds(now_us + (60_000_000 if act is Act.EXPIRE else 3_600_000_000))
        day = civil_day(now_us) - timedelta(days=2)
        owed = Date(year=day.year, month=day.month, day=day.day)
        ticket = plant(cast, steps, not_after_time=end, destroy_by_date=owed)
        cast.world.clock.turn(seconds=61)
        await cast.mover().move(await cast.value(ticket), act, cast.base())
        assert cast.state(ticket) == state
        await withheld(cast, ticket, reason)
        if act is Act.LAPSE:
            await cast.ask(cast["wang"], "AttestDestruction", destroyed(cast, ticket))
        await good(cast)

    province(work)


@pytest.mark.parametrize(
    ("change", "back"),
    [
        ("account SET state = 2", "account SET state = 1"),
        ("account SET roles = '{auditor}'", "account SET roles = '{approver}'"),
        ("system SET state = 2", "system SET state = 1"),
    ],
    ids=["disabled", "role-lost", "suspended"],
)
def test_008_009_the_key_after_an_approver_fell(province, change, back):
    """What he signed while he was one opens nothing now, and again when he is one."""

    async def work(cast):
        ticket, fetched = await received(cast)
        cast.world.sql(f"UPDATE gateway.{change} WHERE name = 'qian'")
        cast.world.clock.turn(seconds=0.3)
        try:
            leaf = await no_key(cast, ticket, "POLICY_DENIED")
            assert leaf["policies"] == ["f20-four-eyes"]
        finally:
            cast.world.sql(f"UPDATE gateway.{back} WHERE name = 'qian'")
            cast.world.clock.turn(seconds=0.3)
        assert opened(cast, ticket, fetched, (await release(cast, ticket)).header)[0]

    province(work)


def test_025_the_division_was_merged_between_approval_and_fetch(province, monkeypatch):
    """The divisions of the new year know it no more: it lies in nobody's territory."""

    async def work(cast):
        ticket = await sealed(cast)
        ground = cast.tickets.ground
        with monkeypatch.context() as year:
            merged = frozenset(ground.divisions) - {COUNTY}
            year.setattr(cast.tickets, "ground", replace(ground, divisions=merged))
            leaf = await withheld(cast, ticket, "POLICY_DENIED")
        assert leaf["policies"] == ["f36-jurisdiction", "f37-others-children"]
        assert (await download(cast, ticket)).tail is not None

    province(work)


async def _raced(cast, turns):
    """Revoke and release one ticket at once; return whether the key came."""
    ticket = plant(cast, 7, row_cap_count=2_000)
    keep = "INSERT INTO gateway.export_header (ticket_id, header) VALUES (%s, %s)"
    cast.world.sql(keep, ticket.ticket_id, b"header")
    list_children(cast, ticket)
    request = about(pb.ReleaseExportRequest, ticket)

    async def late(times, call):
        for _ in range(times):
            await asyncio.sleep(0)
        return await call

    watch = Watch(cast.world)
    stop = cast.ask(cast["song"], "RevokeExport", about(pb.RevokeExportRequest, ticket))
    given, stopped = await asyncio.gather(
        late(max(0, turns), cast.ask(cast["wang"], "ReleaseExport", request)),
        late(max(0, -turns), stop),
        return_exceptions=True,
    )
    header = b"" if isinstance(given, Exception) else given.header
    assert cast.state(ticket) == ("released" if header else "revoked")
    # One of the two was refused, never both, never neither; each has its leaf, the refused one with its reason.
    assert isinstance(given, Exception) != isinstance(stopped, Exception)
    told = {
        one["kind"]: one.get("reason")
        for one in await watch.calls()
        if "ticket" in one.get("detail", {})
    }
    assert told == {
        "export.release": getattr(given, "reason", None),
        "export.revoke": getattr(stopped, "reason", None),
    }
    sql = "SELECT 1 FROM gateway.export_header WHERE ticket_id = %s"
    assert bool(cast.world.sql(sql, ticket.ticket_id)) == bool(header)
    return bool(header)


def _race(province, rounds):
    async def work(cast):
        for name in ("song", "wang"):
            await cast.token(cast[name])
        won = [await _raced(cast, (number % 41) - 20) for number in range(rounds)]
        # Both orders were met: else nothing raced.
        assert {True, False} == set(won)
        await good(cast)

    province(work)


def test_015_a_revocation_races_a_release(province):
    """Either the key or the revocation; a thousand interleavings run with FULL=1."""
    _race(province, 40)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_015_a_thousand_interleavings(province):
    _race(province, 1000)


def test_034_resumed_from_the_beginning_again_and_again(province):
    """Noise costs nothing and opens nothing; the children are charged once, at the release."""

    async def work(cast):
        ticket = await sealed(cast)
        watch = Watch(cast.world)
        seen = {(await download(cast, ticket)).payload for _ in range(5)}
        begun = [one for one in await watch.leaves() if one["kind"] == "export.begin"]
        assert (len(seen), len(begun), debits(cast, ticket)) == (1, 5, 0)
        await cast.ask(cast["wang"], "ReceiveExport", receipt_for(cast, ticket, *seen))
        await release(cast, ticket)
        assert debits(cast, ticket) == 2

    province(work)


def test_036_the_header_a_fifth_time(province):
    async def work(cast):
        ticket, _ = await received(cast)
        for _ in range(4):
            await release(cast, ticket)
        await no_key(cast, ticket, "TICKET_SPENT")
        await good(cast)

    province(work)


def test_047_the_right_certificate_through_another_tunnel_of_the_same_organisation(province):
    async def work(cast):
        ticket = await sealed(cast)
        elsewhere = replace(cast.origin(CITY), tunnel="listen/127.0.0.99")
        leaf = await withheld(cast, ticket, "RECIPIENT_MISMATCH", origin=elsewhere)
        assert leaf["policies"] == ["f33-recipient-bound"]
        fetched = await download(cast, ticket)
        await cast.ask(cast["wang"], "ReceiveExport", receipt_for(cast, ticket, fetched.payload))
        leaf = await no_key(cast, ticket, "RECIPIENT_MISMATCH", origin=elsewhere)
        assert leaf["policies"] == ["f33-recipient-bound"]
        assert opened(cast, ticket, fetched, (await release(cast, ticket)).header)[0]

    province(work)


def test_048_049_another_certificate_of_the_same_person(province):
    """A renewed certificate is another one: the ticket names the old."""

    async def work(cast):
        file, (ticket, fetched) = await sealed(cast), await received(cast)
        person = await another_certificate(cast)
        cast.tokens.pop("wang", None)
        for leaf in (
            await withheld(cast, file, "RECIPIENT_MISMATCH", person),
            await no_key(cast, ticket, "RECIPIENT_MISMATCH", person),
        ):
            assert leaf["policies"] == ["f33-recipient-bound"]
        cast.tokens.pop("wang", None)
        assert opened(cast, ticket, fetched, (await release(cast, ticket)).header)[0]

    province(work)


@pytest.mark.parametrize("reading", [True, False])
def test_050_a_certificate_revoked_in_mid_download(province, reading, monkeypatch):
    """Also of one who reads no further: no receipt is taken and no key given, by this certificate or another."""

    async def never(*_):
        await asyncio.Event().wait()

    async def work(cast):
        if reading:
            # Then what sends on sees it, and nobody else.
            monkeypatch.setattr(DeliveryService, "_watch", never)
        person = await another_certificate(cast)
        cast.tokens.pop("wang", None)
        ticket = await sealed(cast, connection_certificate_sha256=digest(person))
        place = payloads.path(cast.world.home.exports, ticket.ticket_id)
        place.write_bytes(b"\xa5" * BIG)
        watch = Watch(cast.world)
        stream = await open_download(cast, ticket, person)
        await stream.read()
        revoke = ad.RevokeCertificatesRequest(
            request_id=new_id(),
            serial=person.serial,
            cause=ad.RevokeCertificatesRequest.CAUSE_KEY_COMPROMISE,
            reason="stolen",
        )
        admin = cast.world.province_admin
        token = await cast.world.login(admin)
        method = "/gateway.v1.AdminService/RevokeCertificates"
        await cast.world.call(admin, method, revoke, token=token)
        fetched = await drained(stream) if reading else None
        # The same whoever sees it first: what sends on, or what looks at a ticket of which nobody reads.
        [end] = await ended(watch)
        assert (end["decision"], end["reason"]) == ("deny", "CERT_REVOKED")
        assert end["counts"]["bytes"] < BIG
        fetched = fetched or await drained(stream)
        assert (fetched.tail, fetched.refused.reason) == (None, "CERT_REVOKED")
        await withheld(cast, ticket, "CERT_REVOKED", person)
        await no_key(cast, ticket, "CERT_REVOKED", person)
        cast.tokens.pop("wang", None)
        leaf = await withheld(cast, ticket, "RECIPIENT_MISMATCH")
        assert set(leaf["policies"]) == {"f33-recipient-bound", "f34-recipient-standing"}
        assert cast.state(ticket) == "fetching"
        await good(cast)

    province(work)


@pytest.mark.parametrize("what", FALLS)
def test_050_whatever_falls_cuts_what_flows_and_takes_the_header_along(province, what):
    """A VPN tunnel, either organisation's standing, the reader's other certificate, a person: cut, revoked, and nothing to open."""

    async def work(cast):
        table, down, up, reason = FALLS[what]
        cast.world.sql(PEER, cast.world.clock.now_us())
        if what == "encryption certificate":
            await cast.register(second := encrypting(cast.world, cast["wang"].subject))
            kept, cast.encryption["wang"] = cast.encryption["wang"], second
        tunnel = replace(cast.origin(CITY), tunnel="EXPORTS", ingress="wireguard")
        ticket = await sealed(cast, tunnel_name="EXPORTS")
        payloads.path(cast.world.home.exports, ticket.ticket_id).write_bytes(b"\xa5" * BIG)
        watch = Watch(cast.world)
        stream = await open_download(cast, ticket, origin=tunnel)
        await stream.read()
        values = (digest(second),) if "%s" in down else ()
        cast.world.sql(f"UPDATE gateway.{table} SET {down}", *values)
        try:
            [end] = await ended(watch)
            assert (end["decision"], end["reason"]) == ("deny", reason)
            assert end["counts"]["bytes"] < BIG
            assert (await drained(stream)).refused.reason == reason
            await cast.tickets._current.renew()
            assert await chore(cast, "Keeper").look(DOOR) >= 1
            assert cast.state(ticket) == "revoked"
            headers = "SELECT 1 FROM gateway.export_header WHERE ticket_id = %s"
            assert cast.world.sql(headers, ticket.ticket_id) == []
            stops = [one for one in await watch.leaves() if one["kind"] == "export.stop"]
            assert ticket.ticket_id in [one["detail"]["ticket"] for one in stops]
            assert all(one["policies"] for one in stops)
        finally:
            if up:
                cast.world.sql(f"UPDATE gateway.{table} SET {up}")
            else:
                cast.encryption["wang"] = kept
            cast.world.clock.turn(seconds=0.3)
            await cast.tickets._current.renew()
        await good(cast)

    province(work)


def test_051_the_way_is_cut_in_mid_download(province):
    """As the front does when a tunnel falls: the end is on the log, with what went out."""

    async def work(cast):
        ticket = await sealed(cast)
        place = payloads.path(cast.world.home.exports, ticket.ticket_id)
        whole = place.read_bytes()
        place.write_bytes(b"\xa5" * BIG)
        watch = Watch(cast.world)
        stream = await open_download(cast, ticket)
        await stream.read()
        cast.world.cut(cast["wang"])
        [end] = await ended(watch)
        assert (end["decision"], end["reason"]) == ("deny", "CANCELLED")
        assert end["counts"]["bytes"] < BIG
        stream.cancel()
        place.write_bytes(whole)
        again = await download(cast, ticket)
        assert again.payload == whole

    province(work)


def test_053_the_token_of_another_session(province):
    async def work(cast):
        ticket = await sealed(cast)
        theirs = await cast.token(cast["yang"])
        watch = Watch(cast.world)
        kept = cast.tokens.get("wang")
        cast.tokens["wang"] = (theirs, cast.world.clock.now_us())
        fetched = await download(cast, ticket)
        cast.tokens.pop("wang")
        if kept:
            cast.tokens["wang"] = kept
        leaf = await watch.only_leaf()
        assert fetched.parts == []
        assert fetched.refused.reason == leaf["reason"] == "TOKEN_INVALID"
        assert (await download(cast, ticket)).tail is not None

    province(work)


@pytest.mark.parametrize("where", ["header", "move"])
def test_056_the_door_dies_between_debit_and_header(province, where, monkeypatch):
    """Whatever was done in the one transaction is undone with it: no debit, no leaf of a release, no key."""

    async def work(cast):
        ticket, fetched = await received(cast)
        seen = []

        async def die(*_):
            seen.append(where)
            raise RuntimeError("killed")

        watch = Watch(cast.world)
        with monkeypatch.context() as broken:
            broken.setattr(ticket_rows, where, die)
            error = await refused(release(cast, ticket))
        assert (error.code, seen) == ("INTERNAL", [where])
        leaf = await watch.only_leaf()
        assert (leaf["kind"], leaf["decision"]) == ("export.release", "error")
        assert (debits(cast, ticket), cast.state(ticket)) == (0, "received")
        assert opened(cast, ticket, fetched, (await release(cast, ticket)).header)[0]
        assert debits(cast, ticket) == 2

    province(work)


@pytest.mark.parametrize("what", ["begin", "release"])
def test_057_the_log_is_away(province, what):
    """No leaf, no byte; no leaf, no key and no debit."""

    async def work(cast):
        plain = await sealed(cast)
        ticket = plain if what == "begin" else (await received(cast))[0]
        await cast.token(cast["wang"])
        await cast.world.kill_signer()
        try:
            if what == "begin":
                fetched = await download(cast, ticket)
                assert (fetched.parts, fetched.refused.reason) == ([], "SIGNER_AWAY")
            else:
                error = await refused(release(cast, ticket))
                assert error.reason == "SIGNER_AWAY"
                assert (debits(cast, ticket), cast.state(ticket)) == (0, "received")
        finally:
            await cast.world.start_signer()
        await written_again(cast, plain)
        await good(cast)

    province(work)


def test_056_a_receipt_alone_brings_no_key(province):
    """Killed between receipt and release: what lies there is noise and a receipt, until the release is asked for."""

    async def work(cast):
        request = a_receipt(cast)
        await cast.ask(cast["wang"], "ReceiveExport", request)
        ticket = pb.ExportTicket(ticket_id=request.ticket_id)
        assert (cast.state(ticket), debits(cast, ticket)) == ("received", 0)
        sql = "SELECT 1 FROM gateway.export_header WHERE ticket_id = %s"
        assert cast.world.sql(sql, ticket.ticket_id) == []
        error = await refused(release(cast, ticket))
        assert error.reason == "TICKET_STATE"

    province(work)
