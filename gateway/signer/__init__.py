"""The signer: alone it holds the log's keys, and it signs only what continues what it signed.

It is the first witness. Its own state (frontier and last checkpoint) lies where no door can write,
is on disk before a checkpoint leaves, and is never rolled back: a log that was rewritten or
shortened, also by restoring an old database, gets no signature.

    keys      which keys sign, and how a new one is vouched for by the one before
    memory    the log as it grew, on disk before it is signed
    serving   the socket, and the process
"""

from gateway.signer.keys import KeysError
from gateway.signer.memory import STATE_FILE, Memory, StateError, create, resume, stored_checkpoint
from gateway.signer.serving import Signer, main

__all__ = [
    "STATE_FILE",
    "KeysError",
    "Memory",
    "Signer",
    "StateError",
    "create",
    "main",
    "resume",
    "stored_checkpoint",
]
