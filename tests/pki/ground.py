"""A HOME with its folders and certificates, and nothing else: what tests without a database stand on."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gateway.clock import SYSTEM
from gateway.config import folders, users
from gateway.config.home import Home
from gateway.pki import ceremony, proof
from tests.pki.forge import DOMAIN


@contextlib.contextmanager
def empty_home() -> Iterator[Home]:
    """Give a HOME with its folders; a short path: a unix socket's has 108 bytes."""
    if users.separate():
        users.make_users()
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        home = Home(Path(folder) / "home")
        folders.make_folders(home)
        yield home


@contextlib.contextmanager
def founded_home() -> Iterator[Home]:
    """Give a HOME whose authorities, server certificate and empty revocation list exist."""
    with empty_home() as home:
        ceremony.found(home, DOMAIN, ["127.0.0.1", DOMAIN], SYSTEM.now_us())
        proof.make(home)
        yield home
