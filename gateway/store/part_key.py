"""The key that side parts of the log are sealed to; its private half lies with administration.

Whoever writes a part needs the public half alone and opens none. It is made once and nobody follows
it: what is sealed to it is destroyed part by part (`gateway audit shred`), not by its age.
"""

import json
from pathlib import Path

from gateway.config.folders import replace_private, replace_public
from gateway.config.home import Home
from gateway.store.seal_keys import Pair, Recipient, SealError, recipient_of

# Of the form that `seal.Opener` reads.
_PRIVATE_FILE = "seal-part.key"
_PUBLIC_FILE = "part-key.json"


def path(home: Home) -> Path:
    """Return where the private half lies: in the folder that administration's user alone reads."""
    return home.secrets("administration") / _PRIVATE_FILE


def public_path(home: Home) -> Path:
    """Return where the public half is published, JSON."""
    return home.public / _PUBLIC_FILE


def make(home: Home) -> bool:
    """Write the key of a HOME without one and return whether it was; raises OSError, SealError.

    The public half comes last, and again where only that is missing.
    """
    if path(home).exists() and public_path(home).exists():
        return False
    if not path(home).exists():
        replace_private(path(home), Pair.fresh().private, "administration")
    entry = Pair.read(path(home)).entry("part")
    replace_public(public_path(home), json.dumps(entry, indent=2).encode() + b"\n")
    return True


def recipient(home: Home) -> Recipient:
    """Return the public half; raises SealError."""
    try:
        found = recipient_of(json.loads(public_path(home).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SealError(f"{public_path(home)}: not the key of side parts: {error}") from error
    if found.use != "part":
        raise SealError(f"{public_path(home)}: not the key of side parts")
    return found
