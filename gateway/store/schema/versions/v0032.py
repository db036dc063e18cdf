"""What the log proves of policies in force: 0032_policy_evidence.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0032"
down_revision = "0031"

FILES = ("0032_policy_evidence.sql",)


def upgrade() -> None:
    """Make the functions that find their leaves, and say who tells of them."""
    run_files(op.get_bind(), FILES)
