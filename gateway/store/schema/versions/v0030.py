"""Invitations are proven by a key outside of the database: 0030_invitation_proofs.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0030"
down_revision = "0021"

FILES = ("0030_invitation_proofs.sql",)


def upgrade() -> None:
    """Add the proofs; what was open before is void."""
    run_files(op.get_bind(), FILES)
