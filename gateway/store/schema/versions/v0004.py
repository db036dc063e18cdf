"""When tunnel keys were first used, and which nobody uses: 0004_tunnel_keys.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0004"
down_revision = "0003"

FILES = ("0004_tunnel_keys.sql",)


def upgrade() -> None:
    """Add the times."""
    run_files(op.get_bind(), FILES)
