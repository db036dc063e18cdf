"""The two steps in which the log's signing key follows another, on the files of a HOME.

    add       a new private key for the signer, above the one that signs; what the signer makes of
              it is published (`publish`): the note that both keys signed, then the new public key
    retire    the private key before goes

Each can be taken again, whole or from wherever it broke off, and ends the same. The signer looks at
its keys before every signature (`gateway.signer.keys`): nothing is restarted.
"""

import hashlib
import os
import secrets

from gateway.config import log_keys
from gateway.config.folders import replace_private, replace_public
from gateway.config.home import Home
from gateway.tlog import note
from gateway.tlog.keys import LogKeys, Succession, read_succession
from gateway.tlog.note import Verifier


class SignerKeyError(ValueError):
    """The signer's keys are not as they must be for a step; the text never quotes one."""


def key_id(verifier: Verifier) -> str:
    """Return the public name of a key: SHA-256 of its line in HOME/public/log.vkey, hex."""
    return hashlib.sha256(f"{verifier}\n".encode()).hexdigest()


def verifiers(home: Home) -> list[Verifier]:
    """Return the public halves of the keys in the file, the newest first; as `_signers`."""
    return [one.verifier for one in _signers(home)]


def add(home: Home) -> None:
    """Put a new key above the one that signs; where there are two, it was done.

    Raises SignerKeyError, OSError.
    """
    found = _signers(home)
    if len(found) == 1:
        new = note.Signer(found[0].verifier.name, secrets.token_bytes(note.KEY_LENGTH))
        _write(home, new, *found)


def publish(home: Home) -> tuple[Succession, bytes]:
    """Publish the newest key and the note that vouches for it; return both. Done twice, it is once.

    Raises SignerKeyError where the signer has not vouched for it, or the note is not of this log.
    """
    try:
        raw = home.succession.read_text(encoding="utf-8")
        found = read_succession(raw, note.parse_vkey(_published(home)).name)
        before = LogKeys.of(found.old, log_keys.read(home.log_keys))
        known = before.knows(found)
        before.followed([raw])
    except (note.NoteError, FileNotFoundError, UnicodeDecodeError) as error:
        raise SignerKeyError("the signer has not vouched for its new key") from error
    if found.new != verifiers(home)[0]:
        raise SignerKeyError("the signer vouched for another key than its newest")
    if not known:
        home.log_keys.mkdir(mode=0o755, exist_ok=True)
        replace_public(log_keys.following(home.log_keys), raw.encode())
    if _published(home) != str(found.new):
        replace_public(home.log_key, f"{found.new}\n".encode())
    return found, raw.encode()


def retire(home: Home) -> None:
    """Take the older of two keys away and overwrite it; where there is one, it was done.

    Raises SignerKeyError, OSError.
    """
    newest, *before = _signers(home)
    if not before:
        return
    descriptor = os.open(home.signing_keys, os.O_WRONLY)
    try:
        _write(home, newest)
        # The file is out of every path now. Copies elsewhere, in backups, are not reached.
        os.pwrite(descriptor, bytes(os.fstat(descriptor).st_size), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _published(home: Home) -> str:
    return home.log_key.read_text(encoding="utf-8").strip()


def _signers(home: Home) -> list[note.Signer]:
    """Return the keys in the file, the newest first; raises SignerKeyError, OSError."""
    try:
        lines = home.signing_keys.read_text(encoding="utf-8").split()
        found = [note.parse_skey(each) for each in lines]
    except (note.NoteError, UnicodeDecodeError) as error:
        raise SignerKeyError(f"{home.signing_keys}: not a list of signing keys") from error
    if not found:
        raise SignerKeyError(f"{home.signing_keys}: no key")
    return found


def _write(home: Home, *signers: note.Signer) -> None:
    lines = "".join(f"{one.secret_line()}\n" for one in signers)
    replace_private(home.signing_keys, lines.encode(), "signer")
