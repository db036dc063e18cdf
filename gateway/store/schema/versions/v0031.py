"""What proves a ticket is read out of the leaf's own bytes: 0031_ticket_proofs.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0031"
down_revision = "0030"

FILES = ("0031_ticket_proofs.sql",)


def upgrade() -> None:
    """Replace the functions and their index; add the digest of the children."""
    run_files(op.get_bind(), FILES)
