"""The three steps in which a token key follows another, on the files of a HOME.

    publish   the next key's private part for the identity process, then its public part for all
    switch    the next key takes the place of the one that signs
    retire    the public part of the one before goes

Each can be taken again, whole or from wherever it broke off, and ends the same: a token of a key
in use is taken at every moment. Only the supervisor and the host's commands can write these files.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.config.folders import replace_private, replace_public
from gateway.config.home import Home
from gateway.identity import keys


@dataclass(frozen=True, slots=True)
class Files:
    """What the files say, by kid: which key signs, which waits (None: none), which are taken."""

    current: str
    waiting: str | None
    published: frozenset[str]


def read(home: Home) -> Files:
    """Return what the files say; raises KeyFileError."""
    current = keys.read_private(_folder(home) / keys.PRIVATE_FILE)["kid"]
    waiting = _waiting(home)
    kid = None if waiting is None else waiting["kid"]
    published = frozenset(keys.read_public(home.token_keys))
    return Files(current, None if kid == current else kid, published)


def prepare(home: Home) -> str:
    """Return the kid of the key that waits; it is made where none does. Raises KeyFileError."""
    found = read(home)
    if found.waiting is not None:
        return found.waiting
    made = keys.make()
    replace_private(_folder(home) / keys.NEXT_FILE, made.private_jwk.encode(), "identity")
    return made.kid


def publish(home: Home) -> str:
    """Make the waiting key known to everybody and return its kid; raises KeyFileError, OSError."""
    kid = prepare(home)
    published = dict(keys.read_public(home.token_keys))
    waiting = _waiting(home)
    if waiting is not None and kid not in published:
        public = {name: value for name, value in waiting.items() if name != "d"}
        _write_public(home, {**published, kid: public})
    return kid


def switch(home: Home) -> str:
    """Sign with the waiting key from now on; return its kid. Raises KeyFileError, OSError.

    Where none waits it has been done. One that was never published is refused: nobody would take
    its tokens.
    """
    found = read(home)
    if found.waiting is None:
        (_folder(home) / keys.NEXT_FILE).unlink(missing_ok=True)
        return found.current
    if found.waiting not in found.published:
        raise keys.KeyFileError(f"{home.token_keys}: the key that waits is not published")
    content = (_folder(home) / keys.NEXT_FILE).read_bytes()
    replace_private(_folder(home) / keys.PRIVATE_FILE, content, "identity")
    (_folder(home) / keys.NEXT_FILE).unlink()
    return found.waiting


def retire(home: Home, kid: str) -> str:
    """Take tokens of this key no more; return its kid. Raises KeyFileError, OSError.

    One that signs or waits is refused.
    """
    found = read(home)
    if kid in (found.current, found.waiting):
        raise keys.KeyFileError(f"{home.token_keys}: a key in use is not retired")
    published = dict(keys.read_public(home.token_keys))
    if published.pop(kid, None) is not None:
        _write_public(home, published)
    return kid


def _folder(home: Home) -> Path:
    return home.secrets("identity")


def _waiting(home: Home) -> Mapping[str, str] | None:
    path = _folder(home) / keys.NEXT_FILE
    return keys.read_private(path) if path.exists() else None


def _write_public(home: Home, published: Mapping[str, Mapping[str, str]]) -> None:
    listed = {"keys": [dict(key) for key in published.values()]}
    replace_public(home.token_keys, json.dumps(listed, indent=1).encode())
