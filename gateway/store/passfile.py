"""libpq's password file for PostgreSQL's own programs: one role's, for as long as one runs.

It lies beside the file that it is read from, so that nothing secret is in an argument.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from gateway.config.folders import write_private
from gateway.config.home import Home
from gateway.store import roles


@contextlib.contextmanager
def written(home: Home, role: str) -> Iterator[Path]:
    """Give the file (0600), which is gone afterwards; raises OSError."""
    path = home.password_file(role).with_name(f"{role}.pgpass")
    path.unlink(missing_ok=True)  # one whose command was killed
    # The password is of letters, digits, "-" and "_" (roles.new_password): nothing to escape.
    password = home.password_file(role).read_text(encoding="ascii")
    write_private(path, f"*:*:*:{roles.role_name(role)}:{password}\n".encode("ascii"))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
