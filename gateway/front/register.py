"""The register as handshakes ask it: those that come while a query runs are asked for together.

Each answer is of a query that began after it was asked for: nothing is older than asking alone
would have found. One query at a time serves however many knock.
"""

import asyncio

from gateway.front import standing
from gateway.front.standing import Standing
from gateway.names import Subject
from gateway.store.database import Database


class Register:
    """The look-ups of one front."""

    def __init__(self, database: Database) -> None:
        """Ask this database."""
        self._database = database
        self._waiting: dict[str, asyncio.Future[Standing | None]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def find(self, subject: Subject, serial: str, sha256: bytes) -> Standing:
        """Return what `standing.find` does; raises what it does."""
        answer = self._waiting.get(serial)
        if answer is None:
            answer = self._waiting[serial] = asyncio.get_running_loop().create_future()
            # Whoever asked may be gone: asyncio would print the exception.
            answer.add_done_callback(lambda one: one.cancelled() or one.exception())
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        with standing.away():
            found = await asyncio.shield(answer)
        return standing.checked(found, subject, sha256)

    async def may_use_tunnel(self, organisation: str, owner: str) -> bool:
        """Return whether an organisation may come in by this owner's tunnel; raises STORE_AWAY."""
        if organisation == owner:
            return True
        with standing.away():
            return (organisation, owner) in await standing.tunnel_users(self._database)

    async def _ask(self) -> None:
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, {}
                await self._answer(asked)
        finally:
            self._asking = None

    async def _answer(self, asked: "dict[str, asyncio.Future[Standing | None]]") -> None:
        try:
            found = await standing.standings(self._database, asked)
        except BaseException as error:
            for answer in asked.values():
                answer.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            for serial, answer in asked.items():
                answer.set_result(found.get(serial))
