"""What two persons approved is built by the door itself, judged anew; a crash, a thief or a late no leaves nothing."""

import asyncio
import io

import pytest

from gateway.audit.event import Event
from gateway.client.manifest import Expected, Opened
from gateway.client.tagged import decrypt
from gateway.errors import UnavailableError
from gateway.exports import building, payloads
from gateway.exports.build import BuildError
from gateway.exports.plan import parse
from gateway.policy.engine import Decision
from gateway.services.server import _end, _last
from gateway.store import export_keys as keys
from gateway.v1 import export_service_pb2 as pb
from gateway.v1.upload_service_pb2 import Item
from tests.audit.stage import until
from tests.coverage.rpcs import Watch, a_batch
from tests.exports.cast import Cast, about
from tests.exports.planted import plant
from tests.uploads.county import a_child, a_dose
from tests.world import held

DOOR = Event(door="disclosure")
BUILT, BEGUN, FAILED, STOPPED = (
    f"export.{word}" for word in ("build.end", "build.begin", "build.fail", "stop")
)


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        cast = stands.run(Cast.open(stands.world))
        stands.run(uploaded(cast.world))
        yield lambda work: stands.run(work(cast))


async def uploaded(world):
    """Two children of the county, three doses each."""
    children = [a_child(n, name=f"王小{'甲乙'[n - 1]}") for n in (1, 2)]
    doses = [a_dose(child, number=n) for child in children for n in (1,)]
    items = [Item(child=one) for one in children] + [Item(vaccination=one) for one in doses]
    batch = a_batch(world, world.county, *items)
    token = await world.login(world.county)
    await world.upload(world.county, token, batch.SerializeToString())
    assert world.sql("SELECT count(*) FROM gateway.dose") == [(2,)]


def builder(cast):
    """The door's own."""
    [look] = [
        one
        for one in cast.world.doors["disclosure"].chores
        if isinstance(getattr(one, "__self__", None), building.Builder)
    ]
    return look.__self__


async def look(cast):
    """Let the door look for what waits; the leaves of exports that came of it."""
    await cast.tickets._current.renew()
    watch = Watch(cast.world)
    sealed = await builder(cast).look(DOOR)
    leaves = [leaf for leaf in await watch.leaves() if leaf["kind"].startswith("export.")]
    return sealed, leaves


def files(cast):
    return sorted(path.name for path in cast.world.home.exports.iterdir())


def kept(cast, ticket):
    """Header and child tags that the store keeps of a ticket."""
    header = "SELECT header FROM gateway.export_header WHERE ticket_id = %s"
    children = "SELECT count(*) FROM gateway.export_child WHERE ticket_id = %s"
    found = cast.world.sql(header, ticket.ticket_id)
    return [row[0] for row in found], cast.world.sql(children, ticket.ticket_id)[0][0]


def nothing_left(cast, ticket):
    assert kept(cast, ticket) == ([], 0)
    assert not [name for name in files(cast) if name.startswith(ticket.ticket_id)]


async def good_one(cast):
    """The next good ticket is built."""
    ticket = plant(cast, 3)
    sealed, _ = await look(cast)
    assert sealed == 1
    assert cast.state(ticket) == "sealed"


def read(cast, ticket):
    """What the recipient gets out of a ticket's file."""
    plan, home = parse(ticket.plan), cast.world.home
    expected = Expected(
        ticket.ticket_id,
        plan.sha256,
        plan.encryption_certificate_sha256,
        keys.published(home.export_keys),
    )
    made = Opened(expected)
    [header], _ = kept(cast, ticket)
    payload = payloads.path(home.exports, ticket.ticket_id).read_bytes()
    plain = decrypt(bytes(header), io.BytesIO(payload), cast.encryption["wang"].key)
    return b"".join(made.rows(plain)), made


def test_what_two_persons_approved_is_built_and_told(province):
    async def work(cast):
        ticket = await cast.approved()
        sealed, leaves = await look(cast)
        assert sealed == 1
        assert [leaf["kind"] for leaf in leaves] == [BEGUN, BUILT]
        assert [leaf["policies"] for leaf in leaves] == [["p23-build"]] * 2
        assert leaves[1]["counts"]["rows"] == 2
        assert leaves[1]["counts"]["children"] == 2
        data, made = read(cast, ticket)
        assert data.count(b"\r\n") == 3
        assert made.manifest["bundle"] == leaves[0]["bundle"]
        payload = payloads.path(cast.world.home.exports, ticket.ticket_id).read_bytes()
        assert leaves[1]["counts"]["bytes"] == len(payload)
        assert kept(cast, ticket)[1] == 2
        assert await look(cast) == (0, [])

    province(work)


def test_nothing_is_built_before_the_second_signature_or_while_it_is_held(province):
    async def work(cast):
        for ticket in (plant(cast, 1), plant(cast, 2), plant(cast, 3, held=True)):
            before = cast.state(ticket)
            assert await look(cast) == (0, [])
            assert cast.state(ticket) == before
            nothing_left(cast, ticket)
        await good_one(cast)

    province(work)


def test_attack_17_a_row_put_into_the_table_by_hand_is_not_built(province):
    """Whoever may write the table sets a ticket approved: the log knows of no approval. Told once."""

    async def work(cast):
        ticket = plant(cast, 1)
        cast.world.sql(
            "UPDATE gateway.ticket SET state = 'approved', version = 4 WHERE ticket_id = %s",
            ticket.ticket_id,
        )
        sealed, leaves = await look(cast)
        assert sealed == 0
        [leaf] = leaves
        assert (leaf["decision"], leaf["reason"]) == ("deny", "TICKET_TAMPERED")
        assert leaf["detail"]["ticket"] == ticket.ticket_id
        assert leaf["detail"]["alert"] == "ticket-tampered"
        assert await look(cast) == (0, [])
        nothing_left(cast, ticket)
        await good_one(cast)
        cast.world.sql(
            "UPDATE gateway.ticket SET state = 'denied' WHERE ticket_id = %s", ticket.ticket_id
        )

    province(work)


def test_attack_8_an_approver_who_was_suspended_since(province):
    async def work(cast):
        ticket = plant(cast, 3)
        cast.world.sql("UPDATE gateway.account SET state = 2 WHERE name = 'qian'")
        sealed, leaves = await look(cast)
        cast.world.sql("UPDATE gateway.account SET state = 1 WHERE name = 'qian'")
        assert sealed == 0
        [leaf] = leaves
        assert leaf["kind"] == STOPPED
        assert leaf["detail"]["cause"] == "policy"
        assert leaf["policies"]
        assert leaf["policies"] != ["p23-build"]
        assert cast.state(ticket) == "revoked"
        nothing_left(cast, ticket)
        await good_one(cast)

    province(work)


def test_an_engine_that_errs_decides_nothing(province, monkeypatch):
    """Neither built nor ended: an error is no decision."""

    async def work(cast):
        ticket, door = plant(cast, 3), builder(cast)
        engine = door._engine()
        none = Decision(allowed=False, policies=("policy-error",), bundle="ab" * 32, error="away")
        with monkeypatch.context() as patch:
            patch.setattr(engine, "decide", lambda _: none)
            assert await look(cast) == (0, [])
        assert cast.state(ticket) == "approved"
        assert (await look(cast))[0] == 1

    province(work)


def test_attack_29_more_rows_than_approved_fail_and_say_so(province):
    async def work(cast):
        ticket = plant(cast, 3, row_cap_count=1)
        sealed, leaves = await look(cast)
        assert sealed == 0
        assert [leaf["kind"] for leaf in leaves] == [BEGUN, FAILED]
        assert leaves[1]["detail"]["cause"] == "rows"
        assert cast.state(ticket) == "failed"
        nothing_left(cast, ticket)
        await good_one(cast)

    province(work)


def test_who_revokes_while_it_is_built_is_heard(province, monkeypatch):
    """The file is finished, and then it is nobody's: no header, no payload, one leaf of the refused move."""

    async def work(cast):
        ticket = plant(cast, 3)
        honest = building.build

        async def slow(*given, **more):
            made = await honest(*given, **more)
            await cast.ask(cast["song"], "RevokeExport", about(pb.RevokeExportRequest, ticket))
            return made

        with monkeypatch.context() as patch:
            patch.setattr(building, "build", slow)
            sealed, leaves = await look(cast)
        assert sealed == 0
        assert [leaf["kind"] for leaf in leaves] == [BEGUN, "export.revoke", BUILT]
        assert leaves[2]["decision"] == "deny"
        assert cast.state(ticket) == "revoked"
        nothing_left(cast, ticket)
        await good_one(cast)

    province(work)


class KilledError(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("where", ["build", "seal"])
def test_a_crash_at_any_step_leads_to_one_header(province, monkeypatch, where):
    """Killed while writing, or with the whole file on the disk and nothing of it in the store."""

    async def work(cast):
        ticket = plant(cast, 3)

        async def killed(*_, **__):
            raise KilledError

        with monkeypatch.context() as patch:
            if where == "build":
                patch.setattr(building, "build", killed)
            else:
                patch.setattr(building.Builder, "_seal", killed)
            with pytest.raises(KilledError):
                await builder(cast).look(DOOR)
        assert cast.state(ticket) == "building"
        assert kept(cast, ticket) == ([], 0)
        sealed, leaves = await look(cast)
        assert sealed == 1
        assert [leaf["kind"] for leaf in leaves] == [BUILT]
        assert len(kept(cast, ticket)[0]) == 1
        assert read(cast, ticket)[0].count(b"\r\n") == 3

    province(work)


def test_while_the_store_is_away_nothing_is_decided(province, monkeypatch):
    async def work(cast):
        ticket = plant(cast, 3)
        await cast.world.kill_signer()
        with pytest.raises(UnavailableError):
            await builder(cast).look(DOOR)
        await cast.world.start_signer()
        recorder = cast.world.doors["disclosure"].recorder
        await until(lambda: recorder.state.phase == "normal")
        await builder(cast).look(DOOR)
        assert cast.state(ticket) == "sealed"

    province(work)


def test_it_hears_of_the_approval_and_builds_at_once(province):
    """As the process does it: no chore is waited for."""

    async def work(cast):
        serving = asyncio.create_task(_last(builder(cast).serve, DOOR))
        try:
            ticket = await cast.approved()
            await until(lambda: cast.state(ticket) == "sealed")
        finally:
            await _end(serving)

    province(work)


def test_a_ticket_is_built_once_however_many_look(province):
    async def work(cast):
        ticket = plant(cast, 3)
        found = await asyncio.gather(*(builder(cast).look(DOOR) for _ in range(4)))
        assert sorted(found) == [0, 0, 0, 1]
        assert len(kept(cast, ticket)[0]) == 1

    province(work)


def test_a_window_that_has_not_begun_is_waited_for(province):
    async def work(cast):
        now_us = cast.world.clock.now_us()
        ticket = plant(cast, 3, not_before_us=now_us + 3_600_000_000)
        assert await look(cast) == (0, [])
        cast.world.clock.turn(seconds=3_601)
        sealed, _ = await look(cast)
        assert sealed == 1
        assert cast.state(ticket) == "sealed"

    province(work)


def test_the_words_of_failures_are_of_the_log(province):
    for cause in (
        "rows",
        "children",
        "body",
        "recipient",
        "column",
        "filter",
        "value",
        "format",
        "disk",
    ):
        event = DOOR.with_(kind=FAILED, detail={"cause": BuildError(cause).cause})
        assert event.to_leaf(1)
