"""One file, whole and for one reader, or nothing at all: no plaintext, no half, no row over a cap."""

import asyncio
import contextlib
import csv
import hashlib
import io
import resource
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.client.manifest import Expected, Opened
from gateway.client.tagged import decrypt
from gateway.exports import build as building
from gateway.exports import payloads
from gateway.exports.build import BuildError, Sources, build
from gateway.exports.ticket import opened
from gateway.records.query import Bodies
from gateway.store import export_keys as keys
from gateway.store.database import Database
from tests.audit.stage import NOW_US
from tests.exports.shipping import a_reader, export_home
from tests.exports.tickets import PLAN
from tests.uploads.county import BORN, COUNTY, a_child, a_dose, county, run

WU = a_reader()
COLUMNS = ("child_token", "record_token", "lot.vaccine_code", "dose_number", "vaccinated_date")
ASKED = replace(
    PLAN,
    divisions=(COUNTY,),
    born_from=None,
    happened_until=None,
    vaccine_codes=(),
    columns=COLUMNS,
    encryption_certificate_sha256=WU.sha256,
)


class Desk:
    """Where exports are built, beside the county whose records they are of."""

    def __init__(self, one, home, database):
        self.one, self.home = one, home
        signing = keys.CurrentKeys(home)
        bodies = Bodies(one.opener, one.index)
        self.sources = Sources(database, bodies, signing.keys, home.exports, one.stage.clock)
        self.output = None

    async def build(self, plan=ASKED, number=1, certificate=WU.certificate, **more):
        ticket = opened(f"EX-0000000{number}", plan, NOW_US)
        more = {"bundle": "ab" * 32, "whole_birth": False} | more
        self.output = await build(self.sources, ticket, certificate, **more)
        return self.output

    def payload(self, number=1):
        return payloads.path(self.home.exports, f"EX-0000000{number}").read_bytes()

    def read(self, plan=ASKED, number=1):
        """What the recipient gets out of it: data, manifest, trailer."""
        expected = Expected(
            f"EX-0000000{number}",
            plan.sha256,
            plan.encryption_certificate_sha256,
            keys.published(self.home.export_keys),
        )
        made = Opened(expected)
        plain = decrypt(self.output.header, io.BytesIO(self.payload(number)), WU.key)
        return b"".join(made.rows(plain)), made.manifest, made.trailer

    def files(self):
        return sorted(path.name for path in self.home.exports.iterdir())


@contextlib.asynccontextmanager
async def desk(conninfo):
    async with county(conninfo) as one:
        with export_home() as home:
            database = await Database.open(conninfo("disclosure"), application="test", size=2)
            try:
                yield Desk(one, home, database)
            finally:
                await database.close()


async def uploaded(one, children=2, doses=3):
    """Children with doses of theirs."""
    made = [a_child(n + 1, name=f"王小{'甲乙丙丁'[n]}") for n in range(children)]
    await one.upload(*made)
    given = [a_dose(child, day=BORN + timedelta(days=n)) for child in made for n in range(doses)]
    await one.upload(*given)
    return made, given


def rows(data):
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


async def refused(attempt):
    with pytest.raises(BuildError) as error:
        await attempt
    return error.value.cause


def test_the_recipient_reads_what_the_plan_names_and_nothing_else(conninfo):
    async def play():
        async with desk(conninfo) as here:
            made, given = await uploaded(here.one)
            output = await here.build()
            data, manifest, trailer = here.read()
            found = rows(data)
            assert len(found) == 6
            assert list(found[0]) == list(COLUMNS)
            assert len({row["child_token"] for row in found}) == 2
            assert len({row["record_token"] for row in found}) == 6
            secret = [one.child_code for one in made] + [one.record_id for one in given]
            secret += [one.name for one in made] + [one.trace.nmpa_code for one in given]
            assert not any(text.encode() in data for text in secret)
            assert manifest["plan_sha256"] == ASKED.sha256
            assert manifest["tunnel"] == ASKED.tunnel
            assert (trailer["rows"], trailer["children"], trailer["withheld"]) == (6, 2, 0)
            built, payload = output.built, here.payload()
            assert (built.rows, built.children) == (6, 2)
            assert built.payload_bytes == len(payload)
            assert built.payload_sha256 == hashlib.sha256(payload).hexdigest()
            assert built.manifest_sha256 == trailer["manifest_sha256"]
            assert output.child_tags == {here.one.tag(child) for child in made}

    run(play())


def test_there_is_no_plaintext_and_no_key_on_the_disk(conninfo):
    async def play():
        async with desk(conninfo) as here:
            await uploaded(here.one)
            output = await here.build()
            data, *_ = here.read()
            stored = here.payload()
            assert data[:40] not in stored
            assert output.header[:30] not in stored
            assert here.files() == ["EX-00000001.payload"]

    run(play())


@pytest.mark.parametrize("form", ["csv", "csv-bom", "parquet"])
def test_each_format_holds_the_same_rows(conninfo, form):
    async def play():
        async with desk(conninfo) as here:
            await uploaded(here.one)
            plan = replace(ASKED, format=form)
            await here.build(plan)
            data, manifest, trailer = here.read(plan)
            assert manifest["file_format"] == form
            assert trailer["rows"] == 6
            assert data.startswith({"csv": b"child", "csv-bom": b"\xef\xbb\xbf"}.get(form, b"PAR1"))
            if form == "parquet":
                pq = pytest.importorskip("pyarrow.parquet")
                assert pq.read_table(io.BytesIO(data)).num_rows == 6
            else:
                assert len(rows(data)) == 6

    run(play())


def test_attack_29_rows_that_grew_since_the_plan_was_counted(conninfo):
    """Approved with room for six rows of two children: the seventh, or the third child, makes it fail."""

    async def play():
        async with desk(conninfo) as here:
            made, _ = await uploaded(here.one)
            within = replace(ASKED, row_cap=6, child_cap=2)
            assert (await here.build(within)).built.rows == 6
            await here.one.upload(a_dose(made[0], day=BORN + timedelta(days=20)))
            assert await refused(here.build(within)) == "rows"
            assert here.files() == []
            third = a_child(3, name="王小丙")
            await here.one.upload(third, a_dose(third))
            assert await refused(here.build(replace(within, row_cap=100))) == "children"
            assert here.files() == []
            assert (await here.build()).built.rows == 8

    run(play())


def test_attack_42_two_exports_of_the_same_rows_cannot_be_joined(conninfo):
    async def play():
        async with desk(conninfo) as here:
            await uploaded(here.one, children=3, doses=4)
            found = []
            for number in (1, 2):
                await here.build(number=number)
                data, *_ = here.read(number=number)
                found.append(rows(data))
            for column in ("child_token", "record_token"):
                one, other = ({row[column] for row in each} for each in found)
                assert not one & other
            orders = [[row["vaccinated_date"] for row in each] for each in found]
            assert sorted(orders[0]) == sorted(orders[1])

    run(play())


def test_attack_58_the_disk_is_full_while_sealing(conninfo):
    """The kernel itself refuses the write: nothing of the export is left, and the next one is whole."""

    async def play():
        async with desk(conninfo) as here:
            await uploaded(here.one)
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
            try:
                assert await refused(here.build()) == "disk"
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert here.files() == []
            assert (await here.build()).built.rows == 6

    run(play())


def test_attack_54_a_certificate_for_something_else_gets_nothing(conninfo):
    async def play():
        async with desk(conninfo) as here:
            await uploaded(here.one)
            other = a_reader("client").certificate
            assert await refused(here.build(certificate=other)) == "recipient"
            assert here.files() == []
            assert (await here.build()).built.rows == 6

    run(play())


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"columns": ("child_token", "guardians.name")}, "column"),
        ({"columns": ("lot.specification",)}, "column"),
        ({"dataset": "children", "columns": ("sex",), "vaccine_codes": ("0202",)}, "filter"),
        ({"dataset": "stock", "columns": ("child_token",)}, "column"),
    ],
)
def test_attack_40_what_may_not_leave_is_not_built(conninfo, changes, cause):
    async def play():
        async with desk(conninfo) as here:
            await uploaded(here.one)
            assert await refused(here.build(replace(ASKED, **changes))) == cause
            assert here.files() == []

    run(play())


def test_a_body_that_does_not_open_makes_no_export(conninfo):
    async def play():
        async with desk(conninfo) as here:
            await uploaded(here.one)
            await here.one.rows(
                "UPDATE gateway.item SET body = set_byte(body, 0, get_byte(body, 0) # 1)"
                " WHERE (batch_id, item_index) = (SELECT batch_id, item_index FROM gateway.dose"
                " LIMIT 1) RETURNING 1"
            )
            assert await refused(here.build()) == "body"
            assert here.files() == []

    run(play())


def test_where_pyarrow_is_not_parquet_is_not_built(conninfo, monkeypatch):
    async def play():
        async with desk(conninfo) as here:
            monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
            assert await refused(here.build(replace(ASKED, format="parquet"))) == "format"

    run(play())


def test_who_is_stopped_in_the_middle_leaves_nothing(conninfo, monkeypatch):
    """The door ends while it builds: the file is gone, the connection is free, and it can be built again."""

    async def play():
        async with desk(conninfo) as here:
            await uploaded(here.one)
            reached = asyncio.Event()
            honest = Bodies.rows

            async def slow(self, tx, wanted):
                async for row in honest(self, tx, wanted):
                    yield row
                    reached.set()
                    await asyncio.Event().wait()

            with monkeypatch.context() as patch:
                patch.setattr(Bodies, "rows", slow)
                task = asyncio.create_task(here.build())
                await reached.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            assert here.files() == []
            assert (await here.build()).built.rows == 6

    run(play())


def test_what_a_crash_left_is_taken_away_before_it_is_built_anew(conninfo):
    async def play():
        async with desk(conninfo) as here:
            await uploaded(here.one)
            first = await here.build()
            whole = payloads.path(here.home.exports, "EX-00000001")
            whole.with_suffix(".part").write_bytes(b"half")
            second = await here.build()
            assert here.files() == ["EX-00000001.payload"]
            assert first.header != second.header
            assert here.read()[2]["rows"] == 6

    run(play())


def test_many_rows_go_through_in_pieces(conninfo, monkeypatch):
    async def play():
        async with desk(conninfo) as here:
            await uploaded(here.one, children=2, doses=7)
            monkeypatch.setattr(building, "ROWS_AT_A_TIME", 3)
            assert (await here.build()).built.rows == 14
            assert len(rows(here.read()[0])) == 14

    run(play())


def test_an_export_of_nothing_is_whole_and_says_so(conninfo):
    async def play():
        async with desk(conninfo) as here:
            output = await here.build()
            data, _, trailer = here.read()
            assert (output.built.rows, trailer["rows"], trailer["children"]) == (0, 0, 0)
            assert data.decode().strip() == ",".join(COLUMNS)

    run(play())


def test_days_of_birth_leave_where_the_purpose_needs_them(conninfo):
    async def play():
        async with desk(conninfo) as here:
            await uploaded(here.one, children=1)
            plan = replace(ASKED, dataset="children", columns=("birth_date",))
            found = []
            for whole in (False, True):
                await here.build(plan, whole_birth=whole)
                found.append(rows(here.read(plan)[0])[0]["birth_date"])
            assert found == [BORN.isoformat()[:7], BORN.isoformat()]

    run(play())
