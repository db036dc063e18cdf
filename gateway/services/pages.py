"""Pages of a list: how long one is, and the sealed token that says where the next begins.

A token is AES-256-GCM under a key of this process alone, bound to rpc, query and caller, and says
nothing to its bearer; it carries no right by itself. After a restart a list begins again from its
first page.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import Message

from gateway.clock import US_PER_S, Clock
from gateway.errors import Reason, refuse
from gateway.services.call import Call
from gateway.services.requests import invalid

DEFAULT_SIZE = 50
LARGEST_SIZE = 1000
# Long enough for a person to read a page, short enough that no list is continued tomorrow.
TOKEN_LIFE_S = 3600
# Where a list begins that goes from the newest to the oldest: (microseconds, name).
NEWEST = (1 << 62, "")
_NONCE_BYTES = 12
_TOKEN_MAX = 512
Item = TypeVar("Item")
Place = TypeVar("Place")


def size(request: Message) -> int:
    """Return the page size asked for: 0 is 50, more than 1,000 is 1,000.

    Raises FIELD_INVALID when negative.
    """
    asked: int = request.page_size  # type: ignore[attr-defined] # every list request has one (contract.md)
    if asked < 0:
        raise invalid("page_size", "PAGE-SIZE", "0 or more.", "须大于或等于 0。")
    return min(asked or DEFAULT_SIZE, LARGEST_SIZE)


async def gather(
    read: Callable[[Place, int], Awaitable[list[Item]]],
    place: Callable[[Item], Place],
    within: Callable[[Item], bool],
    after: Place,
    limit: int,
) -> list[Item]:
    """Return the next `limit` items of a list that are within the caller's reach.

    `read` gives at most so many after a place; it is asked again while some are not within.
    """
    found: list[Item] = []
    while len(found) < limit:
        some = await read(after, limit)
        found += filter(within, some)
        if len(some) < min(limit, LARGEST_SIZE):
            break
        after = place(some[-1])
    return found[:limit]


class Pages:
    """Seals and opens page tokens; one per process."""

    def __init__(self, clock: Clock) -> None:
        """Draw this process's key."""
        self._clock = clock
        self._key = AESGCM(secrets.token_bytes(32))

    def seal(self, call: Call, request: Message, position: Sequence[str | int]) -> str:
        """Return the token of the page after `position` of this query by this caller."""
        body = json.dumps([self._clock.now_us() + TOKEN_LIFE_S * US_PER_S, list(position)]).encode()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._key.encrypt(nonce, body, _bound(call, request))
        return base64.urlsafe_b64encode(sealed).decode()

    def position(self, call: Call, request: Message) -> list[str | int] | None:
        """Return the position in the request's token, None without one.

        Raises PAGE_TOKEN_INVALID.
        """
        token: str = request.page_token  # type: ignore[attr-defined] # as page_size
        if not token:
            return None
        if len(token) > _TOKEN_MAX:
            raise refuse(Reason.PAGE_TOKEN_INVALID)
        try:
            sealed = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
            body = self._key.decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound(call, request)
            )
        except (ValueError, InvalidTag):
            raise refuse(Reason.PAGE_TOKEN_INVALID) from None
        expires_us, position = json.loads(body)
        if expires_us <= self._clock.now_us():
            raise refuse(Reason.PAGE_TOKEN_INVALID)
        found: list[str | int] = position
        return found


def _bound(call: Call, request: Message) -> bytes:
    """Return what a token is bound to.

    The rpc, its filters, and the caller's organisation, account and subject.
    """
    query = type(request)()
    query.CopyFrom(request)
    query.ClearField("page_token")
    query.ClearField("page_size")
    caller = call.caller
    parts = [type(request).__name__, caller.organisation, caller.account, str(caller.subject)]
    digest = hashlib.sha256(query.SerializeToString(deterministic=True)).hexdigest()
    return json.dumps([*parts, digest]).encode()
