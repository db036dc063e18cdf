"""The rows: exactly the columns that may be readable, and what intake cannot do with them."""

from collections.abc import Callable

import pytest

from gateway.store.database import StoreError
from tests.uploads.county import a_child, a_dose, county, run

# Everything of a record that intake can read back; a column more is a decision (docs/decisions/0005).
READABLE = {
    "child": "child_tag birth_date sex status status_date revision unit_code name_tag mother_tag content_tag",
    "child_identity": "tag child_tag",
    "retired_child": "child_tag kept_tag",
    "dose": "child_tag record_id unit_code vaccine_code series dose_number vaccinated_date route site content_tag revision",
    "document": "kind unit_code document_id content_tag revision",
    "held": "organisation unit_code kind state record_id findings record_key child_tag key_columns deadline_us settled_us",
    "item": "",
    "earlier_revision": "",
}
PLACE = {"batch_id", "item_index"}


def test_intake_reads_the_key_columns_and_nothing_else(conninfo: Callable[[str], str]) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            sql = """
                SELECT table_name, column_name FROM information_schema.column_privileges
                WHERE grantee = 'gateway_intake' AND privilege_type = 'SELECT' AND table_schema = 'gateway'
            """
            found: dict[str, set[str]] = {}
            for table, column in await one.rows(sql):
                found.setdefault(table, set()).add(column)
            for table, columns in READABLE.items():
                assert found.get(table, set()) - PLACE == set(columns.split()), table

    run(play())


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT body FROM gateway.item",
        "SELECT nonce FROM gateway.item",
        "UPDATE gateway.item SET body = ''",
        "DELETE FROM gateway.item",
        "DELETE FROM gateway.dose",
        "DELETE FROM gateway.held",
        "UPDATE gateway.held SET record_id = ''",
        "UPDATE gateway.batch SET answer = ''",
        "SELECT wrapped FROM gateway.content_key",
        "TRUNCATE gateway.child",
    ],
)
def test_what_intake_cannot_do(conninfo: Callable[[str], str], sql: str) -> None:
    async def play() -> None:
        async with county(conninfo) as one:
            await one.upload(a_child(), a_dose(a_child()))
            with pytest.raises(StoreError) as error:
                async with one.stage.database.transaction() as tx:
                    await tx.execute(sql)
            assert error.value.sqlstate == "42501"

    run(play())
