"""What bounds a ticket and what is owed of it: 0014_export_duties.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0014"
down_revision = "0012"

FILES = ("0014_export_duties.sql",)


def upgrade() -> None:
    """Add the columns."""
    run_files(op.get_bind(), FILES)
