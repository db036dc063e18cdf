"""The secrets of the gateway's host and the journal of their changes: 0005_secrets.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0005"
down_revision = "0004"

FILES = ("0005_secrets.sql",)


def upgrade() -> None:
    """Add the tables."""
    run_files(op.get_bind(), FILES)
