"""The side part of a leaf, opened for an auditor: an act with a leaf and a right of its own."""

# ruff: noqa: N802 -- methods have the names of the contract's rpcs

from gateway.audit import parts
from gateway.audit.recorder import Recorder
from gateway.errors import Reason, refuse
from gateway.services.audit_service import LARGEST_INDEX, require_leaf
from gateway.services.call import Call
from gateway.services.current import Current
from gateway.services.permits import Permits
from gateway.store.database import Database
from gateway.store.seal import Opener
from gateway.store.seal_keys import SealError
from gateway.tlog import leaf
from gateway.v1 import audit_service_pb2 as pb

TAMPERED_ALERT = "part-tampered"


class PartService:
    """Serves gateway.v1.AuditService.GetSealedPart."""

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        current: Current,
        permits: Permits,
        opener: Opener,
    ) -> None:
        """Open the parts of this log with these keys."""
        self._database = database
        self._recorder = recorder
        self._current = current
        self._permits = permits
        self._opener = opener

    async def GetSealedPart(
        self, call: Call, request: pb.GetSealedPartRequest
    ) -> pb.GetSealedPartResponse:
        """Show what was typed; raises POLICY_DENIED as GetLeaf, NOT_FOUND, PART_TAMPERED.

        NOT_FOUND also for what was destroyed: a leaf `audit.shred` tells of that.
        """
        index = min(request.index, LARGEST_INDEX)
        found = await self._recorder.log.leaf(index)
        require_leaf(call, found, self._permits, self._current.known)
        named = None if found is None else leaf.parse(found).get("sealed")
        if not isinstance(named, str):
            raise refuse(Reason.NOT_FOUND)
        call.note(detail={"part_index": index, "part_sha256": named})
        digest = bytes.fromhex(named)
        async with self._database.transaction() as tx:
            part = await parts.find(tx, digest)
        if part is None:
            raise refuse(Reason.NOT_FOUND)
        try:
            return pb.GetSealedPartResponse(text=parts.opened(self._opener, digest, part))
        except SealError:
            call.note(detail={"alert": TAMPERED_ALERT})
            raise refuse(Reason.PART_TAMPERED) from None
