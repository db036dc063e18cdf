"""Tickets, approvals, headers, debits, receipts; bodies for disclosure: 0010_exports.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0010"
down_revision = "0008"

FILES = ("0010_exports.sql",)


def upgrade() -> None:
    """Add the tables."""
    run_files(op.get_bind(), FILES)
