"""Sealed credentials, officers' codes and what they opened: 0008_break_glass.sql."""

from pathlib import Path

from alembic import op

from gateway.store.migrate import run_files

revision = "0008"
down_revision = "0007" if Path(__file__).with_name("v0007.py").exists() else "0006"

FILES = ("0008_break_glass.sql",)


def upgrade() -> None:
    """Add the tables."""
    run_files(op.get_bind(), FILES)
