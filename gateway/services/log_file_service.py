"""The log's files, to the province's auditors: by grpc here, by HTTP/1.1 in `http_files`."""

# ruff: noqa: N802 -- methods have the names of the contract's rpcs

import hashlib

from gateway.audit import files
from gateway.audit.log import head
from gateway.audit.witnessing import CHECKPOINT_FILE
from gateway.errors import Reason, refuse
from gateway.services.call import Call
from gateway.services.requests import invalid
from gateway.store.database import Database
from gateway.v1 import audit_service_pb2 as pb


class LogFileService:
    """Serves GetLogFile of gateway.v1.AuditService."""

    def __init__(self, database: Database) -> None:
        """Read the log of this database."""
        self._database = database

    async def GetLogFile(self, call: Call, request: pb.GetLogFileRequest) -> pb.GetLogFileResponse:
        """Give a file of the log, its leaf committed; raises FIELD_INVALID, NOT_FOUND.

        NOT_FOUND also for a side part that was destroyed: a leaf that is there by then tells of it.
        """
        if request.path == CHECKPOINT_FILE:
            entry = await call.record(detail={"file": CHECKPOINT_FILE})
            return pb.GetLogFileResponse(content=entry.checkpoint.encode())
        content = await self._content(call, request.path)
        # This call's own leaf comes later than what is in the file: once it is signed, so is that.
        digest = hashlib.sha256(content).hexdigest()
        await call.record(counts={"bytes": len(content)}, detail={"digest": digest})
        return pb.GetLogFileResponse(content=content)

    async def _content(self, call: Call, path: str) -> bytes:
        tile, part = files.tile_at(path), files.part_at(path)
        if tile is None and part is None:
            raise invalid("path", "LOG-FILE", "A path of tlog-tiles.", "须为 tlog-tiles 路径。")
        call.note(detail={"file": path})
        found: bytes | None = None
        async with self._database.transaction() as tx:
            if part is not None:
                found = await files.read_part(tx, part)
            elif tile is not None and files.is_within(tile, (await head(tx)).size):
                found = await files.read(tx, tile)
        if found is None:
            raise refuse(Reason.NOT_FOUND)
        return found
