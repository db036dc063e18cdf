"""Sealed credentials, officers' codes and what they opened: 0008_break_glass.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0008"
down_revision = "0007"

FILES = ("0008_break_glass.sql",)


def upgrade() -> None:
    """Add the tables."""
    run_files(op.get_bind(), FILES)
