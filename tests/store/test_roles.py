"""What each role cannot do, said in SQL on the real server; and who gets in at all."""

import hashlib
import stat
import uuid
from collections.abc import Callable

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.store import roles
from gateway.store.embedded import Cluster

Conninfo = Callable[[str], str]
DOORS = ("identity", "intake", "disclosure", "administration")
APPENDING = (*DOORS, "front")
LEAF = b'{"decision":"allow","kind":"test","time_us":1}'

# Role, statement: each must be refused for want of a right (42501).
FORBIDDEN = [
    # intake: bodies, restricted bodies, wrapped keys; nothing of what it stored changes or goes
    ("intake", "SELECT body FROM item"),
    ("intake", "SELECT restricted_body FROM item"),
    ("intake", "SELECT count(*) FROM item WHERE body IS NOT NULL"),
    ("intake", "INSERT INTO item SELECT * FROM item"),
    (
        "intake",
        "INSERT INTO item (batch_id, item_index, kind, state, key_id, nonce, body) VALUES (1, 1, 1, 1, gen_random_uuid(), '', '') RETURNING body",
    ),
    ("intake", "COPY item TO STDOUT"),
    ("intake", "UPDATE item SET body = ''"),
    ("intake", "DELETE FROM item"),
    ("intake", "SELECT wrapped FROM content_key"),
    ("intake", "DELETE FROM content_key"),
    ("intake", "DELETE FROM batch"),
    ("intake", "UPDATE batch SET answer = ''"),
    ("intake", "DELETE FROM dose"),
    ("intake", "DELETE FROM held"),
    ("intake", "UPDATE held SET organisation = ''"),
    ("intake", "INSERT INTO organisation (code, name, kind, created_us) VALUES ('1', '', 1, 1)"),
    # password hashes: identity's alone; administration sets, and reads not even in passing
    *((role, "SELECT password_hash FROM account") for role in (*APPENDING[1:],)),
    *((role, "SELECT history FROM account") for role in (*APPENDING[1:],)),
    ("administration", "UPDATE account SET password_hash = password_hash || ''"),
    ("administration", "UPDATE account SET roles = ARRAY[password_hash]"),
    ("administration", "UPDATE account SET password_epoch = 1 RETURNING password_hash"),
    ("administration", "DELETE FROM account"),
    ("front", "SELECT name FROM account"),
    ("intake", "UPDATE account SET state = 1"),
    ("identity", "UPDATE account SET roles = '{}'"),
    ("identity", "UPDATE certificate SET state = 1"),
    ("identity", "DELETE FROM session"),
    # individuals: administration, identity and front never
    *(
        (role, f"SELECT 1 FROM {table}")
        for role in ("administration", "identity", "front")
        for table in ("item", "child", "child_identity", "dose", "document", "held", "content_key")
    ),
    # the register: administration's alone
    *((role, "UPDATE organisation SET state = 1") for role in ("identity", "intake", "front")),
    *((role, "UPDATE certificate SET state = 1") for role in ("intake", "front", "disclosure")),
    *((role, "UPDATE session SET ended_us = NULL") for role in ("intake", "front", "disclosure")),
    ("administration", "DELETE FROM organisation"),
    ("administration", "DELETE FROM certificate"),
    # the log
    *((role, "INSERT INTO audit_entry SELECT * FROM audit_entry") for role in APPENDING),
    *((role, "UPDATE audit_entry SET leaf = ''") for role in APPENDING),
    *((role, "DELETE FROM audit_entry") for role in APPENDING),
    *((role, "TRUNCATE audit_entry") for role in APPENDING),
    *((role, "UPDATE audit_head SET size = 0") for role in APPENDING),
    *((role, "DELETE FROM audit_head") for role in APPENDING),
    *((role, "INSERT INTO audit_tile SELECT * FROM audit_tile") for role in APPENDING),
    *((role, "UPDATE audit_tile SET root = ''") for role in APPENDING),
    *((role, "SELECT audit_store_tile(0, 0, '')") for role in APPENDING),
    *((role, "SELECT leaf FROM audit_entry") for role in ("identity", "front", "disclosure")),
    # side parts: put in by three doors, read by administration, changed and destroyed by none
    *((role, "SELECT 1 FROM audit_sealed") for role in APPENDING if role != "administration"),
    *(
        (role, "INSERT INTO audit_sealed SELECT * FROM audit_sealed")
        for role in ("identity", "intake", "front", "disclosure")
    ),
    *((role, "INSERT INTO audit_sealed (digest) VALUES ('')") for role in ("intake", "front")),
    # why an envelope was opened stands in no row
    ("identity", "INSERT INTO break_glass_opening (reason) VALUES ('why')"),
    ("identity", "UPDATE break_glass_opening SET reason = 'why'"),
    *((role, "UPDATE audit_sealed SET salt = ''") for role in APPENDING),
    *((role, "DELETE FROM audit_sealed") for role in APPENDING),
    *((role, "TRUNCATE audit_sealed") for role in APPENDING),
    *((role, "SELECT subject_tag('')") for role in APPENDING if role != "administration"),
    # what would undo all of the above
    *((role, "UPDATE epoch SET value = 0") for role in APPENDING),
    *((role, "CREATE TABLE gateway.mine (a int)") for role in APPENDING),
    *((role, "CREATE TABLE public.mine (a int)") for role in APPENDING),
    *((role, "CREATE SCHEMA mine") for role in APPENDING),
    *((role, "SET ROLE gateway_owner") for role in APPENDING),
    *((role, "ALTER TABLE audit_entry DISABLE TRIGGER ALL") for role in APPENDING),
    *((role, "SET session_replication_role = replica") for role in (*APPENDING, "owner")),
    *((role, "COPY (SELECT 1) TO PROGRAM 'true'") for role in (*APPENDING, "owner")),
    *((role, "SELECT pg_read_file('/etc/passwd')") for role in (*APPENDING, "owner")),
    *((role, "CREATE ROLE mine") for role in (*APPENDING, "owner")),
    *((role, "SELECT rolpassword FROM pg_authid") for role in (*APPENDING, "owner", "backup")),
    # backup copies files by replication and sees no table
    ("backup", "SELECT 1 FROM gateway.organisation"),
    ("backup", "SELECT gateway.audit_append(ARRAY[''::bytea], 0)"),
]


@pytest.mark.parametrize(("role", "statement"), FORBIDDEN)
def test_a_role_cannot(conninfo_shared: Conninfo, role: str, statement: str) -> None:
    with (
        psycopg.connect(conninfo_shared(role)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


@pytest.fixture(scope="module")
def conninfo_shared(cluster: Cluster) -> Conninfo:
    """Statements that are refused change nothing: they share the template database."""
    server = make_conninfo(roles.server(cluster.home, Settings()), dbname="gateway_template")
    return lambda role: roles.conninfo(cluster.home, Settings(dsn=server), role)


@pytest.mark.parametrize("role", APPENDING)
def test_every_door_appends_a_leaf_and_can_change_none(conninfo: Conninfo, role: str) -> None:
    with psycopg.connect(conninfo(role)) as connection:
        row = connection.execute("SELECT first, size FROM audit_append(%s, 0)", [[LEAF]]).fetchone()
        assert row == (0, 1)
        assert connection.execute("SELECT count(leaf_hash) FROM audit_entry").fetchone() == (1,)


@pytest.mark.parametrize("kind", ["audit.shred", "audit.forget"])
@pytest.mark.parametrize("role", APPENDING)
def test_no_door_tells_that_something_was_destroyed(
    conninfo: Conninfo, role: str, kind: str
) -> None:
    leaf = LEAF.replace(b'"test"', f'"{kind}"'.encode())
    denied = leaf.replace(b'"allow"', b'"deny"')
    with psycopg.connect(conninfo(role)) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only the owner tells"):
            connection.execute("SELECT audit_append(%s, 0)", [[leaf]])
        connection.rollback()
        connection.execute("SELECT audit_append(%s, 0)", [[denied]])
    with psycopg.connect(conninfo("owner")) as connection:
        connection.execute("SELECT audit_append(%s, 1)", [[leaf]])
        assert connection.execute("SELECT count(*) FROM audit_entry").fetchone() == (2,)


@pytest.mark.parametrize("door", ["identity", "disclosure", "administration"])
def test_a_side_part_is_what_its_digest_says(conninfo: Conninfo, door: str) -> None:
    """Not even by its owner another one is put in its place without breaking the row's rule."""
    row = "VALUES (%s, 'salt', 'noise', gen_random_uuid(), 'r', 'key', 1)"
    with psycopg.connect(conninfo(door)) as connection:
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(f"INSERT INTO audit_sealed {row}", [b"x" * 32])
        connection.rollback()
        digest = hashlib.sha256(b"saltnoise").digest()
        connection.execute(f"INSERT INTO audit_sealed {row}", [digest])
    with psycopg.connect(conninfo("administration")) as connection:
        found = connection.execute("SELECT digest, ciphertext FROM audit_sealed", binary=True)
        assert found.fetchall() == [(digest, b"noise")]
    with (
        psycopg.connect(conninfo("owner")) as connection,
        pytest.raises(psycopg.errors.CheckViolation),
    ):
        connection.execute("UPDATE audit_sealed SET ciphertext = 'other'")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET kind = 'other'",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_entry",
        "DELETE FROM audit_head",
        "UPDATE audit_head SET size = 0",
        "UPDATE audit_tile SET n = 1",
    ],
)
def test_even_the_owner_must_disable_triggers_first(conninfo: Conninfo, statement: str) -> None:
    with psycopg.connect(conninfo("owner")) as connection:
        connection.execute("SELECT audit_append(%s, 0)", [[LEAF]])
        connection.commit()
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            connection.execute(statement)
        connection.rollback()
        connection.execute("ALTER TABLE audit_entry DISABLE TRIGGER ALL")
        assert connection.execute("DELETE FROM audit_entry").rowcount == 1
        connection.rollback()


def test_administration_sets_a_password_hash_and_cannot_read_it(conninfo: Conninfo) -> None:
    with psycopg.connect(conninfo("administration")) as connection:
        connection.execute(
            "INSERT INTO organisation (code, name, kind, created_us) VALUES ('140100', '太原', 2, 1)"
        )
        connection.execute(
            "INSERT INTO account (organisation, name, roles, subject_kind, subject_name,"
            " password_hash, password_set_us, password_expires_us, must_change, created_us)"
            " VALUES ('140100', 'city', '{uploader}', 'sys', 'his', 'secret', 1, 2, true, 1)"
        )
        assert connection.execute("UPDATE account SET password_hash = 'new'").rowcount == 1
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT 1 FROM account WHERE password_hash = 'new'")


def test_intake_stores_and_reads_back_no_body(conninfo: Conninfo) -> None:
    with psycopg.connect(conninfo("intake")) as connection:
        connection.execute(
            "INSERT INTO item (batch_id, item_index, kind, state, key_id, nonce, body)"
            " VALUES (1, 1, 1, 1, %s, '', 'sealed')",
            [uuid.uuid4()],
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT body FROM item")


def test_columns_that_intake_reads_are_exactly_these(conninfo: Conninfo) -> None:
    """docs/threats.md: what a stolen intake process can read from the database of an individual."""
    with psycopg.connect(conninfo("owner")) as connection:
        rows = connection.execute(
            "SELECT c.table_name, c.column_name FROM information_schema.columns AS c"
            " WHERE c.table_schema = 'gateway' AND c.table_name IN"
            " ('item', 'content_key', 'child', 'child_identity', 'retired_child', 'dose')"
            " AND has_column_privilege('gateway_intake', 'gateway.' || c.table_name, c.column_name,"
            " 'SELECT') ORDER BY 1, 2"
        ).fetchall()
    readable: dict[str, set[str]] = {}
    for table, column in rows:
        readable.setdefault(table, set()).add(column)
    place = {"batch_id", "item_index"}
    assert readable == {
        "child": place
        | {"child_tag", "birth_date", "sex", "status", "status_date", "revision", "unit_code"}
        | {"name_tag", "mother_tag", "content_tag"},
        "child_identity": {"tag", "child_tag"},
        "retired_child": place | {"child_tag", "kept_tag"},
        "dose": place
        | {"child_tag", "record_id", "unit_code", "vaccine_code", "series", "dose_number"}
        | {"vaccinated_date", "route", "site", "content_tag", "revision"},
        "content_key": {"key_id"},
    }


@pytest.mark.parametrize("role", roles.ROLES)
def test_nobody_connects_without_the_password(
    cluster: Cluster, conninfo_shared: Conninfo, role: str
) -> None:
    good = conninfo_shared(role)
    with psycopg.connect(good) as connection:
        assert connection.info.user == f"gateway_{role}"
    for wrong in ("", "guess"):
        bad = make_conninfo(good, password=wrong, passfile="/dev/null")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(bad)


def test_superuser_and_strangers_need_a_password_too(cluster: Cluster) -> None:
    for user in (roles.SUPERUSER, "stranger"):
        bad = make_conninfo(cluster.superuser(), user=user, password="", passfile="/dev/null")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(bad)


def test_passwords_are_stored_as_verifiers_only(cluster: Cluster) -> None:
    with psycopg.connect(cluster.superuser()) as connection:
        stored = connection.execute(
            "SELECT rolname, rolpassword FROM pg_authid WHERE rolcanlogin"
        ).fetchall()
    assert len(stored) == len(roles.ROLES) + 1
    assert all(password.startswith("SCRAM-SHA-256$") for _, password in stored)


def test_password_files_are_private_and_different(cluster: Cluster) -> None:
    paths = [cluster.home.password_file(role) for role in (*roles.ROLES, "superuser")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    assert len({path.read_text() for path in paths}) == len(paths)


def test_no_role_has_an_attribute_it_does_not_need(cluster: Cluster) -> None:
    with psycopg.connect(cluster.superuser()) as connection:
        rows = connection.execute(
            "SELECT rolname, rolreplication FROM pg_roles WHERE rolname LIKE 'gateway%'"
            " AND NOT (rolsuper OR rolcreatedb OR rolcreaterole OR rolbypassrls OR rolinherit)"
        ).fetchall()
    assert dict(rows) == {f"gateway_{role}": role == "backup" for role in roles.ROLES}


def test_conninfo_of_an_embedded_home_is_its_socket(cluster: Cluster) -> None:
    told = roles.conninfo(cluster.home, Settings(), "front")
    parts = psycopg.conninfo.conninfo_to_dict(told)
    assert parts["host"] == str(cluster.home.run("postgres"))
    assert (parts["dbname"], parts["user"]) == ("gateway", "gateway_front")


def test_existing_roles_get_new_passwords(cluster: Cluster, tmp_path) -> None:
    """Roles outlive a HOME on an external server: init gives them its own passwords."""
    known = {role: cluster.home.password_file(role).read_text() for role in roles.ROLES}
    with psycopg.connect(cluster.superuser(), autocommit=True) as connection:
        roles.create_roles(connection, known)
    home = Home(tmp_path)
    home.password_file("front").parent.mkdir(parents=True)
    home.password_file("front").write_text(known["front"])
    server = roles.server(cluster.home, Settings())
    with psycopg.connect(roles.conninfo(home, Settings(dsn=server), "front")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
