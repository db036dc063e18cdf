"""Which tunnel peer stands for which organisation: 0003_tunnels.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0003"
down_revision = "0002"

FILES = ("0003_tunnels.sql",)


def upgrade() -> None:
    """Add the register of tunnels."""
    run_files(op.get_bind(), FILES)
