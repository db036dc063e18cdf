"""When a backup was last verified, by the log: 0050_backups.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0050"
down_revision = "0041"

FILES = ("0050_backups.sql",)


def upgrade() -> None:
    """Make the function."""
    run_files(op.get_bind(), FILES)
