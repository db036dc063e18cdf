"""A failed call as a Refusal: the reason in its google.rpc.Status, or what the transport says.

A status without our ErrorInfo did not come from a door: then the code decides, and where the
server's TLS closed the connection, its alert.
"""

from collections.abc import Mapping

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from gateway.errors import Reason, Refusal, Violation, refuse

CHECKPOINT_KEY = "gateway-checkpoint-bin"
_STATUS_KEY = "grpc-status-details-bin"
_DOMAIN_PREFIX = "gateway."
_NANOS_PER_S = 1e9

# What happened to the call is unknown: ask again with the same id (contract.md, Refusals).
UNKNOWN_OUTCOME = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "INTERNAL"})

_BY_CODE: Mapping[grpc.StatusCode, Reason] = {
    grpc.StatusCode.CANCELLED: Reason.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED: Reason.DEADLINE_TOO_SHORT,
    grpc.StatusCode.UNIMPLEMENTED: Reason.METHOD_UNKNOWN,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Reason.MESSAGE_TOO_LARGE,
    grpc.StatusCode.UNAVAILABLE: Reason.FRONT_AWAY,
    grpc.StatusCode.UNAUTHENTICATED: Reason.TLS_FAILED,
    grpc.StatusCode.PERMISSION_DENIED: Reason.POLICY_DENIED,
}
# TLS alerts as BoringSSL writes them into the text of UNAVAILABLE.
_BY_ALERT: Mapping[str, Reason] = {
    "ALERT_CERTIFICATE_EXPIRED": Reason.CERT_EXPIRED,
    "ALERT_CERTIFICATE_REVOKED": Reason.CERT_REVOKED,
    "ALERT_UNKNOWN_CA": Reason.CERT_UNTRUSTED,
    "ALERT_BAD_CERTIFICATE": Reason.CERT_PROFILE,
    "ALERT_CERTIFICATE_REQUIRED": Reason.CERT_MISSING,
    "ALERT_PROTOCOL_VERSION": Reason.TLS_VERSION,
    "CERTIFICATE_VERIFY_FAILED": Reason.TLS_FAILED,
}


def refusal_of(
    code: grpc.StatusCode, details: str | None, trailers: Mapping[str, str | bytes]
) -> Refusal:
    """Return why a call failed, from its code, its text and its trailing metadata."""
    status = _status(trailers.get(_STATUS_KEY))
    if status is not None:
        refusal = _ours(status)
        if refusal is not None:
            return refusal
    if code is grpc.StatusCode.UNAVAILABLE:
        for alert, reason in _BY_ALERT.items():
            if alert in (details or ""):
                return refuse(reason)
    return refuse(_BY_CODE.get(code, Reason.INTERNAL))


def outcome_unknown(refusal: Refusal) -> bool:
    """Return whether the call may have taken effect, so that it must be asked again with its id."""
    return refusal.code in UNKNOWN_OUTCOME


def _status(raw: str | bytes | None) -> status_pb2.Status | None:
    if not isinstance(raw, bytes):
        return None
    try:
        return status_pb2.Status.FromString(raw)
    except DecodeError:
        return None


def _ours(status: status_pb2.Status) -> Refusal | None:
    """Return the refusal of our ErrorInfo; None without one, or when its reason is not known."""
    info = error_details_pb2.ErrorInfo()
    request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        for message in (info, request, retry):
            if detail.Is(message.DESCRIPTOR) and not detail.Unpack(message):
                return None
    if not info.domain.startswith(_DOMAIN_PREFIX) or info.reason not in Reason.__members__:
        return None
    delay = retry.retry_delay
    return refuse(
        Reason(info.reason),
        metadata=dict(info.metadata),
        violations=tuple(_violation(field) for field in request.field_violations),
        retry_after_s=(delay.seconds + delay.nanos / _NANOS_PER_S) or None,
    )


def _violation(field: error_details_pb2.BadRequest.FieldViolation) -> Violation:
    chinese = field.localized_message.message
    return Violation(field.field, field.reason, field.description, chinese or field.description)
