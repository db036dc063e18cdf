"""The limit `copy`: COPY of the very rows that a round has stored, into the same tables with the same indexes."""

import time

from gateway.demo.province import Province
from gateway.store.roles import conninfo

# What an upload writes a row per record into; batches of 1,000 in one transaction each, as the intake does.
TABLES = ("item", "child", "child_identity", "dose")
BATCH = 1000


async def copy_rate(province: Province, records: int) -> float:
    """Return records/s of a plain COPY of everything stored for the newest `records` items."""
    import psycopg

    host = province.host
    where = conninfo(host.home, host.settings, "owner")
    async with await psycopg.AsyncConnection.connect(where, autocommit=True) as connection:
        await connection.execute("DROP SCHEMA IF EXISTS bench CASCADE")
        await connection.execute("CREATE SCHEMA bench")
        cursor = await connection.execute("SELECT count(*) FROM gateway.item")
        stored = (await cursor.fetchone())[0]
        rows: dict[str, list] = {}
        for table in TABLES:
            await connection.execute(
                f"CREATE TABLE bench.{table} (LIKE gateway.{table} INCLUDING ALL)"
            )
            cursor = await connection.execute(f"SELECT * FROM gateway.{table}", binary=True)
            types = [column.type_code for column in cursor.description or ()]
            found = await cursor.fetchall()
            # Of each table the share that this many records have of all that are stored.
            share = found[len(found) - records * len(found) // stored :]
            rows[table] = [types, *(share[at : at + BATCH] for at in range(0, len(share), BATCH))]
        began = time.perf_counter()
        for table in TABLES:
            types, *batches = rows[table]
            for batch in batches:
                statement = f"COPY bench.{table} FROM STDIN (FORMAT BINARY)"
                async with connection.cursor() as cursor, cursor.copy(statement) as copy:
                    copy.set_types(types)
                    for row in batch:
                        await copy.write_row(row)
        took = time.perf_counter() - began
        await connection.execute("DROP SCHEMA bench CASCADE")
    return records / took
