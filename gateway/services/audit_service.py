"""The log as the administration door shows it: leaves to auditors, heads and proofs to all."""

# ruff: noqa: N802 -- methods have the names of the contract's rpcs

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from gateway.audit.recorder import Recorder
from gateway.audit.search import Filters, Found, search
from gateway.audit.subjects import Subject, unknown
from gateway.config import log_keys
from gateway.config.home import Home
from gateway.errors import Reason, refuse
from gateway.records.ids import CHILD_CODE
from gateway.registry.snapshot import Registry
from gateway.services import pages
from gateway.services.call import Call
from gateway.services.current import Current
from gateway.services.pages import Pages
from gateway.services.permits import Permits, audit_log
from gateway.services.requests import invalid
from gateway.services.times import microseconds
from gateway.store import tag_keys
from gateway.store.database import Database
from gateway.tlog import leaf
from gateway.v1 import audit_service_pb2 as pb

# An index is a bigint of the store.
LARGEST_INDEX = 2**63 - 1


class AuditService:
    """Serves gateway.v1.AuditService."""

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        current: Current,
        permits: Permits,
        pages: Pages,
        home: Home,
    ) -> None:
        """Read the log that this recorder writes to; of HOME its keys' notes, and those of tags."""
        self._database = database
        self._recorder = recorder
        self._current = current
        self._permits = permits
        self._pages = pages
        self._home = home

    async def SearchLeaves(
        self, call: Call, request: pb.SearchLeavesRequest
    ) -> pb.SearchLeavesResponse:
        """Find leaves by the filters that are not empty, newest first.

        Those about a child by the tags of every quarter that has a key. Raises FIELD_INVALID.
        """
        filters, response = _filters(request), pb.SearchLeavesResponse()
        if request.child_code:
            child = self._child(call, request.child_code)
            filters = replace(filters, subject_tags=child.tags())
            response.forgotten_quarters[:] = tag_keys.forgotten(self._home)
        size = pages.size(request)
        position = self._pages.position(call, request)
        before = None if position is None else int(position[0])
        async with self._database.transaction() as tx:
            limit = min(size + 1, pages.LARGEST_SIZE)
            found = await search(tx, filters, before=before, limit=limit)
            if request.child_code:
                response.unknown_quarters[:] = await unknown(tx, self._home)
        shown = found[:size]
        call.note(counts={"leaves": len(shown)})
        response.leaves.extend(map(_leaf, shown))
        if len(found) == limit and shown:
            response.next_page_token = self._pages.seal(call, request, [shown[-1].index])
        return response

    async def GetLeaf(self, call: Call, request: pb.GetLeafRequest) -> pb.GetLeafResponse:
        """Show a leaf with its proof; raises POLICY_DENIED by whom the leaf concerns, NOT_FOUND."""
        index = min(request.index, LARGEST_INDEX)
        found = await self._recorder.log.leaf(index)
        require_leaf(call, found, self._permits, self._current.known)
        if found is None:
            raise refuse(Reason.NOT_FOUND)
        # This call's own leaf comes later than the one asked for: once it is signed, so is that.
        await call.record(detail={"digest": hashlib.sha256(found).hexdigest()})
        proof = await self._recorder.proof(index)
        return pb.GetLeafResponse(leaf=pb.Leaf(index=index, leaf=found), proof=proof)

    async def GetCheckpoint(
        self, call: Call, _request: pb.GetCheckpointRequest
    ) -> pb.GetCheckpointResponse:
        """Answer with the newest checkpoint after this very call was put on the log."""
        entry = await call.record()
        keys = log_keys.read(self._home.log_keys)
        restores = log_keys.read(self._home.restores)
        return pb.GetCheckpointResponse(
            checkpoint=entry.checkpoint, log_keys=keys, restores=restores
        )

    async def GetConsistencyProof(
        self, call: Call, request: pb.GetConsistencyProofRequest
    ) -> pb.GetConsistencyProofResponse:
        """Prove that the log only grew between two sizes; raises FIELD_INVALID."""
        size = (await self._recorder.log.head()).size
        if request.new_size > size:
            raise invalid("new_size", "SIZE", "At most the log's size.", "不得大于日志长度。")
        if request.old_size > (request.new_size or size):
            raise invalid("old_size", "SIZE", "At most the new size.", "不得大于新长度。")
        # Other doors write too: this call's own leaf brings the newest checkpoint.
        await call.record(detail={"size": request.new_size or size})
        newest, note = self._recorder.checkpoints.newest, self._recorder.checkpoints.note
        new = request.new_size or newest.size
        hashes = await self._recorder.log.consistency(request.old_size, new)
        return pb.GetConsistencyProofResponse(
            hashes=hashes, new_size=new, checkpoint=note if new == newest.size else ""
        )

    def _child(self, call: Call, code: str) -> Subject:
        """Return the child that a call is about, for its leaf too; raises FIELD_INVALID."""
        if not CHILD_CODE.fullmatch(code):
            raise invalid("child_code", "CHILD-CODE", "18 digits.", "须为 18 位数字。")
        child = Subject(self._home, code)
        call.note(child=child)
        return child


def require_leaf(call: Call, found: bytes | None, permits: Permits, registry: Registry) -> None:
    """Pass a call about a leaf, or about none; raises POLICY_DENIED by whom it concerns."""
    concerned = [""] if found is None else _concerned(leaf.parse(found))
    own = call.caller.organisation
    # Where it concerns two, either one's auditor may look; it is judged by the nearer.
    near = [code for code in concerned if registry.is_at_or_below(code, own)]
    permits.require(call, [audit_log([*near, *concerned][0], registry)], registry)


def _concerned(found: Mapping[str, object]) -> list[str]:
    """Return the organisations a leaf concerns: its own, and whose tunnel it was as well."""
    concerned = [str(found.get("organisation", ""))]
    detail = found.get("detail")
    if found.get("reason") == Reason.ORIGIN_MISMATCH and isinstance(detail, Mapping):
        concerned.append(str(detail.get("target_organisation", "")))
    return concerned


def _filters(request: pb.SearchLeavesRequest) -> Filters:
    return Filters(
        from_us=microseconds(request.from_time) if request.HasField("from_time") else None,
        until_us=microseconds(request.until_time) if request.HasField("until_time") else None,
        organisation=request.organisation_code or None,
        kind=request.kind or None,
        decision=request.decision or None,
        reason=request.reason or None,
        request_id=request.request_id or None,
    )


def _leaf(found: Found) -> pb.Leaf:
    return pb.Leaf(index=found.index, leaf=found.leaf)
