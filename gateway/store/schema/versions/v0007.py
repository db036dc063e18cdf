"""A service account's current and next secret: 0007_service_secrets.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0007"
down_revision = "0006"

FILES = ("0007_service_secrets.sql",)


def upgrade() -> None:
    """Add the table."""
    run_files(op.get_bind(), FILES)
