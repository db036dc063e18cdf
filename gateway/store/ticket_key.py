"""The key by which the disclosure door knows its own tickets again (decision 0019): 32 bytes.

Nobody follows it: with another key every ticket that is under way would be no more what the log
says of it. Those could be stopped, and nothing else.
"""

import secrets
from pathlib import Path

from gateway.config.folders import replace_private
from gateway.config.home import Home
from gateway.store.export_keys import ExportKeyError

TICKETS_FILE = "export-tickets.key"
TICKETS_BYTES = 32


def path(home: Home) -> Path:
    """Return where it lies: in the folder that disclosure's user alone can read."""
    return home.secrets("disclosure") / TICKETS_FILE


def make(home: Home) -> bool:
    """Write the key of a HOME without one, and return whether it was done; raises OSError."""
    if path(home).exists():
        return False
    replace_private(path(home), secrets.token_bytes(TICKETS_BYTES), "disclosure")
    return True


def load(home: Home) -> bytes:
    """Return the key; raises ExportKeyError."""
    try:
        found = path(home).read_bytes()
    except OSError as error:
        raise ExportKeyError(f"{path(home)}: cannot be read: {error.strerror}") from error
    if len(found) != TICKETS_BYTES:
        raise ExportKeyError(f"{path(home)}: not a key of tickets")
    return found
