"""Break-glass from an officer's side: sealing, codes, opening, confirming, the session it gives.

What opens it needs no session of ours: only the certificate. What it answers with is kept in the
profile like a login's token, so that every other command of the profile works with it, and is
refused what break-glass is not for.
"""

import uuid
from typing import TYPE_CHECKING

from gateway.client.client import Client
from gateway.client.secret import Secret
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import break_glass_service_pb2 as v1
from gateway.v1.break_glass_service_pb2_grpc import BreakGlassServiceStub

if TYPE_CHECKING:  # it exists in the stubs only
    from gateway.v1.break_glass_service_pb2_grpc import BreakGlassServiceAsyncStub


class BreakGlass:
    """The calls, by a client that is open."""

    def __init__(self, client: Client) -> None:
        """Call as this client."""
        self._client = client
        channel = client.channels.to("identity")
        self._stub: BreakGlassServiceAsyncStub = BreakGlassServiceStub(channel)

    async def seal(self, officers: list[str]) -> list[Secret]:
        """Seal anew for three officers; the texts for envelope 1 and 2, shown once."""
        request = v1.SealBreakGlassRequest(request_id=_id(), officer_names=officers)
        answer = await self._client.call(self._stub.SealBreakGlass, request)
        return [Secret(text) for text in answer.sealed_texts]

    async def code(self) -> tuple[Secret, int]:
        """Make our own code, shown once; and how many of the three have one now."""
        request = v1.RegisterBreakGlassCodeRequest(request_id=_id())
        answer = await self._client.call(self._stub.RegisterBreakGlassCode, request)
        return Secret(answer.code), answer.registered_count

    async def open(
        self, credential: Secret, *, reason: str, ticket: str, drill: bool
    ) -> v1.OpenBreakGlassResponse:
        """Show a credential out of its envelope."""
        request = v1.OpenBreakGlassRequest(
            request_id=_id(),
            sealed_credential=credential.value,
            reason=reason,
            ticket=ticket,
            drill=drill,
        )
        return await self._client.channels.call(self._stub.OpenBreakGlass, request)

    async def confirm(self, opening: str, code: Secret) -> v1.ConfirmBreakGlassResponse:
        """Confirm an opening with our own code."""
        request = v1.ConfirmBreakGlassRequest(
            request_id=_id(), opening_id=opening, secret_code=code.value
        )
        return await self._client.channels.call(self._stub.ConfirmBreakGlass, request)

    async def enter(self, opening: str) -> v1.EnterBreakGlassResponse:
        """Take the session's token into the profile, in place of whatever session it has."""
        request = v1.EnterBreakGlassRequest(request_id=_id(), opening_id=opening)
        answer = await self._client.channels.call(self._stub.EnterBreakGlass, request)
        session, expire_us = self._client.session, answer.expire_time.ToMicroseconds()
        session.keep_in(self._client.profile.token, answer.access_token, expire_us)
        session.take_up()
        return answer

    async def close(self, opening: str) -> v1.CloseBreakGlassResponse:
        """End an opening."""
        request = v1.CloseBreakGlassRequest(request_id=_id(), opening_id=opening)
        return await self._client.call(self._stub.CloseBreakGlass, request)

    async def show(self) -> admin.GetBreakGlassResponse:
        """Return how it stands and what was done with it."""
        return await self._client.call(
            self._client.admin.GetBreakGlass, admin.GetBreakGlassRequest()
        )


def _id() -> str:
    return str(uuid.uuid4())
