"""Which of PostgreSQL's programs are run on another's server: the wheel's, or those that fit it.

The wheel's read every older server and know no TLS; a server's files are started by programs of its
own major version alone.
"""

import re
from pathlib import Path

from gateway.config import users
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.config.users import SystemUser
from gateway.store.tools import ToolError, Tools

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


def talking(home: Home, settings: Settings) -> Tools:
    """Return the programs that speak to the database's server, run as who calls this.

    Raises ToolError where they are not there.
    """
    user = users.current()
    if not settings.dsn or not settings.programs:
        return Tools(home, user)
    return of_folder(home, user, Path(settings.programs))


def of_folder(home: Home, user: SystemUser, folder: Path) -> Tools:
    """Return the programs of a folder, to be run as this user; raises ToolError."""
    try:
        closed = users.unreachable(folder, user)
    except OSError as error:
        raise ToolError(f"{folder}: {error.strerror}") from error
    if closed is not None:
        raise ToolError(f"{closed}: user {user.name} cannot enter it")
    return Tools(home, user, folder)


def major(tools: Tools) -> int:
    """Return the major version of the server among these programs; raises ToolError."""
    try:
        said = tools.run("postgres", "--version")
    except OSError as error:
        raise ToolError(f"{tools.folder / 'postgres'}: {error.strerror}") from error
    found = _VERSION.search(said)
    if found is None:
        raise ToolError(f"{tools.folder / 'postgres'} does not say its version")
    return int(found[1])
