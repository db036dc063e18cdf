"""What is wanted and nothing else, the newest revision of it, opened, in an order that only the key explains."""

import asyncio
import contextlib
import itertools
import secrets
from datetime import date, timedelta

import pytest

from gateway.records import query
from gateway.records.query import Bodies, elements, snapshot
from gateway.records.wanted import Wanted
from gateway.store.database import Database, StoreError
from gateway.store.seal import Opener
from gateway.store.seal_keys import SealError
from gateway.v1.aefi_pb2 import AefiReport
from gateway.v1.child_pb2 import ChildMerge
from gateway.v1.stock_pb2 import StockMovement
from tests.uploads.county import (
    BORN,
    COUNTY,
    NOW_US,
    SECOND_UNIT,
    TODAY,
    UNIT,
    a_child,
    a_date,
    a_dose,
    county,
    run,
    states,
)

KEY = bytes(range(32))


def wanted(dataset, divisions=(COUNTY,), *, order_key=KEY, **more):
    return Wanted(dataset, divisions, order_key, **more)


@contextlib.asynccontextmanager
async def reading(one):
    """A snapshot of the disclosure role's."""
    database = await Database.open(one.stage.conninfo("disclosure"), application="test", size=1)
    try:
        async with database.transaction() as tx:
            await snapshot(tx)
            yield tx
    finally:
        await database.close()


async def found(one, asked, bodies=None):
    async with reading(one) as tx:
        bodies = bodies or Bodies(one.opener, one.index)
        return [row async for row in bodies.rows(tx, asked)]


async def read(one, database):
    async with database.transaction() as tx:
        await snapshot(tx)
        return [row async for row in Bodies(one.opener, one.index).rows(tx, wanted("children"))]


async def counted(one, asked):
    async with reading(one) as tx:
        return await Bodies(one.opener, one.index).count(tx, asked)


def a_lot(vaccine):
    lot = a_dose("1" * 18, vaccine, day=TODAY).lot
    lot.specification, lot.lot_release_id = "0.5ml", "PQF-1"
    return lot


def a_movement(number, *, day=TODAY, vaccines=("0202",)):
    return StockMovement(
        document_id=f"IN-{number}",
        unit_code=UNIT,
        store_id=f"{UNIT}-1",
        counterparty_unit_code=SECOND_UNIT,
        counterparty_document_id=f"OUT-{number}",
        kind=StockMovement.KIND_IN_DISTRIBUTED,
        document_date=a_date(day),
        handler_id=f"{UNIT}-02",
        temperature_record_attached=True,
        lines=[
            StockMovement.Line(lot=a_lot(vaccine), package_count=10, dose_count=10)
            for vaccine in vaccines
        ],
    )


def a_report(number, child_code, *, onset=BORN + timedelta(days=1), vaccines=("0202",)):
    suspects = [
        AefiReport.Suspect(
            lot=a_dose(child_code, vaccine).lot,
            dose_number=1,
            dose_amount="0.5ml",
            vaccinated_date=a_date(BORN),
        )
        for vaccine in vaccines
    ]
    report = AefiReport(
        report_id=f"AE-{number}",
        child_code=child_code,
        suspects=suspects,
        onset_date=a_date(onset),
        found_date=a_date(onset),
        facility_code="140105100",
        clinical_course="发热",
        fever_grade=2,
        redness_grade=4,
        induration_grade=4,
        outcome=AefiReport.OUTCOME_CURED,
        classification=AefiReport.CLASSIFICATION_COMMON_REACTION,
        surveillance=AefiReport.SURVEILLANCE_PASSIVE,
        reporter_unit_code=UNIT,
        reporter_id=f"{UNIT}-03",
    )
    report.discovered_time.FromMicroseconds(NOW_US)
    report.reported_time.FromMicroseconds(NOW_US)
    return report


async def taken(one, *records):
    receipt = await one.upload(*records)
    assert set(states(receipt)) <= {"accepted", "flagged"}, receipt.items


def test_the_newest_revision_is_read_and_no_other(conninfo):
    async def play():
        async with county(conninfo) as one:
            child = a_child()
            await taken(one, child, a_dose(child))
            await taken(one, a_child(revision=1, name="王小丽", correction_reason="误录"))
            rows = await found(one, wanted("children"))
            assert [row.message.name for row in rows] == ["王小丽"]
            assert rows[0].child_tag == one.tag(child)
            doses = await found(one, wanted("vaccinations"))
            assert [row.message.child_code for row in doses] == [child.child_code]
            assert doses[0].child_tag == rows[0].child_tag

    run(play())


def test_what_is_restricted_is_not_read(conninfo):
    """It lies under another key, and the rows come without it even where that key is at hand."""

    async def play():
        async with county(conninfo) as one:
            child = a_child()
            child.restricted.allergies = "青霉素"
            await taken(one, child)
            [row] = await found(one, wanted("children"))
            assert not row.message.HasField("restricted")

    run(play())


@pytest.mark.parametrize(
    ("filters", "days"),
    [
        ({}, [0, 30, 60]),
        ({"happened_from": BORN + timedelta(days=30)}, [30, 60]),
        ({"happened_until": BORN + timedelta(days=30)}, [0, 30]),
        ({"happened_from": BORN + timedelta(days=61)}, []),
        ({"born_from": BORN}, [0, 30, 60]),
        ({"born_from": BORN + timedelta(days=1)}, []),
        ({"born_until": BORN - timedelta(days=1)}, []),
        ({"vaccine_codes": ("0303",)}, [60]),
        ({"units": (UNIT,)}, [0, 30, 60]),
        ({"units": (SECOND_UNIT,)}, []),
        ({"divisions": ("140106",)}, []),
        ({"divisions": ("140100",)}, [0, 30, 60]),
        ({"divisions": ("140200",)}, []),
        ({"divisions": ("140000",)}, [0, 30, 60]),
    ],
)
def test_a_filter_leaves_what_it_says_and_counts_the_same(conninfo, filters, days):
    async def play():
        async with county(conninfo) as one:
            child = a_child()
            given = [("0202", 1, 0), ("0202", 2, 30), ("0303", 1, 60)]
            doses = [
                a_dose(child, vaccine, number, day=BORN + timedelta(days=after))
                for vaccine, number, after in given
            ]
            await taken(one, child, *doses)
            asked = wanted("vaccinations", **filters)
            rows = await found(one, asked)
            day = lambda row: date(  # noqa: E731 # short
                row.message.vaccinated_date.year,
                row.message.vaccinated_date.month,
                row.message.vaccinated_date.day,
            )
            assert sorted((day(row) - BORN).days for row in rows) == days
            assert await counted(one, asked) == (len(days), min(1, len(days)))

    run(play())


def test_merged_cards_are_one_child_and_the_retired_one_is_no_row(conninfo):
    async def play():
        async with county(conninfo) as one:
            children = [a_child(n, name=f"王小{'甲乙丙'[n - 1]}") for n in (1, 2, 3)]
            doses = [a_dose(child, day=BORN + timedelta(n)) for n, child in enumerate(children)]
            await taken(one, *children, *doses)
            # The second into the first, then the first into the third: a line of two.
            for number, (kept, retired) in enumerate(((0, 1), (2, 0))):
                merge = ChildMerge(
                    merge_id=f"M-{number}",
                    kept_child_code=children[kept].child_code,
                    retired_child_codes=[children[retired].child_code],
                    reason="同一儿童",
                    unit_code=UNIT,
                )
                await taken(one, merge)
            kept_tag = one.tag(children[2])
            cards = await found(one, wanted("children"))
            assert [row.message.child_code for row in cards] == [children[2].child_code]
            rows = await found(one, wanted("vaccinations", born_from=BORN))
            assert {row.child_tag for row in rows} == {kept_tag}
            assert await counted(one, wanted("vaccinations")) == (3, 1)
            await taken(one, a_report(1, children[1].child_code))
            [report] = await found(one, wanted("adverse_events"))
            assert report.child_tag == kept_tag

    run(play())


def test_documents_are_narrowed_by_what_their_bodies_say(conninfo):
    async def play():
        async with county(conninfo) as one:
            old = TODAY - timedelta(days=40)
            await taken(
                one,
                a_movement(1, vaccines=("0202", "0303")),
                a_movement(2, day=old, vaccines=("0303",)),
            )
            both = await found(one, wanted("stock"))
            assert {row.message.document_id for row in both} == {"IN-1", "IN-2"}
            assert await counted(one, wanted("stock")) == (3, 0)
            [late] = await found(one, wanted("stock", happened_from=TODAY))
            assert late.message.document_id == "IN-1"
            [lines] = await found(one, wanted("stock", vaccine_codes=("0202",)))
            assert [line.lot.vaccine_code for line in elements(lines.message)] == ["0202"]
            assert await counted(one, wanted("stock", happened_until=old)) == (1, 0)
            child = a_child()
            await taken(one, child, a_report(1, child.child_code, vaccines=("0202", "0303")))
            asked = wanted("adverse_events", happened_from=BORN, vaccine_codes=("0303",))
            [report] = await found(one, asked)
            assert report.child_tag == one.tag(child)
            assert [s.lot.vaccine_code for s in elements(report.message)] == ["0303"]
            assert await counted(one, wanted("adverse_events")) == (2, 1)
            assert await counted(one, wanted("adverse_events", happened_until=BORN)) == (0, 0)

    run(play())


def test_the_order_is_the_keys_and_tells_nothing_of_the_storing(conninfo):
    async def play():
        async with county(conninfo) as one:
            child = a_child()
            doses = [a_dose(child, day=BORN + timedelta(days=n)) for n in range(40)]
            await taken(one, child, *doses)
            orders = []
            for key in (KEY, KEY, secrets.token_bytes(32)):
                rows = await found(one, wanted("vaccinations", order_key=key))
                orders.append([row.message.record_id for row in rows])
            assert orders[0] == orders[1]
            stored = [dose.record_id for dose in doses]
            # 40! orders: that two of them are the same will not be seen.
            assert len({tuple(orders[0]), tuple(orders[2]), tuple(stored)}) == 3
            assert sorted(orders[2]) == sorted(stored)

    run(play())


def test_more_rows_and_keys_than_are_held_at_once(conninfo, monkeypatch):
    """Fetched by threes, with one content key held besides those of the rows at hand."""

    async def play():
        async with county(conninfo) as one:
            child = a_child()
            await taken(one, child)
            for n in range(7):
                await taken(one, a_dose(child, day=BORN + timedelta(days=n)))
                one.stage.clock.turn(seconds=61)  # another content key
            monkeypatch.setattr(query, "_FETCH", "FETCH 3 FROM wanted")
            monkeypatch.setattr(query, "KEYS_HELD", 3)
            rows = await found(one, wanted("vaccinations"))
            assert len({row.message.record_id for row in rows}) == 7

    run(play())


def test_rows_that_come_meanwhile_are_not_in_the_snapshot(conninfo, monkeypatch):
    async def play():
        async with county(conninfo) as one:
            child = a_child()
            await taken(one, child, *(a_dose(child, day=BORN + timedelta(n)) for n in range(4)))
            monkeypatch.setattr(query, "_FETCH", "FETCH 1 FROM wanted")
            bodies, seen = Bodies(one.opener, one.index), []
            async with reading(one) as tx:
                async for row in bodies.rows(tx, wanted("vaccinations")):
                    seen.append(row.message.record_id)
                    await taken(one, a_dose(child, day=BORN + timedelta(days=10 + len(seen))))
            assert len(seen) == 4
            assert await counted(one, wanted("vaccinations")) == (8, 1)

    run(play())


def test_a_body_put_into_another_row_does_not_open(conninfo):
    """Attack: whoever may write the tables lays one child's body under another's place."""

    async def play():
        async with county(conninfo) as one:
            await taken(one, a_child(1, name="王小甲"), a_child(2, name="王小乙"))
            await one.rows(
                "UPDATE gateway.item AS i SET body = o.body, nonce = o.nonce FROM gateway.item AS o"
                " WHERE i.item_index = 0 AND o.item_index = 1 AND i.batch_id = o.batch_id"
                " RETURNING 1"
            )
            with pytest.raises(SealError):
                await found(one, wanted("children"))

    run(play())


def test_without_the_keys_nothing_opens(conninfo, tmp_path):
    async def play():
        async with county(conninfo) as one:
            await taken(one, a_child())
            with pytest.raises(SealError):
                await found(one, wanted("children"), Bodies(Opener.load(tmp_path), one.index))
            await one.rows("DELETE FROM gateway.content_key RETURNING 1")
            with pytest.raises(SealError, match="gone"):
                await found(one, wanted("children"))

    run(play())


@pytest.mark.parametrize("role", ["identity", "intake", "administration", "front"])
def test_no_other_role_reads_a_body(conninfo, role):
    async def play():
        async with county(conninfo) as one:
            await taken(one, a_child())
            database = await Database.open(conninfo(role), application="test", size=1)
            try:
                with pytest.raises(StoreError, match="permission denied"):
                    await read(one, database)
            finally:
                await database.close()

    run(play())


def test_while_documents_are_opened_others_have_their_turn(conninfo, monkeypatch):
    """Counting stock opens every body: the door answers meanwhile, after so many at the latest."""
    opened, turns = [], []
    judged = Bodies._judged

    def noted(*given):
        opened.append(given)
        return judged(*given)

    async def heartbeat():
        while True:
            turns.append(len(opened))
            await asyncio.sleep(0)

    async def play():
        count = 4 * query.AT_A_TIME
        async with county(conninfo) as one:
            await taken(one, *(a_movement(number) for number in range(count)))
            beating = asyncio.create_task(heartbeat())
            try:
                assert await counted(one, wanted("stock")) == (count, 0)
            finally:
                beating.cancel()
                await asyncio.gather(beating, return_exceptions=True)
        steps = [after - before for before, after in itertools.pairwise([*turns, len(opened)])]
        assert len(opened) == count
        assert max(steps) <= query.AT_A_TIME

    monkeypatch.setattr(Bodies, "_judged", noted)
    run(play())
