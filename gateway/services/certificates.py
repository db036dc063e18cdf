"""Certificates and invitations as messages of the contract; the values are `pki`'s."""

from collections.abc import Mapping
from types import MappingProxyType

from cryptography.hazmat.primitives.serialization import Encoding

from gateway.clock import from_datetime
from gateway.errors import Reason
from gateway.names import SUBJECT_NAME, SubjectKind
from gateway.pki import register
from gateway.pki.defect import Life
from gateway.pki.invitation import Invitation
from gateway.pki.register import Bearer, Issued, Purpose, Row
from gateway.services.requests import invalid
from gateway.services.times import timestamp
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import certificate_pb2 as pb

_STATES: Mapping[Reason | None, pb.CertificateState.ValueType] = MappingProxyType(
    {
        None: pb.CERTIFICATE_STATE_ACTIVE,
        Reason.LINEAGE_LOCKED: pb.CERTIFICATE_STATE_LOCKED,
        Reason.CERT_REVOKED: pb.CERTIFICATE_STATE_REVOKED,
        Reason.CERT_SUPERSEDED: pb.CERTIFICATE_STATE_SUPERSEDED,
        Reason.CERT_EXPIRED: pb.CERTIFICATE_STATE_EXPIRED,
        Reason.CERT_NOT_YET_VALID: pb.CERTIFICATE_STATE_NOT_YET_VALID,
    }
)
# What a leaf says of a purpose.
PURPOSE_WORDS: Mapping[Purpose, str] = MappingProxyType(
    {register.TLS: "tls", register.ENCRYPTION: "encryption"}
)


def state(life: Life, defect: Reason | None) -> pb.CertificateState.ValueType:
    """Return where a certificate with this defect, or none, stands in its life."""
    if defect is None and life.first_used_us is None:
        return pb.CERTIFICATE_STATE_ISSUED
    return _STATES[defect]


def window(bounds: tuple[int, int]) -> pb.RenewalWindow:
    """Return the message of a window, given in microseconds."""
    return pb.RenewalWindow(start_time=timestamp(bounds[0]), end_time=timestamp(bounds[1]))


def issued(value: Issued, bounds: tuple[int, int]) -> pb.IssuedCertificate:
    """Return the message of a certificate with its renewal window."""
    return pb.IssuedCertificate(
        certificate=value.certificate.public_bytes(Encoding.DER),
        serial=value.serial,
        expire_time=timestamp(from_datetime(value.certificate.not_valid_after_utc)),
        renewal_window=window(bounds),
        generation=value.generation,
    )


def registered(row: Row, now_us: int, warning_days: int) -> admin.RegisteredCertificate:
    """Return the message of a row of the register."""
    message = admin.RegisteredCertificate(
        serial=row.serial,
        organisation_code=row.organisation,
        system_name=row.subject_name,
        officer=row.subject_kind == "officer",
        purpose=pb.CertificatePurpose.ValueType(row.purpose),
        state=state(row.life, row.life.defect(now_us)),
        issue_time=timestamp(row.not_before_us),
        expire_time=timestamp(row.not_after_us),
        generation=row.generation,
        certificate_sha256=row.certificate_sha256.hex(),
        warning_days=warning_days,
    )
    if row.first_used_us is not None:
        message.first_use_time.CopyFrom(timestamp(row.first_used_us))
    if row.revoked_us is not None:
        message.end_time.CopyFrom(timestamp(row.revoked_us))
    return message


def invited(value: Invitation, now_us: int) -> admin.Invitation:
    """Return the message of an invitation."""
    return admin.Invitation(
        invitation_id=value.id,
        organisation_code=value.bearer.organisation,
        system_name=value.bearer.name,
        officer=value.bearer.kind == "officer",
        purpose=pb.CertificatePurpose.ValueType(value.purpose),
        state=admin.Invitation.State.ValueType(int(value.standing(now_us))),
        expire_time=timestamp(value.expires_us),
        spki_sha256="" if value.spki_sha256 is None else value.spki_sha256.hex(),
        serial=value.serial or "",
        inviter_account_name=value.inviter.account,
    )


def bearer(organisation: str, name: str, *, officer: bool) -> Bearer:
    """Return the bearer that a request names; raises FIELD_INVALID."""
    if SUBJECT_NAME.fullmatch(name) is None:
        english, chinese = "1 to 40 of a-z, 0-9 and dash.", "1 至 40 个小写字母、数字或连字符。"
        raise invalid("system_name", "SYSTEM-NAME", english, chinese)
    kind: SubjectKind = "officer" if officer else "sys"
    return Bearer(organisation, kind, name)


def purpose(given: pb.CertificatePurpose.ValueType) -> Purpose:
    """Return the purpose that a request names; raises FIELD_INVALID."""
    if given == pb.CERTIFICATE_PURPOSE_TLS:
        return register.TLS
    if given == pb.CERTIFICATE_PURPOSE_ENCRYPTION:
        return register.ENCRYPTION
    raise invalid("purpose", "PURPOSE", "To connect, or to encrypt to.", "须为连接或加密用途。")


def target(holder: Bearer) -> dict[str, str]:
    """Return the leaf's words for a bearer."""
    return {
        "target_organisation": holder.organisation,
        "target_subject_kind": holder.kind,
        "target_subject_name": holder.name,
    }
