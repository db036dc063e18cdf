"""What a restore lost is kept to the record: 0060_lost_batches.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0060"
down_revision = "0051"

FILES = ("0060_lost_batches.sql",)


def upgrade() -> None:
    """Make the table of lost batches."""
    run_files(op.get_bind(), FILES)
