"""The first schema: the SQL files 0001_*.sql in their order."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0001"
down_revision = None

FILES = ("0001_base.sql", "0001_audit.sql", "0001_uploads.sql", "0001_grants.sql")


def upgrade() -> None:
    """Make all tables, functions and grants."""
    run_files(op.get_bind(), FILES)
