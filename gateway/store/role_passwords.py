"""A database role's password follows another, without an outage and with a way in at every moment.

Each role changes its own, over a connection made with the one it has: PostgreSQL lets every role do
that (ALTER ROLE), so no superuser is needed and another's server does as well as ours.

    1 the next password is written beside the file of the present one
    2 the server is told its SCRAM verifier
    3 the next takes the present one's place, once it was seen to open

What broke off between is found out by trying (`settle`). Sessions that stand are not touched, and
pools read the file anew (`database.Way`).
"""

import contextlib
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from gateway.config.folders import replace_private
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.store import roles
from gateway.store.database import CONNECT_TIMEOUT_S
from gateway.store.errors import StoreAwayError

SUPERUSER = "superuser"


class RolePasswordError(Exception):
    """The server changes no password; the text says why, without values."""


def change(home: Home, settings: Settings, role: str) -> None:
    """Change a role's password, or finish the change that broke off; file and server then agree.

    Raises RolePasswordError where the server refuses, which leaves all as it was; StoreAwayError
    where it went away meanwhile, OSError for the files: `settle` tells then how far it came.
    """
    if settle(home, settings, role):
        return
    waiting = roles.next_file(home, role)
    if not waiting.exists():
        _write(waiting, role, roles.new_password())
    try:
        with _connect(home, settings, role, _read(home, role)) as connection:
            roles.set_password(connection, role, _waiting(home, role))
    except psycopg.OperationalError:
        raise StoreAwayError(f"the server went away while {role} changed its password") from None
    except psycopg.Error as error:
        waiting.unlink()
        raise RolePasswordError(
            f"{roles.role_name(role)} may not change its own password: {error.sqlstate}"
        ) from None
    if not settle(home, settings, role):
        raise RolePasswordError(f"the server took {role}'s password and does not open by it")


def settle(home: Home, settings: Settings, role: str) -> bool:
    """Finish a change that broke off once the server knows the next password.

    Returns whether one was finished; False too where the server knows only the present one. Raises
    StoreAwayError where neither opens, RolePasswordError where the server asks for none.
    """
    waiting = roles.next_file(home, role)
    if not waiting.exists():
        return False
    password = _waiting(home, role)
    if _opens(home, settings, role, password):
        # Not renamed: what an operator put there would stay his, and its process could not read it.
        _write(home.password_file(role), role, password)
        waiting.unlink()
        return True
    if not _opens(home, settings, role, _read(home, role)):
        raise StoreAwayError(f"neither password of {role} opens")
    return False


def settle_all(home: Home, settings: Settings) -> list[str]:
    """Finish every change that broke off; return of which roles.

    Raises StoreAwayError, OSError.
    """
    finished = []
    for role in changeable(home):
        # Who asks for no password lets in by either: nothing is in the way, and `change` tells.
        with contextlib.suppress(RolePasswordError):
            finished += [role] if settle(home, settings, role) else []
    return finished


def changeable(home: Home) -> list[str]:
    """Return the roles whose password lies here: the superuser's where the database is ours."""
    return [role for role in (*roles.ROLES, SUPERUSER) if home.password_file(role).exists()]


def _read(home: Home, role: str) -> str:
    return home.password_file(role).read_text(encoding="ascii")


def _waiting(home: Home, role: str) -> str:
    return roles.next_file(home, role).read_text(encoding="ascii").strip()


def _write(path: Path, role: str, password: str) -> None:
    replace_private(path, password.encode("ascii"), roles.ROLES.get(role))


def _opens(home: Home, settings: Settings, role: str, password: str) -> bool:
    try:
        with _connect(home, settings, role, password) as connection:
            proven = connection.pgconn.used_password
    except psycopg.OperationalError:
        return False
    if not proven:
        raise RolePasswordError(f"the server lets {roles.role_name(role)} in without a password")
    return True


def _connect(home: Home, settings: Settings, role: str, password: str) -> psycopg.Connection:
    conninfo = make_conninfo(
        roles.server(home, settings),
        user=roles.role_name(role),
        password=password,
        connect_timeout=CONNECT_TIMEOUT_S,
    )
    return psycopg.connect(conninfo, autocommit=True, application_name="gateway-rotation")
