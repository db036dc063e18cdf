"""The security officer's eyes: what the audit log says of an attempt, asked over AuditService."""

import asyncio
import json
from dataclasses import dataclass

from gateway.client.channel import Channels
from gateway.client.session import Session
from gateway.v1 import audit_service_pb2 as v1
from gateway.v1.audit_service_pb2_grpc import AuditServiceStub

# A refused handshake's leaf is written after the socket closed: it may take a moment.
WAIT_S = 5.0
_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class Found:
    """A leaf of the log: its index and its fields."""

    index: int
    fields: dict[str, object]


class Watch:
    """An auditor's session that looks for leaves."""

    def __init__(self, channels: Channels, session: Session) -> None:
        """Look with the session of an account that has the auditor's role."""
        self._channels, self._session = channels, session
        self._stub = AuditServiceStub(channels.to("administration"))

    async def newest(self) -> int:
        """Return the index of the newest leaf that a search finds."""
        leaves = await self._search(v1.SearchLeavesRequest(page_size=1))
        return leaves[0].index

    async def after(self, index: int, *, reason: str = "", kind: str = "") -> list[Found]:
        """Return the leaves after `index` of this reason or kind, oldest first; wait for one."""
        waited = 0.0
        while True:
            request = v1.SearchLeavesRequest(page_size=100, reason=reason, kind=kind)
            found = [leaf for leaf in await self._search(request) if leaf.index > index]
            if found or waited >= WAIT_S:
                return sorted(found, key=lambda leaf: leaf.index)
            await asyncio.sleep(_PAUSE_S)
            waited += _PAUSE_S

    async def _search(self, request: v1.SearchLeavesRequest) -> list[Found]:
        token = (await self._session.token()).secret
        answer = await self._channels.call(self._stub.SearchLeaves, request, token)
        return [Found(leaf.index, json.loads(leaf.leaf)) for leaf in answer.leaves]
