"""Every refusal there is: a family per status code, a reason per cause, and what to do next.

    Refusal                      base, never raised itself
    ├── UnauthenticatedError     UNAUTHENTICATED        who are you
    ├── DeniedError              PERMISSION_DENIED      you may not
    ├── InvalidError             INVALID_ARGUMENT       the message is wrong; carries violations
    ├── NotFoundError            NOT_FOUND              only after permission for the parent
    ├── ConflictError            ALREADY_EXISTS / ABORTED
    ├── PreconditionError        FAILED_PRECONDITION    not in this state
    ├── ExhaustedError           RESOURCE_EXHAUSTED     too much; retry later
    ├── UnavailableError         UNAVAILABLE            unknown outcome; ask again with the same id
    ├── TooLateError             DEADLINE_EXCEEDED
    └── InternalError            INTERNAL               ours; quote the request id

The reason is the same word for the caller, the audit leaf and the test. docs/errors.md is generated
from REASONS.
"""

from gateway.errors.families import (
    CancelledError,
    ConflictError,
    DeniedError,
    ExhaustedError,
    InternalError,
    InvalidError,
    NotFoundError,
    PreconditionError,
    Refusal,
    StaleError,
    TooLateError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
    Violation,
)
from gateway.errors.reasons import REASONS, Meaning, Reason, refuse

__all__ = [
    "REASONS",
    "CancelledError",
    "ConflictError",
    "DeniedError",
    "ExhaustedError",
    "InternalError",
    "InvalidError",
    "Meaning",
    "NotFoundError",
    "PreconditionError",
    "Reason",
    "Refusal",
    "StaleError",
    "TooLateError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "Violation",
    "refuse",
]
