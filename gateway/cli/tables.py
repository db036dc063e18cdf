"""Tables for people; a Chinese character takes two columns."""

import io
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gateway.cli.visible import value

# Wide enough for every list that we print; nothing is cut where output is no terminal.
_COLUMNS = 200


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as text without colours."""
    drawn = Table(*headers, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        drawn.add_row(*(value(str(cell)) for cell in row))
    text = io.StringIO()
    Console(file=text, width=_COLUMNS, color_system=None, markup=False).print(drawn)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).strip("\n")
