"""Locks, unused accounts, confirmed sessions and the age of passwords: 0006_duties.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0006"
down_revision = "0005"

FILES = ("0006_duties.sql",)


def upgrade() -> None:
    """Add the columns."""
    run_files(op.get_bind(), FILES)
