"""By what a ticket's row is proven, and who tells of exports: 0012_export_proofs.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0012"
down_revision = "0011"

FILES = ("0012_export_proofs.sql",)


def upgrade() -> None:
    """Add functions and the trigger."""
    run_files(op.get_bind(), FILES)
