"""Lineages, invitations and purposes of certificates: 0002_certificates.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0002"
down_revision = "0001"

FILES = ("0002_certificates.sql",)


def upgrade() -> None:
    """Add them; certificates of the first version become lineages of one."""
    run_files(op.get_bind(), FILES)
