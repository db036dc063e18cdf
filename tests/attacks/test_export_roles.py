"""A database role of another door can neither read a body nor move a ticket: no grant on anything that could, whatever it is.

Asked of the server's own catalogue, for every role and every privilege, so that a grant added later is found, too; the
statements themselves are tried in tests/exports/test_ticket_rows.py and tests/store/test_roles.py.
"""

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from gateway.config.settings import Settings
from gateway.store import roles

MAY = {"gateway_owner", "gateway_disclosure"}
# Whoever may write one of these moves a ticket, or pays for it.
TICKETS = [
    *("ticket", "ticket_approval", "export_header", "export_child", "export_debit"),
    *("export_receipt", "export_count"),
]
# What opens a child's record: the sealed bodies, the keys that they are sealed with, the header with a file's key.
BODIES = [
    *(("item", "body"), ("item", "restricted_body")),
    *(("content_key", "wrapped"), ("export_header", "header")),
]
TABLES = """
SELECT r.rolname, c.relname, p FROM pg_class AS c, pg_roles AS r,
    unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS p
WHERE c.relnamespace = 'gateway'::regnamespace AND c.relname = ANY(%s) AND r.rolname ~ '^gateway_'
    AND (has_table_privilege(r.oid, c.oid, p)
         OR (p = ANY('{SELECT,INSERT,UPDATE,REFERENCES}') AND has_any_column_privilege(r.oid, c.oid, p)))
"""
COLUMN = """
SELECT rolname FROM pg_roles
WHERE rolname ~ '^gateway_' AND has_column_privilege(oid, ('gateway.' || %s)::regclass, %s, 'SELECT')
"""
# With the rights of who made it, whoever calls it.
FUNCTIONS = """
SELECT r.rolname, f.proname FROM pg_proc AS f, pg_roles AS r
WHERE f.pronamespace = 'gateway'::regnamespace AND f.prosecdef AND r.rolname ~ '^gateway_'
    AND has_function_privilege(r.oid, f.oid, 'EXECUTE') AND f.prosrc ~ '(ticket|export|item|content_key)'
"""
MEMBERS = "SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members"
SEQUENCE = """
SELECT rolname FROM pg_roles
WHERE rolname ~ '^gateway_' AND has_sequence_privilege(oid, 'gateway.ticket_number', 'USAGE,UPDATE,SELECT')
"""


@pytest.fixture(scope="module")
def asked(cluster):
    server = make_conninfo(roles.server(cluster.home, Settings()), dbname="gateway_template")
    with psycopg.connect(
        roles.conninfo(cluster.home, Settings(dsn=server), "owner"), autocommit=True
    ) as owner:
        yield lambda sql, *values: owner.execute(sql.encode(), values).fetchall()


def test_every_role_is_asked_about(asked):
    found = {name for (name,) in asked("SELECT rolname FROM pg_roles WHERE rolname ~ '^gateway_'")}
    assert found == {f"gateway_{role}" for role in roles.ROLES}


def test_no_role_of_another_door_moves_a_ticket(asked):
    found = asked(TABLES, TICKETS)
    assert {table for _, table, _ in found} == set(TICKETS)
    assert [one for one in found if one[0] not in MAY] == []
    assert {name for (name,) in asked(SEQUENCE)} == MAY


@pytest.mark.parametrize(("table", "column"), BODIES)
def test_no_role_of_another_door_reads_a_body(asked, table, column):
    assert {name for (name,) in asked(COLUMN, table, column)} == MAY


def test_no_function_lends_another_door_the_rights_to_it(asked):
    found = asked(FUNCTIONS)
    assert {name for name, _ in found} >= MAY
    assert [one for one in found if one[0] not in MAY] == []


def test_no_role_is_another_one_besides(asked):
    assert [one for one in asked(MEMBERS) if "gateway_" in one[0] + one[1]] == []
