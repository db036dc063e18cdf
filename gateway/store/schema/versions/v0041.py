"""Side parts of the log, and leaves found by the tag of a child: 0041_side_parts.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0041"
down_revision = "0033"

FILES = ("0041_side_parts.sql",)


def upgrade() -> None:
    """Add the table, its grants, and the index."""
    run_files(op.get_bind(), FILES)
