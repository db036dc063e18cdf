"""The source tree as the house tests read it."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
GATEWAY = ROOT / "gateway"


def modules() -> list[Path]:
    """Every file of the gateway that people write."""
    return sorted(path for path in GATEWAY.rglob("*.py") if GATEWAY / "v1" not in path.parents)


@functools.cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name(path: Path) -> str:
    """gateway/store/database.py -> gateway.store.database; a package has its folder's name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> Iterator[str]:
    """The dotted names that a file imports anywhere in it, also inside functions."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms() -> set[str]:
    """The names directly under gateway/ that hold code."""
    return {
        name(path).split(".")[1]
        for path in [*modules(), GATEWAY / "v1" / "__init__.py"]
        if path.parent != GATEWAY or path.stem != "__init__"
    }
