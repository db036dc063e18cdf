"""A database role of another door can neither read a body nor move a ticket: not by anything that the server's catalogue knows.

Every role is asked about, and every table, column, sequence, function, default, view, schema, membership and large object, so
that one that comes later fails here until somebody says what it is. What is forbidden is tried, too.
"""

import re

import psycopg
import pytest
from psycopg import errors
from psycopg.conninfo import make_conninfo

from gateway.config.settings import Settings
from gateway.store import roles
from tests.coverage.rpcs import Watch
from tests.exports.cast import Cast
from tests.exports.fetching import download, list_children, release, sealed, uploaded
from tests.exports.planted import plant
from tests.world import held

OWNER, DOOR_ROLE = "gateway_owner", "gateway_disclosure"
MAY = {OWNER, DOOR_ROLE}
ROLES = [f"gateway_{role}" for role in roles.ROLES]
OTHERS = sorted(set(ROLES) - MAY)
# Whoever may write one of these moves a ticket, or pays for it: what disclosure may do with it, and nobody else anything.
# No plan is changed, nor who is in it; no approval, receipt or debit is changed or taken back.
TICKETS = {
    "ticket": {"SELECT", "INSERT", "UPDATE of columns"},
    "ticket_approval": {"SELECT", "INSERT"},
    "ticket_number": {"USAGE"},
    "export_header": {"SELECT", "INSERT", "DELETE"},
    "export_child": {"SELECT", "INSERT", "DELETE"},
    "export_debit": {"SELECT", "INSERT"},
    "export_receipt": {"SELECT", "INSERT"},
    "export_count": {"SELECT", "INSERT", "UPDATE"},
}
FROZEN = {
    *("ticket_id", "plan", "plan_sha256", "created_us", "not_after_us", "destroy_by"),
    *("requester_organisation", "requester_person", "recipient_organisation", "recipient_person"),
}
# What opens a child's record: the sealed bodies, the keys that they are sealed with, the header with a file's key.
BODIES = {
    ("item", "body"),
    ("item", "restricted_body"),
    ("content_key", "wrapped"),
    ("export_header", "header"),
}
# All else, each looked at: neither a ticket nor a body is in it.
# fmt: off
ELSEWHERE = {
    "account", "alembic_version", "audit_entry", "audit_head", "audit_sealed", "audit_tile", "batch", "batch_batch_id_seq",
    "batch_sequence", "break_glass_confirmation", "break_glass_envelope", "break_glass_officer",
    "break_glass_opening", "break_glass_sealing", "certificate", "child", "child_identity", "cosignature",
    "document", "dose", "earlier_revision", "epoch", "held", "invitation", "lineage", "lost_batch", "offered_checkpoint",
    "organisation", "other_secret", "password_age", "policy_activation", "policy_bundle", "policy_proposal",
    "policy_signature", "relation", "retired_child", "secret", "secret_step", "secret_step_id_seq", "session",
    "system", "throttle", "tunnel", "unit", "witness",
}
# fmt: on
PRIVILEGES = {
    "table": ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"),
    "sequence": ("USAGE", "SELECT", "UPDATE"),
}
OURS = "NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace)"
RELATIONS = "SELECT relname, relkind::text FROM pg_class WHERE relnamespace = 'gateway'::regnamespace AND relkind NOT IN ('i', 'I')"
DEFINERS = """
SELECT f.oid::regprocedure::text, f.prosrc, f.prorettype::regtype::text, f.proconfig,
    ARRAY(SELECT r.rolname FROM pg_roles AS r WHERE has_function_privilege(r.oid, f.oid, 'EXECUTE'))
FROM pg_proc AS f WHERE f.prosecdef AND f.pronamespace """
MEMBERS = "SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members"
# Tried by each other role on each of TICKETS.
TRIED = (
    "SELECT 1 FROM {table}",
    "COPY {table} TO STDOUT",
    "COPY (TABLE {table}) TO STDOUT",
    "COPY {table} FROM STDIN",
    "INSERT INTO {table} SELECT * FROM {table}",
    "DELETE FROM {table}",
    "TRUNCATE {table}",
    "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
    "ALTER TABLE {table} DISABLE TRIGGER ALL",
    "CREATE TRIGGER mine AFTER INSERT ON {table} EXECUTE FUNCTION gateway.epoch_bump('ticket')",
    "CREATE TEMP TABLE mine (LIKE {table}); CREATE TEMP VIEW yours AS TABLE {table}; TABLE yours",
    "GRANT ALL ON {table} TO CURRENT_USER",
)
# And on each of BODIES.
READ = (
    "SELECT {column} FROM {table}",
    "SELECT * FROM {table}",
    "COPY {table} ({column}) TO STDOUT",
    "COPY {table} TO STDOUT",
    "UPDATE {table} SET {column} = {column}",
    "DELETE FROM {table} RETURNING {column}",
    "CREATE TEMP VIEW yours AS SELECT {column} FROM {table}; TABLE yours",
)
# Whatever the table: by another role, by the server's files, by a large object of the server's.
BESIDE = (
    f"SET ROLE {DOOR_ROLE}",
    f"SET SESSION AUTHORIZATION {DOOR_ROLE}",
    f"GRANT {DOOR_ROLE} TO CURRENT_USER",
    "COPY (SELECT 1) TO '/tmp/mine'",
    "CREATE TEMP TABLE mine (a text); COPY mine FROM '/etc/passwd'",
    "SELECT lo_export(1, '/tmp/mine')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT nextval('gateway.ticket_number')",
    "SELECT setval('gateway.ticket_number', 1)",
    "UPDATE gateway.epoch SET value = value + 1 WHERE name = 'ticket'",
    "ALTER DEFAULT PRIVILEGES FOR ROLE gateway_owner GRANT ALL ON TABLES TO CURRENT_USER",
    "CREATE FUNCTION gateway.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "ALTER FUNCTION gateway.ticket_leaf(text) SECURITY INVOKER",
)


def template(cluster, role):
    server = make_conninfo(roles.server(cluster.home, Settings()), dbname="gateway_template")
    return psycopg.connect(roles.conninfo(cluster.home, Settings(dsn=server), role))


@pytest.fixture
def asked(cluster):
    with template(cluster, "owner") as owner:
        owner.autocommit = True
        yield lambda question, *values: owner.execute(question.encode(), values).fetchall()


def names(found):
    return {name for (name,) in found}


def held_by(asked, relation, kind):
    """Role -> what it may do with a relation, by itself, by PUBLIC or on some column."""
    found = {}
    of = "sequence" if kind == "S" else "table"
    for role in ROLES:
        may = set()
        for one in PRIVILEGES[of]:
            [(whole,)] = asked(
                f"SELECT has_{of}_privilege(%s, %s, %s)", role, f"gateway.{relation}", one
            )
            some = False
            if of == "table" and one in ("SELECT", "INSERT", "UPDATE", "REFERENCES"):
                ask = "SELECT has_any_column_privilege(%s, %s, %s)"
                [(some,)] = asked(ask, role, f"gateway.{relation}", one)
            may |= {one} if whole else {f"{one} of columns"} if some else set()
        found[role] = may
    return found


def test_every_role_is_asked_about_and_none_is_more_than_it_seems(asked):
    known = "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> 'postgres'"
    assert names(asked(known)) == set(ROLES)
    powers = "rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolinherit"
    assert asked(f"SELECT rolname FROM pg_roles WHERE rolname ~ '^gateway_' AND ({powers})") == []
    copying = "SELECT rolname FROM pg_roles WHERE rolname ~ '^gateway_' AND rolreplication"
    assert names(asked(copying)) == {"gateway_backup"}
    assert [one for one in asked(MEMBERS) if "gateway_" in one[0] + one[1]] == []


def test_every_relation_is_known_and_none_is_a_view(asked):
    found = dict(asked(RELATIONS))
    assert set(found) == set(TICKETS) | {table for table, _ in BODIES} | ELSEWHERE
    assert set(found.values()) == {"r", "S"}
    assert (
        asked(
            f"SELECT relname FROM pg_class WHERE relnamespace {OURS} AND relowner <> '{OWNER}'::regrole"
        )
        == []
    )
    assert (
        asked(
            f"SELECT relname FROM pg_class WHERE relnamespace {OURS} AND relnamespace <> 'gateway'::regnamespace"
        )
        == []
    )
    ruled = f"SELECT rulename FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = ev_class WHERE relnamespace {OURS}"
    assert asked(ruled) == []


def test_no_role_of_another_door_may_do_anything_with_a_ticket(asked):
    kinds = dict(asked(RELATIONS))
    for relation, wanted in TICKETS.items():
        found = held_by(asked, relation, kinds[relation])
        assert found[OWNER] >= wanted - {"UPDATE of columns"}, relation
        assert found[DOOR_ROLE] == wanted, relation
        assert [role for role in OTHERS if found[role]] == [], relation
    columns = "SELECT attname FROM pg_attribute WHERE attrelid = 'gateway.ticket'::regclass AND attnum > 0"
    written = f"{columns} AND has_column_privilege('{DOOR_ROLE}', attrelid, attnum, 'UPDATE')"
    assert names(asked(columns)) - names(asked(written)) == FROZEN


@pytest.mark.parametrize(("table", "column"), sorted(BODIES))
def test_no_role_of_another_door_reads_a_body(asked, table, column):
    readers = (
        "SELECT rolname FROM pg_roles WHERE rolname ~ '^gateway_'"
        " AND has_column_privilege(oid, ('gateway.' || %s)::regclass, %s, 'SELECT')"
    )
    assert names(asked(readers, table, column)) == MAY


def test_no_function_lends_another_door_the_rights_to_it(asked):
    """Those that run as who made them: by whoever may call them, or as a trigger by whoever writes the table."""
    touching = "|".join({*TICKETS, *(table for table, _ in BODIES)})
    found = asked(DEFINERS + OURS)
    assert {"ticket_leaf(text)", "audit_append(bytea[],bigint)"} <= {one[0] for one in found}
    for name, text, returns, settings, callers in found:
        assert any(one.startswith("search_path=") for one in settings or ()), name
        if re.search(rf"\b(?:{touching}|ticket_mac)\b", text) or "export" in name:
            assert returns != "trigger", name
            assert set(callers) - {"postgres"} <= MAY, name
    public = f"SELECT proname FROM pg_proc AS f, aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE pronamespace {OURS} AND grantee = 0"
    assert asked(public) == []


def test_what_is_made_later_is_nobodys_either(asked, cluster):
    """By default nobody but the owner gets a right to a table, sequence, function, schema or type that it makes."""
    defaults = "SELECT defaclrole::regrole::text, defaclnamespace, defaclobjtype::text, defaclacl::text FROM pg_default_acl"
    assert asked(defaults) == [(OWNER, 0, "f", f"{{{OWNER}=X/{OWNER}}}")]
    with template(cluster, "owner") as owner:
        owner.execute("CREATE TABLE gateway.later (a int)")
        owner.execute("CREATE SEQUENCE gateway.later_number")
        owner.execute("CREATE FUNCTION gateway.later() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        for role in [*OTHERS, DOOR_ROLE]:
            may = owner.execute(
                "SELECT has_table_privilege(r, 'gateway.later', 'SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER'),"
                " has_sequence_privilege(r, 'gateway.later_number', 'USAGE,SELECT,UPDATE'),"
                " has_function_privilege(r, 'gateway.later()', 'EXECUTE') FROM (VALUES (%s)) AS v (r)",
                [role],
            ).fetchone()
            assert may == (False, False, False), role
        owner.rollback()


def test_there_is_no_other_way_out_of_the_database(asked):
    schemas = f"SELECT nspname, rolname FROM pg_namespace AS n, pg_roles AS r WHERE n.oid {OURS} AND nspname !~ '^pg_' AND rolname ~ '^gateway_' AND has_schema_privilege(r.oid, n.oid, 'CREATE')"
    # `public` belongs to whoever owns the database.
    assert set(asked(schemas)) <= {("gateway", OWNER), ("public", OWNER)}
    databases = "SELECT rolname FROM pg_roles WHERE rolname ~ '^gateway_' AND has_database_privilege(oid, current_database(), 'CREATE')"
    assert names(asked(databases)) == {OWNER}
    # Nothing lies in large objects, and who makes one makes it for himself.
    assert asked("SELECT oid FROM pg_largeobject_metadata") == []
    assert asked("SHOW lo_compat_privileges") == [("off",)]
    # A role that replicates copies files, and decodes no row.
    assert asked("SHOW wal_level") == [("replica",)]
    assert names(asked("SELECT extname FROM pg_extension")) == {"plpgsql"}
    for table in ("pg_publication", "pg_foreign_data_wrapper", "pg_event_trigger", "pg_policy"):
        assert asked(f"SELECT oid FROM {table}") == [], table


@pytest.mark.parametrize("role", OTHERS)
def test_another_role_tries_all_of_it(cluster, role):
    """Each statement is refused for want of a right, not for another fault."""
    statements = [
        one.format(table=f"gateway.{table}")
        for table in TICKETS
        for one in TRIED
        if table != "ticket_number"
    ]
    statements += [
        one.format(table=f"gateway.{table}", column=column)
        for table, column in BODIES
        for one in READ
    ]
    with template(cluster, role.removeprefix("gateway_")) as connection:
        for statement in (*statements, *BESIDE):
            with pytest.raises((errors.InsufficientPrivilege, errors.InvalidGrantOperation)):
                _run(connection, statement)
            connection.rollback()


def _run(connection, statement):
    if not statement.startswith("COPY gateway.") and not statement.startswith("COPY (TABLE"):
        for one in statement.split("; "):
            connection.execute(one.encode())
        return
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        if "TO STDOUT" in statement:
            list(copy)


def test_a_forged_notice_moves_nothing_and_an_overheard_one_says_nothing(cluster):
    """Anyone may NOTIFY and LISTEN: a notice has the doors look at the counters, which nobody writes, and names no ticket."""

    async def work(cast):
        ticket = plant(cast, 7, row_cap_count=2_000)
        await cast.token(cast["wang"])
        stood, epochs = await cast.value(ticket), cast.world.sql("SELECT * FROM gateway.epoch")
        watch = Watch(cast.world)
        info = roles.conninfo(cast.world.home, cast.world.settings, "front")
        with psycopg.connect(info, autocommit=True) as thief:
            thief.execute("LISTEN gateway_epoch")
            for word in ("", "ticket", "policies", ticket.ticket_id, "'; DROP", "x" * 7_999):
                thief.execute("SELECT pg_notify('gateway_epoch', %s)", [word])
            await cast.tickets._current.renew()
            forged = len([*thief.notifies(timeout=5, stop_after=6)])
            assert await watch.leaves() == []
            assert await cast.value(ticket) == stood
            assert cast.world.sql("SELECT * FROM gateway.epoch") == epochs
            other = await sealed(cast)
            assert (await download(cast, other)).tail is not None
            heard = {one.payload for one in thief.notifies(timeout=5, stop_after=4)}
        assert forged == 6
        assert heard == {"ticket"}
        list_children(cast, ticket)
        keep = "INSERT INTO gateway.export_header (ticket_id, header) VALUES (%s, %s)"
        cast.world.sql(keep, ticket.ticket_id, b"header")
        assert (await release(cast, ticket)).header == b"header"

    with held(cluster) as stands:
        cast = stands.run(Cast.open(stands.world))
        stands.run(uploaded(cast))
        stands.run(work(cast))
