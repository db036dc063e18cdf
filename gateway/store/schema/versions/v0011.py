"""Which policies are in force, and who signed them: 0011_policies.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0011"
down_revision = "0010"

FILES = ("0011_policies.sql",)


def upgrade() -> None:
    """Add the tables."""
    run_files(op.get_bind(), FILES)
