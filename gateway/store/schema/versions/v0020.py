"""Witnesses of the log, and what they cosigned: 0020_witnesses.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0020"
down_revision = "0014"

FILES = ("0020_witnesses.sql",)


def upgrade() -> None:
    """Add the tables."""
    run_files(op.get_bind(), FILES)
