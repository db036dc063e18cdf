"""The rule of attack tests, at a live door: an attack is refused for its reason, leaves exactly one leaf, tells and logs nothing
secret, and the next good call works.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gateway.errors import Reason, refuse
from gateway.v1 import identity_service_pb2 as identity
from tests.coverage.rpcs import LOGIN, Watch, refused
from tests.world import PASSWORD, Person, RefusedError, World


def login(account: str, password: str = PASSWORD) -> identity.LoginRequest:
    return identity.LoginRequest(account_name=account, password=password)


async def logged_in(
    world: World, person: Person, password: str = PASSWORD
) -> identity.LoginResponse:
    """Log in with a person's certificate and account; the whole answer."""
    reply = await world.call(person, LOGIN, login(person.account, password))
    return identity.LoginResponse.FromString(reply)


async def tried(
    world: World,
    attack: Awaitable[Any],
    reason: str,
    *,
    secrets: Sequence[str],
    process_log: Any,
    then: Callable[[], Awaitable[Any]],
) -> tuple[RefusedError, dict[str, Any]]:
    """Try an attack and hold it to the rule; return what the attacker heard and the leaf."""
    watch = Watch(world)
    error = await refused(attack)
    leaf = await watch.only_leaf()
    assert (error.code, error.reason) == (refuse(Reason(reason)).code, reason)
    assert (leaf["decision"], leaf["reason"]) == ("deny", reason)
    unspoken(secrets, error, leaf, process_log)
    assert error.checkpoint
    await then()
    return error, leaf


def unspoken(
    secrets: Sequence[str], error: RefusedError, leaf: dict[str, Any], process_log: Any
) -> None:
    """No secret stands in status, leaf or process log, be it as text, as JSON or in hexadecimal."""
    told = error.raw.decode(errors="replace") + error.message
    told += json.dumps(leaf, ensure_ascii=False) + process_log.getvalue()
    for secret in secrets:
        spellings = {secret, json.dumps(secret)[1:-1], secret.encode(errors="replace").hex()}
        assert not any(one in told for one in spellings if one)
