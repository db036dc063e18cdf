"""The recorder as the guard needs it: an effect that failed says that its leaf is on the log."""

import traceback

from gateway import log
from gateway.audit.event import Event
from gateway.audit.recorder import Effect, Entry, Recorder
from gateway.errors import InternalError, Reason, Refusal

# Where the recorder does not tell at which index.
SOMEWHERE = -1
_LOG = log.get("door")


class RecordedError(InternalError):
    """An effect raised what is no refusal; the leaf that says INTERNAL is committed."""

    def __init__(self) -> None:
        """Be INTERNAL, and on the log."""
        super().__init__(Reason.INTERNAL)
        self.leaf_index = SOMEWHERE


class DoorRecorder(Recorder):
    """Puts leaves on the log for a door."""

    async def append(self, event: Event, effect: Effect | None = None) -> Entry:
        """Append as `Recorder` does; whatever an effect raises comes back as a refusal."""
        try:
            return await super().append(event, effect)
        except Refusal:
            raise
        except Exception as error:  # noqa: BLE001  an effect may fail in any way
            # A flow lets it through to the guard, which would otherwise write a second leaf.
            tell(error, event.request_id)
            raise RecordedError from None


def tell(error: Exception, request_id: str | None) -> None:
    """Log the kind and the places of an error; never its text, which may quote what came in."""
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    _LOG.error("call.failed", request_id=request_id, error=type(error).__name__, where=where)
