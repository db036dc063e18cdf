"""Says of a restored log that it was put back: the note that clients and witnesses follow it by.

The log's own key signs it, which lies in the backup; two officers did already (`tlog.restored`).
"""

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.backups.approval import Approval
from gateway.backups.errors import BackupError
from gateway.backups.untar import DAMAGED
from gateway.config import log_keys
from gateway.config.folders import replace_public
from gateway.config.home import Home
from gateway.tlog import restored
from gateway.tlog.note import NoteError, parse_skey
from gateway.tlog.restored import Restored


def state(
    staged: Home,
    kept: tuple[int, bytes],
    manifest_sha256: str,
    approvals: tuple[Approval, ...],
    now_us: int,
) -> str:
    """Write the statement of a log of this size and root among HOME's; return its digest, hex.

    Raises BackupError where the keys in the backup are none, OSError.
    """
    size, root = kept
    try:
        signers = [parse_skey(each) for each in staged.signing_keys.read_text("utf-8").split()]
        authorities = tuple(each.public_bytes(Encoding.DER) for each in _authorities(staged))
    except (NoteError, ValueError) as error:
        raise BackupError(DAMAGED, "the log's key or the issuing authority is malformed") from error
    origin = signers[0].verifier.name
    made = Restored(origin, size, root, now_us, manifest_sha256, approvals, authorities)
    raw = made.signed(*signers)
    staged.restores.mkdir(mode=0o755, exist_ok=True)
    replace_public(log_keys.following(staged.restores), raw.encode())
    return restored.digest(raw)


def _authorities(staged: Home) -> list[x509.Certificate]:
    """Return who issues officers' certificates, and who did."""
    found = x509.load_pem_x509_certificates(staged.client_authority_certificate.read_bytes())
    former = staged.former_authorities
    return found + (x509.load_pem_x509_certificates(former.read_bytes()) if former.exists() else [])
