"""A dump holds one moment of the whole schema, is counted without a server, and is loaded whole or not at all."""

from pathlib import Path

import psycopg
import pytest

from gateway.store import dump, roles
from gateway.store.dump import Script
from gateway.store.errors import StoreError
from gateway.store.tools import ToolError

ADD = "INSERT INTO gateway.epoch (name, value) VALUES (%s, 1)"


@pytest.fixture
def held(database_home, database_settings) -> tuple[bytes, dump.Snapshot]:
    """A dump of a migrated database, made while somebody went on writing."""
    owner = roles.conninfo(database_home, database_settings, "owner")
    with dump.dumped(database_home, database_settings) as (snapshot, stream):
        with psycopg.connect(owner) as connection:
            connection.execute(ADD, ["meanwhile"])
        content = stream.read()
    with dump.dumped(database_home, database_settings) as (later, stream):
        stream.read()
    assert later.rows["epoch"] == snapshot.rows["epoch"] + 1
    return content, snapshot


def counted(content: bytes) -> dict[str, int]:
    with dump.counted() as (sink, script):
        sink.write(content)
    return script.rows


def test_it_holds_the_rows_that_were_counted_in_its_own_moment(held, database_home) -> None:
    content, snapshot = held
    assert counted(content) == snapshot.rows
    assert snapshot.rows["epoch"] > 0
    assert snapshot.server == 18
    assert int(snapshot.system) > 0
    assert not list(database_home.password_file("owner").parent.glob("*.pgpass"))


def test_what_is_cut_or_none_is_told(held, database_home) -> None:
    content, _ = held
    for bad in (content[:-1], content[: len(content) // 2], b"none", b""):
        with pytest.raises(ToolError, match="pg_restore failed"):
            counted(bad)


def emptied(conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("DROP SCHEMA gateway CASCADE")


def schemas(conninfo: str) -> list[tuple]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute("SELECT to_regnamespace('gateway')").fetchall()


@pytest.fixture
def into(cluster, database: str, database_home, database_settings) -> str:
    """The owner may make the schema in this test's database, which a test empties."""
    with psycopg.connect(cluster.superuser(database)) as connection:
        roles.open_schema(connection)
    return roles.conninfo(database_home, database_settings, "owner")


def test_what_is_loaded_is_what_was_dumped(held, into, database_home, database_settings) -> None:
    """Rows, rights and order: a second dump of it counts the same, and a door's role does what it may and no more."""
    content, snapshot = held
    emptied(into)
    told: list[Script] = []
    with dump.loading(database_home, database_settings, told.append) as sink:
        sink.write(content)
    assert [one.rows for one in told] == [snapshot.rows]
    assert told[0].strangers == set()
    with dump.dumped(database_home, database_settings) as (again, stream):
        assert counted(stream.read()) == again.rows == snapshot.rows
    with psycopg.connect(roles.conninfo(database_home, database_settings, "intake")) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT body FROM gateway.item")
        connection.rollback()
        leaf = b'{"time_us":1,"kind":"t","decision":"allow"}'
        assert connection.execute("SELECT first FROM audit_append(ARRAY[%s::bytea], 0)", [leaf]).fetchall() == [(0,)]  # fmt: skip


def test_what_breaks_off_leaves_nothing(held, into, database_home, database_settings) -> None:
    content, _ = held
    emptied(into)

    def refuse(_: Script) -> None:
        raise ZeroDivisionError

    def load(piece: bytes, error: BaseException | None = None, whole=lambda _: None) -> None:
        with dump.loading(database_home, database_settings, whole) as sink:
            sink.write(piece)
            if error is not None:
                raise error

    with pytest.raises(ToolError):
        load(content[:-20])
    with pytest.raises(ZeroDivisionError):
        load(content, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        load(content, whole=refuse)
    assert schemas(into) == [(None,)]
    load(content)
    with pytest.raises(StoreError, match="already exists"):
        load(content)
    assert schemas(into) == [("gateway",)]


RIGHTS = b"""\
-- Name: FUNCTION f(); Type: ACL; Schema: gateway; Owner: -
--

REVOKE ALL ON FUNCTION gateway.f() FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.f() TO gateway_intake;
GRANT SELECT(a),UPDATE(b) ON TABLE gateway.one TO monitoring WITH GRANT OPTION;
GRANT SELECT ON TABLE gateway.one TO "a ""b TO gateway_intake";
SET SESSION AUTHORIZATION monitoring;
GRANT SELECT ON TABLE gateway.one TO gateway_intake;
RESET SESSION AUTHORIZATION;
GRANT SELECT ON TABLE gateway.one TO gateway_identity;
-- Name: DEFAULT PRIVILEGES FOR TABLES; Type: DEFAULT ACL; Schema: gateway; Owner: -
ALTER DEFAULT PRIVILEGES FOR ROLE gateway_owner REVOKE ALL ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE gateway_owner IN SCHEMA gateway GRANT SELECT ON TABLES TO watch;
ALTER DEFAULT PRIVILEGES FOR ROLE dba IN SCHEMA gateway GRANT SELECT ON TABLES TO gateway_intake;
-- Name: g(); Type: FUNCTION; Schema: gateway; Owner: -
GRANT SELECT ON TABLE gateway.one TO monitoring;
"""


def test_rights_of_roles_that_are_not_ours_are_left_out_and_named() -> None:
    """Also those that somebody granted on; what is no right, as a function's text, stays as it is."""
    told = Told()
    read = Script(told)
    read.take(RIGHTS)
    lines = RIGHTS.splitlines(keepends=True)
    left = {5, 6, 7, 8, 9, 13, 14}
    assert told.all == b"".join(line for n, line in enumerate(lines) if n not in left)
    assert read.strangers == {"monitoring", 'a ""b TO gateway_intake', "watch", "dba"}


class Told:
    """What a script holds, in its order."""

    def __init__(self) -> None:
        self.all = b""

    def statement(self, line: bytes) -> None:
        self.all += line

    begin = some_rows = statement

    def end(self) -> None:
        self.all += b"end "


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_script_is_read_in_pieces_of_any_size(size: int) -> None:
    script = (
        b"\\restrict x\nSET transaction_timeout = 0;\nSET a = 0;\n"
        b"COPY gateway.one (a, b) FROM stdin;\n1\t\\\\.\n2\t\\N\n\\.\nSELECT 1;\n"
        b'COPY gateway."user" (a) FROM stdin;\n\\.\n\\unrestrict x\n'
    )
    told = Told()
    read = Script(told)
    for at in range(0, len(script), size):
        read.take(script[at : at + size])
    assert read.rows == {"one": 2, "user": 0}
    assert told.all == (
        b"SET a = 0;\nCOPY gateway.one (a, b) FROM stdin;\n1\t\\\\.\n2\t\\N\nend SELECT 1;\n"
        b'COPY gateway."user" (a) FROM stdin;\nend '
    )


def test_its_password_file_is_gone(held, database_home) -> None:
    assert not Path(database_home.password_file("owner")).with_name("owner.pgpass").exists()
