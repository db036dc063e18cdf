"""Files of the log never become shorter: 0021_ground.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0021"
down_revision = "0020"

FILES = ("0021_ground.sql",)


def upgrade() -> None:
    """Set the tables' storage parameter."""
    run_files(op.get_bind(), FILES)
