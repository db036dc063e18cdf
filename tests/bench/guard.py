"""`guard.unary`, `guard.check`: guarded unary calls/s beside a bare mTLS echo, and what each check of a call costs.

A call through front and guard is judged by every check, and its leaf is committed and signed before it is answered; the
echo (a bare grpcio mTLS server in a process of its own) gives the same bytes back to the same client. The price of each
check is measured in one process, with one call at a time: a watch stands around each function that the guard calls.
"""

import asyncio
import contextlib
import inspect
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import grpc

from gateway.config.settings import Settings
from gateway.demo.province import COUNTIES, Province
from gateway.identity import principal
from gateway.identity.token import Verifier
from gateway.link.control import ControlClient
from gateway.services import requests, wire
from gateway.services.call import Call
from gateway.services.checks import Checks
from gateway.services.guard import Guard
from gateway.services.identity_service import IdentityService
from gateway.services.limits import Limits
from gateway.services.permits import Permits
from gateway.store import roles
from tests.bench import papers
from tests.bench.figures import Figure, figure
from tests.bench.origin import migrated
from tests.bench.stage import served
from tests.grounds import Ground
from tests.world import World

ROUNDS, CALLS, IN_FLIGHT, CONNECTIONS = 5, 2_000, 64, 4
WATCHED_CALLS = 1_000
TIMEOUT_S = 30.0
WHOAMI = "/gateway.v1.IdentityService/WhoAmI"
ECHO = "/bench.Echo/Unary"
# What the policy holds back from one account: here three accounts are all there are.
LIMITS = {"per_account_per_s": 1e6, "per_account_burst": 1_000_000}
# In the order of a call, under the guard's numbers; what is left of the whole is grpc's and the guard's own.
SPANS: tuple[tuple[str, object, str], ...] = (
    ("1 connection", ControlClient, "who"),
    ("2 certificate, organisation, system", Checks, "_valid"),
    ("4 waiting for the message", wire, "only_message"),
    ("4 message", requests, "parse"),
    ("4 request id", requests, "identify"),
    ("5 token", Verifier, "verify"),
    ("5 session", Checks, "_establish"),
    ("6 password state", principal, "require_password"),
    ("7 rate", Limits, "account"),
    ("8 policy", Permits, "judge"),
    ("9 the method", IdentityService, "WhoAmI"),
    ("leaf committed and signed", Call, "record"),
    ("answer sent", wire, "send"),
)

Unary = Callable[[], Awaitable[bytes]]


def run() -> list[Figure]:
    """Measure both."""
    with served(**LIMITS) as province:
        found = asyncio.run(_rounds(province))
    return [found, *_prices()]


async def _rounds(province: Province) -> Figure:
    ours, echoes, latencies = [], [], []
    async with _guarded(province) as (calls, said), _echo(province, said) as echo:
        await _rate(calls, CALLS // 10)
        await _rate(echo, CALLS // 10)
        for _ in range(ROUNDS):
            rate, found = await _rate(calls, CALLS)
            ours.append(rate)
            latencies += found
            echoes.append((await _rate(echo, CALLS))[0])
    conditions = (
        f"WhoAmI of {len(COUNTIES)} counties, {IN_FLIGHT} in flight over {CONNECTIONS} connections, each with its leaf; the "
        "echo gives the same bytes to the same client; promise: a fifth of the echo (limit ÷ value at most 5)"
    )
    return figure("guard.unary", "calls/s", ours, {"grpc.echo": echoes}, latencies, conditions)


async def _rate(calls: list[Unary], count: int) -> tuple[float, list[float]]:
    """Return calls/s and each call's milliseconds: `count` calls, IN_FLIGHT at a time."""
    latencies: list[float] = []
    left = iter(range(count))

    async def one(call: Unary) -> None:
        for _ in left:
            began = time.perf_counter()
            assert await call()
            latencies.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    await asyncio.gather(*(one(calls[n % len(calls)]) for n in range(IN_FLIGHT)))
    took = time.perf_counter() - began
    assert len(latencies) == count
    return count / took, latencies


def _unary(channel: grpc.aio.Channel, method: str, message: bytes, token: str) -> Unary:
    multi = channel.unary_unary(method)
    metadata = (("authorization", f"Bearer {token}"),)
    return lambda: multi(message, metadata=metadata, timeout=TIMEOUT_S)


@contextlib.asynccontextmanager
async def _guarded(province: Province) -> Any:
    """Give one way to call on each connection, and what is answered."""
    calls = []
    async with contextlib.AsyncExitStack() as stack:
        for number in range(CONNECTIONS):
            channels = province.members[COUNTIES[number % len(COUNTIES)]].channels()
            stack.push_async_callback(channels.close)
            session = province.members[COUNTIES[number % len(COUNTIES)]].session(channels)
            token = (await session.token()).secret.value
            calls.append(_unary(channels.to("identity"), WHOAMI, b"", token))
        yield calls, await calls[0]()


@contextlib.asynccontextmanager
async def _echo(province: Province, said: bytes) -> Any:
    """Give as many ways to call a bare server, which gives `said` back, on connections of the same number."""
    folder = province.host.home.root / "bench-echo"
    folder.mkdir()
    root, key, certificate = papers.write(folder)
    address = f"{province.host.address(1)}:{province.host.base_port + 9}"
    words = [sys.executable, "-m", "tests.bench.guard", str(folder), address]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])  # noqa: ASYNC220  the limit's own process
    try:
        assert child.stdout is not None
        await asyncio.to_thread(child.stdout.readline)
        credentials = grpc.ssl_channel_credentials(root, key, certificate)
        options = (
            ("grpc.ssl_target_name_override", papers.NAME),
            ("grpc.use_local_subchannel_pool", 1),
        )
        async with contextlib.AsyncExitStack() as stack:
            calls = []
            for _ in range(CONNECTIONS):
                channel = grpc.aio.secure_channel(address, credentials, options=options)
                await stack.enter_async_context(channel)
                # As long as a token is: the same headers.
                calls.append(_unary(channel, ECHO, said, "x" * 900))
            yield calls
    finally:
        child.kill()
        child.wait()


# --- the price of each check ------------------------------------------------------------------


def _prices() -> list[Figure]:
    """Return what a call spends in each check, in µs, with its share of the whole."""
    with migrated() as home:
        ground = Ground(home, roles.server(home, Settings()))
        with _watched() as spans:
            asyncio.run(_one_by_one(ground, spans))
    whole = statistics.median(spans["whole"])
    told = [(name, spans[name]) for name, _, _ in SPANS]
    # What nothing above accounts for, call by call.
    rest = [
        all_of_it - sum(values[n] for _, values in told)
        for n, all_of_it in enumerate(spans["whole"])
    ]
    told.append(("the guard itself and grpc", rest))
    conditions = f"{len(rest):,} calls, one at a time"
    shares = [
        figure(f"guard.check {name}", "µs", values, conditions=conditions) for name, values in told
    ]
    beside = {"checks": [whole - _without_waiting(told)]}
    return [figure("guard.check", "µs", spans["whole"], beside, (), conditions), *shares]


def _without_waiting(told: list[tuple[str, list[float]]]) -> float:
    return sum(statistics.median(values) for name, values in told if not name[0].isdigit())


async def _one_by_one(ground: Ground, spans: dict[str, list[float]]) -> None:
    async with World.open(ground, ("identity",)) as world:
        token = await world.login(world.county)
        for _ in range(WATCHED_CALLS // 10):
            await world.call(world.county, WHOAMI, b"", token=token)
        for values in spans.values():
            values.clear()
        for number in range(WATCHED_CALLS):
            await world.call(world.county, WHOAMI, b"", token=token)
            # So that the policy's rate is not what is measured.
            await asyncio.sleep(0.005 if number % 2 else 0)
        assert {len(values) for values in spans.values()} == {WATCHED_CALLS}


@contextlib.contextmanager
def _watched() -> Iterator[dict[str, list[float]]]:
    """Put a watch around each function; give what they find, in µs by name."""
    spans: dict[str, list[float]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        for name, owner, attribute in (*SPANS, ("whole", Guard, "_handle")):
            watched = _watch(getattr(owner, attribute), spans[name])
            stack.enter_context(mock.patch.object(owner, attribute, watched))
        yield spans


def _watch(function: Callable[..., Any], into: list[float]) -> Callable[..., Any]:
    def note(began: float) -> None:
        into.append((time.perf_counter() - began) * 1e6)

    async def awaited(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return await function(*args, **kwargs)
        finally:
            note(began)

    def called(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            note(began)

    return awaited if inspect.iscoroutinefunction(function) else called


# --- the echo ---------------------------------------------------------------------------------


class _Echo(grpc.GenericRpcHandler):
    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler | None:
        return grpc.unary_unary_rpc_method_handler(_same)


async def _same(message: bytes, _context: object) -> bytes:
    return message


async def serve(folder: Path, address: str) -> None:
    """Serve until ended, after printing `ready`."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Echo(),))
    credentials = grpc.ssl_server_credentials(
        [((folder / "server.key").read_bytes(), (folder / "server.pem").read_bytes())],
        root_certificates=(folder / "root.pem").read_bytes(),
        require_client_auth=True,
    )
    server.add_secure_port(address, credentials)
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2]))
