"""Reasons of break-glass are side parts: 0051_break_glass_reasons.sql."""

from alembic import op

from gateway.store.migrate import run_files

revision = "0051"
down_revision = "0050"

FILES = ("0051_break_glass_reasons.sql",)


def upgrade() -> None:
    """Let identity put parts in, and no reason into a row."""
    run_files(op.get_bind(), FILES)
