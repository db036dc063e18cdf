"""The demo's table: what was tried, what happened, where it stands on the log."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from gateway import messages
from gateway.messages import Language


@dataclass(frozen=True, slots=True)
class Row:
    """One attempt: what was tried (a message id), what should happen, what happened, and its leaf.

    `leaf` is the index on the log, or None for what happens to a copy of the log outside the
    gateway; `policies` are the ids that it names.
    """

    tried: str
    expected: str
    happened: str
    leaf: int | None
    policies: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether the promise was kept."""
        return self.expected == self.happened


def show(rows: Sequence[Row], language: Language, console: Console) -> None:
    """Print the table."""

    def told(msgid: str) -> str:
        return messages.text(msgid, language)

    table = Table(title=told("demo.table.title"))
    for column in ("tried", "happened", "leaf", "policies", "kept"):
        table.add_column(told(f"demo.table.{column}"), overflow="fold")
    for row in rows:
        good = "✓" if row.kept else f"✗ {row.expected}"
        leaf = "–" if row.leaf is None else str(row.leaf)
        table.add_row(told(row.tried), row.happened, leaf, " ".join(row.policies), good)
    console.print(table)
