"""The small readers; how real calls end is seen in tests/coverage."""

import asyncio

import pytest
from grpc.aio import UsageError

from gateway.errors import Refusal
from gateway.services import wire

NAME = "0123456789abcdef" * 2


class Context:
    def __init__(
        self, peer=f"unix-abstract:gateway-{NAME}", metadata=(), remaining=None, messages=()
    ):
        self._peer, self._metadata, self._remaining = peer, metadata, remaining
        self._messages = [*messages]

    def peer(self):
        return self._peer

    def invocation_metadata(self):
        return self._metadata

    def time_remaining(self):
        return self._remaining

    async def read(self):
        return self._messages.pop(0) if self._messages else object()

    async def write(self, message):
        raise UsageError("RPC already finished.")


def reason_of(callable_, *args):
    try:
        found = callable_(*args)
        if asyncio.iscoroutine(found):
            asyncio.run(found)
    except Refusal as refusal:
        return refusal.reason.value
    return None


def test_the_connections_name():
    assert wire.connection_name(Context()) == NAME


@pytest.mark.parametrize(
    "peer",
    [
        "unix:",
        "",
        "unix-abstract:",
        f"unix-abstract:gateway-{NAME}0",
        f"unix-abstract:gateway-{NAME[1:]}",
        f"unix-abstract:gateway-{NAME.upper()}",
        f"unix-abstract:other-{NAME}",
        f" unix-abstract:gateway-{NAME}",
        f"unix-abstract:gateway-{NAME}\n",
        "unix-abstract:gateway-%30" + NAME[1:],
        "ipv4:127.0.0.1:5",
    ],
)
def test_who_did_not_come_through_the_front(peer):
    assert reason_of(wire.connection_name, Context(peer)) == "CONNECTION_UNKNOWN"


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((), "TOKEN_MISSING"),
        ((("authorization-bin", b"Bearer x"),), "TOKEN_MISSING"),
        ((("authorization", "x"),), "TOKEN_INVALID"),
        ((("authorization", "Basic x"),), "TOKEN_INVALID"),
        ((("authorization", "Bearer x"), ("authorization", "Bearer x")), "TOKEN_INVALID"),
    ],
)
def test_the_token_is_one(metadata, reason):
    assert reason_of(wire.token, Context(metadata=metadata)) == reason


def test_the_token():
    assert wire.token(Context(metadata=(("x", "y"), ("authorization", "Bearer a.b.c")))) == "a.b.c"


@pytest.mark.parametrize(
    ("remaining", "reason"),
    [(None, "DEADLINE_MISSING"), (0.0, "DEADLINE_TOO_SHORT"), (0.0999, "DEADLINE_TOO_SHORT")],
)
def test_a_deadline_is_needed(remaining, reason):
    assert reason_of(wire.deadline, Context(remaining=remaining), 100) == reason


def test_enough_time():
    wire.deadline(Context(remaining=0.1), 100)


def test_messages_are_counted_and_measured():
    assert asyncio.run(wire.only_message(Context(messages=[b"ab"]), 2)) == b"ab"
    assert reason_of(wire.only_message, Context(messages=[b"abc"]), 2) == "MESSAGE_TOO_LARGE"
    assert reason_of(wire.only_message, Context(messages=[b"a", b"b"]), 2) == "MESSAGE_SURPLUS"
    assert reason_of(wire.only_message, Context(), 2) == "MESSAGE_MISSING"
    assert reason_of(wire.only_message, Context(peer=""), 2) == "MESSAGE_TOO_LARGE"
    assert reason_of(wire.only_message, Context(remaining=0), 2) == "CANCELLED"


def test_a_silent_stream_is_ended():
    class Silent(Context):
        async def read(self):
            await asyncio.sleep(60)

    assert reason_of(wire.next_batch, Silent(), 2, 0.01) == "CANCELLED"


def test_batches():
    context = Context(messages=[b"a", b"b"])
    assert asyncio.run(wire.next_batch(context, 2, 1)) == b"a"
    assert asyncio.run(wire.next_batch(context, 2, 1)) == b"b"
    assert asyncio.run(wire.next_batch(context, 2, 1)) is None


def test_a_reply_to_nobody():
    assert reason_of(wire.send, Context(), b"x") == "CANCELLED"
