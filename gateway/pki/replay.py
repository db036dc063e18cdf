"""Brings a restored database up to what was taken out of force since.

A database from a backup does not know what was revoked after it was made (step-ca's issue 606: a
restore "un-revoked" certificates). The file that `ended` keeps does, and the list in HOME/public;
each has the epoch of its day: where the database's is smaller, the supervisor starts nothing until
this ran.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509

from gateway.clock import from_datetime
from gateway.config.home import Home
from gateway.names import SubjectKind
from gateway.pki import crl, ended, publish, revoke
from gateway.pki.register import Bearer
from gateway.pki.revoke import Target
from gateway.pki.verify import serial_text
from gateway.store.database import Transaction
from gateway.tlog import leaf

_LEAVES = (
    "SELECT leaf, time_us FROM gateway.audit_entry"
    " WHERE kind = %s AND decision = 'allow' ORDER BY idx"
)
_KNOWN = "SELECT 1 FROM gateway.certificate WHERE serial = %s"
_RAISE = "SELECT max(gateway.revocation_epoch_next()) FROM generate_series(1, %s)"
_WORDS = {flag: word for word, flag in crl.REASONS.items()}


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many certificates were revoked once more, and how many listed ones nobody knows.

    An unknown one is let in by no one: it is not in the register. `epoch` is what it is now.
    """

    certificates: int
    unknown: int
    epoch: int


async def replay(home: Home, tx: Transaction, oldest: bytes) -> Replayed:
    """Take out of force again what was, and raise the epoch above what was seen outside.

    Told by the file beside the database, by the list, and by the log as far as it was restored.

    `oldest` as for `Target.of_authority`. Running it again changes nothing but the epoch.
    """
    state = publish.published(home)
    kept = ended.load(home)
    certificates, unknown = await ended.apply(tx, kept), 0
    for entry in (entry for one in state.ours for entry in one):
        serial = serial_text(entry.serial_number)
        at_us = from_datetime(entry.revocation_date_utc)
        certificates += await revoke.take(tx, Target.of_serial(serial), _reason(entry), at_us)
        unknown += await tx.fetch_one(_KNOWN, (serial,)) is None
    for content, time_us in await tx.fetch(_LEAVES, (revoke.KIND,)):
        target, reason = _told(leaf.parse(bytes(content)).get("detail"), oldest)
        if target is not None:
            # A serial is nobody else's; a bearer may have enrolled anew since.
            until_us = None if target.covers == "serial" else time_us
            certificates += await revoke.take(tx, target, reason, time_us, until_us=until_us)
    missing = max(state.number, kept.epoch) + 1 - await publish.epoch(tx)
    if missing > 0:
        await tx.fetch(_RAISE, (missing,))
    return Replayed(certificates, unknown, await publish.epoch(tx))


def _reason(entry: x509.RevokedCertificate) -> str:
    try:
        found = entry.extensions.get_extension_for_class(x509.CRLReason)
    except x509.ExtensionNotFound:
        return "unspecified"
    return _WORDS.get(found.value.reason, "unspecified")


def _told(detail: object, oldest: bytes) -> tuple[Target | None, str]:
    """Return what a leaf of a revocation says was revoked, and why."""
    if not isinstance(detail, Mapping):
        return None, ""
    words = {name: str(value) for name, value in detail.items()}
    reason = words.get("cause", "unspecified")
    organisation = words.get("target_organisation", "")
    if "target_serial" in words:
        return Target.of_serial(words["target_serial"]), reason
    if "issuer_sha256" in words:
        return Target.of_authority(bytes.fromhex(words["issuer_sha256"]), oldest), reason
    if "target_subject_name" in words:
        officer = words.get("target_subject_kind") == "officer"
        kind: SubjectKind = "officer" if officer else "sys"
        return Target.of_bearer(Bearer(organisation, kind, words["target_subject_name"])), reason
    return (Target.of_organisation(organisation) if organisation else None), reason
