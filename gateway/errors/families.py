"""The families of refusals: one class per status code; what each carries."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # reasons stand on the families
    from gateway.errors.reasons import Reason


@dataclass(frozen=True, slots=True)
class Violation:
    """One wrong field: its path, the rule it breaks, and the texts; never a value."""

    field: str
    rule: str
    english: str
    chinese: str


class Refusal(Exception):  # noqa: N818  the field's word; families end in Error
    """Why a call is refused. `metadata` holds no personal data; keys match [a-z][a-zA-Z0-9-_]+."""

    code = "UNKNOWN"

    def __init__(
        self,
        reason: "Reason",
        *,
        metadata: Mapping[str, str] | None = None,
        violations: tuple[Violation, ...] = (),
        retry_after_s: float | None = None,
    ) -> None:
        """Make a refusal; the family must be the reason's own (see `refuse`)."""
        super().__init__(reason.value)
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.violations = violations
        self.retry_after_s = retry_after_s
        # Index of the leaf that holds this refusal, once there is one: nobody writes a second.
        self.leaf_index: int | None = None
        # What that leaf tells where more was found since the call's event was given (an Event).
        self.event: object = None


class UnauthenticatedError(Refusal):
    """Who is calling could not be established."""

    code = "UNAUTHENTICATED"


class DeniedError(Refusal):
    """The caller is known and may not."""

    code = "PERMISSION_DENIED"


class InvalidError(Refusal):
    """The message breaks a rule of the contract."""

    code = "INVALID_ARGUMENT"


class NotFoundError(Refusal):
    """There is no such thing within what the caller may see."""

    code = "NOT_FOUND"


class ConflictError(Refusal):
    """It exists already, with other content."""

    code = "ALREADY_EXISTS"


class StaleError(Refusal):
    """It changed meanwhile: read again, then retry."""

    code = "ABORTED"


class PreconditionError(Refusal):
    """Not possible in the present state."""

    code = "FAILED_PRECONDITION"


class ExhaustedError(Refusal):
    """A limit is reached."""

    code = "RESOURCE_EXHAUSTED"


class UnavailableError(Refusal):
    """Not now; what happened to the call is unknown, ask again with the same id."""

    code = "UNAVAILABLE"
    # Whether its leaf is known to be on the log all the same, not signed yet: none is told twice.
    committed = False


class TooLateError(Refusal):
    """Too little time was left."""

    code = "DEADLINE_EXCEEDED"


class CancelledError(Refusal):
    """The caller went away before the answer."""

    code = "CANCELLED"


class UnimplementedError(Refusal):
    """There is no such method at this door."""

    code = "UNIMPLEMENTED"


class InternalError(Refusal):
    """Our fault; the details are in our log under the request id."""

    code = "INTERNAL"
