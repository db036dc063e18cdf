"""What revokes an officer's certificate on the log: 0033_policy_revocations.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0033"
down_revision = "0032"

FILES = ("0033_policy_revocations.sql",)


def upgrade() -> None:
    """Find revocations among others too, and say who tells of them."""
    run_files(op.get_bind(), FILES)
