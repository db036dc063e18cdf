"""What an officer typed as the reason of an act stands beside its leaf, sealed, or nowhere.

An rpc whose request has a `reason` that is no filter keeps it so, at the doors that have a sealer:
the words may name a person, so the leaf has their digest only (`audit.parts`).
"""

from functools import wraps
from typing import Any

from gateway.audit.parts import Sealer
from gateway.services.access import Rpc
from gateway.services.call import Call
from gateway.services.guard import Method

_FIELD = "reason"


def is_reasoned(rpc: Rpc) -> bool:
    """Return whether an rpc's request says why: a list's filter of that name does not."""
    fields = rpc.request.DESCRIPTOR.fields_by_name
    return _FIELD in fields and "page_token" not in fields


def keeping(rpc: Rpc, method: Method, sealer: Sealer | None) -> Method:
    """Return the method of an rpc, putting its reason beside the leaf where it has one."""
    if sealer is None or not is_reasoned(rpc):
        return method

    @wraps(method)
    async def reasoned(call: Call, request: Any) -> Any:  # noqa: ANN401  as Method
        if words := request.reason.strip():
            call.put_beside(sealer.seal(words))
        return await method(call, request)

    return reasoned
