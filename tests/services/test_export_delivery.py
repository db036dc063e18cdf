"""The sealed file goes to the one who may have it, in one stream at a time, and not a second longer than he may."""

import asyncio
from dataclasses import replace

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.exports import payloads
from gateway.services.export_delivery import DeliveryService
from gateway.v1 import export_service_pb2 as pb
from tests.coverage.rpcs import Watch, eventually
from tests.exports.cast import Cast, about
from tests.exports.fetching import (
    DOOR,
    chore,
    download,
    drained,
    open_download,
    receipt_for,
    release,
    sealed,
    uploaded,
)
from tests.world import held

BIG = 24 * 1024 * 1024


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        cast = stands.run(Cast.open(stands.world))
        stands.run(uploaded(cast))
        yield lambda work: stands.run(work(cast))


def enlarge(cast, ticket):
    """Give a ticket a payload that fills every buffer on its way."""
    payloads.path(cast.world.home.exports, ticket.ticket_id).write_bytes(b"\xa5" * BIG)


async def begun(cast, ticket, **found):
    """A download that has begun and is not read on."""
    stream = await open_download(cast, ticket, **found)
    await stream.read()
    await stream.read()
    return stream


async def ends(watch, count=1):
    """The leaves of ends, once there are so many."""
    while True:
        found = [one for one in await watch.leaves() if one["kind"] == "export.end"]
        if len(found) >= count:
            return found
        await asyncio.sleep(0.02)


def test_a_cut_download_is_resumed_where_it_was_cut(province):
    async def work(cast):
        ticket = await sealed(cast)
        whole = await download(cast, ticket)
        half = len(whole.payload) // 2
        rest = await download(cast, ticket, offset=half)
        assert rest.payload == whole.payload[half:]
        assert rest.tail.sent_bytes == len(rest.payload)
        beyond = await download(cast, ticket, offset=len(whole.payload) + 1)
        assert beyond.refused.reason == "FIELD_INVALID"
        assert beyond.parts == []
        at_the_end = await download(cast, ticket, offset=len(whole.payload))
        assert (at_the_end.payload, at_the_end.parts) == (b"", ["head", "tail"])

    province(work)


@pytest.mark.parametrize("reading", [True, False])
def test_a_revocation_cuts_the_stream_and_nothing_of_it_opens(province, reading):
    """Also of one who does not read on: what lies in the buffers on the way is all he gets."""

    async def work(cast):
        ticket = await sealed(cast)
        enlarge(cast, ticket)
        watch = Watch(cast.world)
        stream = await begun(cast, ticket)
        await cast.ask(cast["song"], "RevokeExport", about(pb.RevokeExportRequest, ticket))
        [end] = await ends(watch)
        assert (end["decision"], end["reason"]) == ("deny", "TICKET_REVOKED")
        assert end["counts"]["bytes"] < BIG
        if reading:
            fetched = await drained(stream)
            assert fetched.refused.reason == "TICKET_REVOKED"
            assert fetched.tail is None
        stream.cancel()
        header = "SELECT 1 FROM gateway.export_header WHERE ticket_id = %s"
        assert cast.world.sql(header, ticket.ticket_id) == []
        again = await download(cast, ticket)
        assert again.refused.reason == "TICKET_REVOKED"
        await chore(cast, "Keeper").look(DOOR)
        assert not payloads.path(cast.world.home.exports, ticket.ticket_id).exists()
        assert (await download(cast, await sealed(cast))).tail is not None

    province(work)


def test_no_part_leaves_unjudged_after_a_change_is_known(province, monkeypatch):
    """Without the look at who does not read: who reads on is cut between two parts."""

    async def work(cast):
        ticket = await sealed(cast)
        enlarge(cast, ticket)
        watch = Watch(cast.world)
        found, sent = [], []
        honest, give = DeliveryService._require, DeliveryService._give

        async def counted(self, flow):
            found.append(flow.count)
            await honest(self, flow)

        async def noted(self, flow, part):
            await give(self, flow, part)
            sent.append(flow.judged)

        async def never(*_):
            await asyncio.Event().wait()

        with monkeypatch.context() as patch:
            patch.setattr(DeliveryService, "_watch", never)
            patch.setattr(DeliveryService, "_require", counted)
            patch.setattr(DeliveryService, "_give", noted)
            stream = await begun(cast, ticket)
            await cast.ask(cast["song"], "RevokeExport", about(pb.RevokeExportRequest, ticket))
            fetched = await drained(stream)
            [end] = await ends(watch)
        assert fetched.refused.reason == end["reason"] == "TICKET_REVOKED"
        # Judged before the first part, too; and nothing went out after what was judged last.
        assert (found[0], found[-1]) == (0, end["counts"]["bytes"])
        assert None not in sent
        assert end["counts"]["bytes"] < BIG
        assert (await download(cast, await sealed(cast))).tail is not None

    province(work)


def test_of_two_downloads_of_one_ticket_the_newer_goes_on(province):
    """Attack 35: no two parallel fetches."""

    async def work(cast):
        ticket = await sealed(cast)
        enlarge(cast, ticket)
        watch = Watch(cast.world)
        first = await begun(cast, ticket)
        second = await begun(cast, ticket)
        # Neither is read meanwhile: on a slow machine all of it could be through before the cut.
        await ends(watch)
        fetched = await drained(first)
        assert fetched.refused.reason == "REVISION_STALE"
        assert (await drained(second)).tail is not None
        assert [one.get("reason") for one in await ends(watch, 2)] == ["REVISION_STALE", None]

    province(work)


def test_a_slow_reader_does_not_outlast_the_window(province, monkeypatch):
    """Attack 59."""

    async def work(cast):
        # The window ends before the token does.
        end = Timestamp()
        end.FromMicroseconds(cast.world.clock.now_us() + 100_000_000)
        ticket = await sealed(cast, not_after_time=end)
        enlarge(cast, ticket)
        watch = Watch(cast.world)
        judged, honest = [], DeliveryService._require

        async def noted(self, flow):
            epochs = self._current.epochs
            await honest(self, flow)
            judged.append(epochs)

        monkeypatch.setattr(DeliveryService, "_require", noted)
        stream = await begun(cast, ticket)
        # Judged since the last change: from now on nothing but the clock moves.
        await eventually(lambda: judged[-1:] == [cast.tickets._current.epochs])
        cast.world.clock.turn(seconds=101)
        [end] = await ends(watch)
        assert (end["decision"], end["reason"]) == ("deny", "TICKET_EXPIRED")
        assert end["counts"]["bytes"] < BIG
        stream.cancel()
        assert (await download(cast, await sealed(cast))).tail is not None

    province(work)


def test_what_is_held_or_not_yet_built_is_not_given(province):
    async def work(cast):
        ticket = await sealed(cast)
        await cast.ask(cast["song"], "HoldExport", about(pb.HoldExportRequest, ticket))
        frozen = await download(cast, ticket)
        assert (frozen.refused.reason, frozen.parts) == ("TICKET_HELD", [])
        waiting = await cast.submitted()
        early = await download(cast, waiting)
        assert (early.refused.reason, early.parts) == ("TICKET_NOT_APPROVED", [])

    province(work)


def test_an_approver_who_falls_stops_what_he_signed(province):
    """Attack 8: the chore revokes it, and a stream that runs is cut before that."""

    async def work(cast):
        ticket = await sealed(cast)
        enlarge(cast, ticket)
        watch = Watch(cast.world)
        stream = await begun(cast, ticket)
        cast.world.sql("UPDATE gateway.account SET state = 2 WHERE name = 'zhao'")
        try:
            assert (await ends(watch))[0]["reason"] == "POLICY_DENIED"
            fetched = await drained(stream)
            assert fetched.refused.reason == "POLICY_DENIED"
            assert await chore(cast, "Keeper").look(DOOR) >= 1
            assert cast.state(ticket) == "revoked"
        finally:
            cast.world.sql("UPDATE gateway.account SET state = 1 WHERE name = 'zhao'")
        good = await sealed(cast)
        fetched = await download(cast, good)
        await cast.ask(cast["wang"], "ReceiveExport", receipt_for(cast, good, fetched.payload))
        assert (await release(cast, good)).header

    province(work)


def test_a_file_is_fetched_so_often_and_no_more(province, monkeypatch):
    """Each time is a leaf: not without end. What came by then is signed for and opened."""

    async def work(cast):
        ticket = await sealed(cast)
        current = cast.tickets._current
        rules = current.export_rules
        few = replace(rules, bounds=replace(rules.bounds, fetches=2))
        with monkeypatch.context() as patch:
            patch.setattr(type(current), "export_rules", few)
            fetched = [await download(cast, ticket) for _ in range(2)]
            assert fetched[1].tail is not None
            watch = Watch(cast.world)
            spent = await download(cast, ticket)
            leaf = await watch.only_leaf()
            assert (spent.refused.reason, spent.parts) == ("DOWNLOADS_SPENT", [])
            assert (leaf["decision"], leaf["reason"]) == ("deny", "DOWNLOADS_SPENT")
            assert (await download(cast, await sealed(cast))).tail is not None
            signed = receipt_for(cast, ticket, fetched[1].payload)
            await cast.ask(cast["wang"], "ReceiveExport", signed)
            assert (await release(cast, ticket)).header

    province(work)


class Set:
    """The world's clock, whose wall somebody sets back while time goes on."""

    def __init__(self, clock):
        self.clock, self.back_us, self.gone_s = clock, 0, 0.0

    def now_us(self):
        return self.clock.now_us() - self.back_us

    def monotonic(self):
        return self.clock.monotonic() + self.gone_s


def test_a_clock_set_back_while_bytes_flow_buys_no_time(province, monkeypatch):
    async def work(cast):
        ticket = await sealed(cast)
        enlarge(cast, ticket)
        watch = Watch(cast.world)
        clock = Set(cast.world.clock)
        with monkeypatch.context() as patch:
            patch.setattr(cast.tickets, "clock", clock)
            stream = await begun(cast, ticket)
            clock.back_us = 3_600_000_000
            clock.gone_s = 6 * 86_400.0
            [end] = await ends(watch)
            assert end["reason"] == "TICKET_EXPIRED"
            stream.cancel()

    province(work)
