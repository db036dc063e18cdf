"""A refusal as google.rpc.Status, within the sizes that every client's metadata limits let through.

Item results never ride in a status: grpc clients drop trailing metadata over 8 KiB at random
(reference/style.md 0.1). Every status: ErrorInfo, RequestInfo, LocalizedMessage; one more detail
by family, each type at most once (AIP-193). An INTERNAL status says nothing but the request id.
"""

import re
from collections.abc import Callable, Iterable, Mapping

from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from gateway.errors import (
    REASONS,
    ConflictError,
    ExhaustedError,
    InternalError,
    InvalidError,
    NotFoundError,
    PreconditionError,
    Reason,
    Refusal,
    StaleError,
    UnavailableError,
    Violation,
)

STATUS_MAX_BYTES = 5 * 1024
TRAILERS_MAX_BYTES = 7 * 1024
VIOLATIONS_MAX = 50
CHECKPOINT_MAX_BYTES = 1024
CHECKPOINT_KEY = "gateway-checkpoint-bin"
STATUS_KEY = "grpc-status-details-bin"
CHINESE = "zh-CN"
# How long a caller waits where the refusal does not say: long enough for a process to be restarted.
RETRY_AFTER_S = 1.0
# google.rpc.Code by the names that `errors` uses.
NUMBERS: Mapping[str, int] = {
    "CANCELLED": 1,
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "ABORTED": 10,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "UNAUTHENTICATED": 16,
}
_METADATA_KEY = re.compile(r"[a-z][a-zA-Z0-9_-]{1,63}", re.ASCII)
_METADATA_VALUE_MAX = 200
_TEXT_MAX = 300
_PATH_MAX = 120


def status_of(refusal: Refusal, request_id: str, domain: str) -> status_pb2.Status:
    """Return the status of a refusal.

    `domain` is "gateway." and the trust domain. At most STATUS_MAX_BYTES long.
    """
    meaning = REASONS[refusal.reason]
    status = status_pb2.Status(code=NUMBERS[refusal.code], message=meaning.english)
    request_info = error_details_pb2.RequestInfo(request_id=request_id)
    if isinstance(refusal, InternalError):
        status.message = REASONS[Reason.INTERNAL].english
        _add(status, request_info)
        return status
    info = error_details_pb2.ErrorInfo(
        reason=refusal.reason.value, domain=domain, metadata=_metadata(refusal.metadata)
    )
    _add(status, info)
    _add(status, request_info)
    _add(status, error_details_pb2.LocalizedMessage(locale=CHINESE, message=meaning.chinese))
    for family, details in _DETAILS:
        if isinstance(refusal, family):
            for detail in details(refusal, STATUS_MAX_BYTES - status.ByteSize()):
                _add(status, detail)
    return status


def trailers(status: status_pb2.Status | None, checkpoint: str) -> tuple[tuple[str, bytes], ...]:
    """Return the trailing metadata of a reply.

    The newest checkpoint ("" when there is none yet) and a refusal's status.
    """
    note = checkpoint.encode()
    parts = ((CHECKPOINT_KEY, note),) if 0 < len(note) <= CHECKPOINT_MAX_BYTES else ()
    if status is None:
        return parts
    return (*parts, (STATUS_KEY, status.SerializeToString()))


def _add(status: status_pb2.Status, detail: Message) -> None:
    status.details.add().Pack(detail)


def _metadata(given: Mapping[str, str]) -> dict[str, str]:
    return {
        key: value[:_METADATA_VALUE_MAX]
        for key, value in given.items()
        if _METADATA_KEY.fullmatch(key)
    }


def _bad_request(refusal: Refusal, room: int) -> Iterable[Message]:
    """Yield as many violations as have room: 16 bytes are the Any's and the list's own."""
    request = error_details_pb2.BadRequest()
    room -= len("type.googleapis.com/google.rpc.BadRequest") + 16
    for violation in refusal.violations[:VIOLATIONS_MAX]:
        entry = _field_violation(violation)
        room -= entry.ByteSize() + 4
        if room < 0:
            break
        request.field_violations.append(entry)
    if request.field_violations:
        yield request


def _field_violation(violation: Violation) -> Message:
    entry: Message = error_details_pb2.BadRequest.FieldViolation(
        field=violation.field[:_PATH_MAX],
        reason=violation.rule[:_PATH_MAX],
        description=violation.english[:_TEXT_MAX],
        localized_message=error_details_pb2.LocalizedMessage(
            locale=CHINESE, message=violation.chinese[:_TEXT_MAX]
        ),
    )
    return entry


def _precondition(refusal: Refusal, _room: int) -> Iterable[Message]:
    failure = error_details_pb2.PreconditionFailure()
    failure.violations.add(type=refusal.reason.value, description=REASONS[refusal.reason].english)
    yield failure


def _quota(refusal: Refusal, room: int) -> Iterable[Message]:
    failure = error_details_pb2.QuotaFailure()
    failure.violations.add(
        subject=refusal.reason.value, description=REASONS[refusal.reason].english
    )
    yield failure
    yield from _retry(refusal, room)


def _retry(refusal: Refusal, _room: int) -> Iterable[Message]:
    after_s = RETRY_AFTER_S if refusal.retry_after_s is None else max(0.0, refusal.retry_after_s)
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromNanoseconds(round(after_s * 1e9))
    yield info


def _resource(refusal: Refusal, _room: int) -> Iterable[Message]:
    """Yield what kind of thing it is about; never a name, which could be a person's."""
    yield error_details_pb2.ResourceInfo(
        resource_type=refusal.metadata.get("resource", "")[:_PATH_MAX],
        description=REASONS[refusal.reason].english,
    )


_DETAILS: tuple[tuple[type[Refusal], Callable[[Refusal, int], Iterable[Message]]], ...] = (
    (InvalidError, _bad_request),
    (PreconditionError, _precondition),
    (ExhaustedError, _quota),
    (UnavailableError, _retry),
    (NotFoundError, _resource),
    (ConflictError, _resource),
    (StaleError, _resource),
)
