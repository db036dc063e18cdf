"""`login.timing`, `login.rate`, `login.flood`: what a login costs, what it tells by its time, and what a flood of them does.

`login.timing`: wrong passwords for an account that is there and for names that are not, in random order, one at a time;
Welch's t of the times, beside the limit beyond which a leak is assumed (4.5, as in ISO/IEC 17825). `login.rate`: logins/s
of all systems at once beside the bare hash. `login.flood`: the 99th percentile of uploads at a steady pace while every
system floods the identity door with logins from a process of its own, beside the same uploads in quiet.
"""

import asyncio
import contextlib
import json
import random
import secrets
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import grpc

from gateway.client.batches import Envelope
from gateway.demo import uploading
from gateway.demo.province import CITIES, COUNTIES, Member, Province
from gateway.identity.passwords import Passwords, parallel
from gateway.sample.units import centre_code
from gateway.v1 import identity_service_pb2 as identity
from gateway.v1 import upload_service_pb2 as up
from tests.bench.figures import Figure, figure
from tests.bench.stage import line_of, served
from tests.bench.tls_client import Line

LOGIN = "/gateway.v1.IdentityService/Login"
UPLOAD = "/gateway.v1.UploadService/UploadBatches"
TIMEOUT_S = 30.0
# No block in the way of the measurement: it would be the same for every name (test_login_guessing).
UNBLOCKED = {"failures": 999, "lock_failures": 1_000}
LIMITS = {"per_connection_per_s": 1e6, "per_connection_burst": 1_000_000}
TIMES, WARM_UP = 300, 10
T_LIMIT = 4.5
NAMES = {"known": "uploader", "unknown": "nobody-here", "no name": "' OR ''='"}
ROUNDS, PHASE_S = 5, 4.0
# Uploads of each county in a second: some thirty times what a province's counties send on average.
PACE = 20
CONNECTIONS, IN_FLIGHT, SENT_AWAY_S = 2, 8, 0.2


def run() -> list[Figure]:
    """Measure all three."""
    with served(UNBLOCKED, **LIMITS) as province:
        return asyncio.run(_all(province))


async def _all(province: Province) -> list[Figure]:
    timing = await _timing(province)
    lines = [await asyncio.to_thread(line_of, province, code, "identity") for code in _CODES]
    uploads = _Uploads.make(province)
    rates, bare, quiet, flooded, everything = [], [], [], [], []
    told: Counter[str] = Counter()
    honest: list[float] = []
    await uploads.measure(province, PHASE_S / 2)
    for _ in range(ROUNDS):
        quiet.append(_p99(await uploads.measure(province, PHASE_S)))
        rates.append(await _rate(province))
        bare.append(await _bare())
        async with _flood(lines, told):
            found, waits = await asyncio.gather(
                uploads.measure(province, PHASE_S), _honest(province)
            )
        flooded.append(_p99(found))
        everything += found
        honest += waits
    seconds = ROUNDS * PHASE_S
    conditions = (
        f"{len(COUNTIES)} counties, {PACE} one-item uploads/s each; {len(lines)} systems flood over {CONNECTIONS} connections "
        f"each, {IN_FLIGHT} in flight: {told['UNAUTHENTICATED'] / seconds:,.0f} attempts/s are looked at, "
        f"{told['RESOURCE_EXHAUSTED'] / seconds:,.0f} sent away; an officer's login takes {statistics.median(honest):,.0f} ms "
        "meanwhile; promise: at most twice the quiet p99 (limit ÷ value at least 0.5)"
    )
    beside = {"quiet": quiet}
    return [
        timing,
        figure(
            "login.rate",
            "logins/s",
            rates,
            {"argon2": bare},
            conditions=f"{len(_CODES)} systems, one at a time each; the limit: the hash alone, {parallel()} at a time",
        ),
        figure("login.flood", "ms", flooded, beside, everything, conditions),
    ]


_CODES = (*CITIES, *COUNTIES)


def _p99(latencies_ms: Sequence[float]) -> float:
    return statistics.quantiles(latencies_ms, n=100)[98]


# --- what the time tells ----------------------------------------------------------------------


async def _timing(province: Province) -> Figure:
    found: dict[str, list[float]] = {name: [] for name in NAMES}
    order = random.Random(secrets.randbits(64))
    async with _logins(province.members[COUNTIES[0]]) as attempt:
        for number in range(TIMES + WARM_UP):
            for cause in order.sample(list(NAMES), len(NAMES)):
                took, code = await attempt(NAMES[cause], "wrong-Password-of-7")
                assert code is grpc.StatusCode.UNAUTHENTICATED
                if number >= WARM_UP:
                    found[cause].append(took)
    scores = {
        cause: welch(found["known"], values) for cause, values in found.items() if cause != "known"
    }
    medians = ", ".join(f"{cause} {statistics.median(v):.2f} ms" for cause, v in found.items())
    conditions = (
        f"{TIMES} attempts of each kind in random order: medians {medians}; "
        + ", ".join(f"t of {cause} {score:+.2f}" for cause, score in scores.items())
        + "; value: the largest |t|, beyond the limit a leak is assumed"
    )
    every = [value for values in found.values() for value in values]
    largest = max(abs(score) for score in scores.values())
    return figure("login.timing", "t", [largest], {"limit": [T_LIMIT]}, every, conditions)


def welch(one: Sequence[float], other: Sequence[float]) -> float:
    """Return Welch's t of two samples."""
    spread = statistics.variance(one) / len(one) + statistics.variance(other) / len(other)
    return (statistics.fmean(one) - statistics.fmean(other)) / sqrt(spread)


@contextlib.asynccontextmanager
async def _logins(member: Member) -> AsyncIterator[Any]:
    """Give a function that tries (name, password) and returns (milliseconds, status code)."""
    channels = member.channels()
    try:
        call = channels.to("identity").unary_unary(LOGIN)

        async def attempt(name: str, password: str) -> tuple[float, grpc.StatusCode]:
            request = identity.LoginRequest(account_name=name, password=password)
            raw = request.SerializeToString()
            began = time.perf_counter()
            try:
                await call(raw, timeout=TIMEOUT_S)
                code = grpc.StatusCode.OK
            except grpc.aio.AioRpcError as error:
                code = error.code()
            return (time.perf_counter() - began) * 1000, code

        yield attempt
    finally:
        await channels.close()


# --- logins in a second -----------------------------------------------------------------------


async def _rate(province: Province) -> float:
    async def one(member: Member) -> int:
        count, ends = 0, time.perf_counter() + PHASE_S
        async with _logins(member) as attempt:
            while time.perf_counter() < ends:
                _, code = await attempt(member.profile.remote.account, member.password.value)
                assert code is grpc.StatusCode.OK, code
                count += 1
        return count

    return sum(await asyncio.gather(*(one(province.members[c]) for c in _CODES))) / PHASE_S


async def _bare() -> float:
    """Return how many passwords a process compares in a second that does nothing else."""
    passwords = Passwords()
    stored = await passwords.hash("correct-Horse-9-battery")
    ends = time.perf_counter() + PHASE_S / 2

    async def one() -> int:
        count = 0
        while time.perf_counter() < ends:
            await passwords.verify(stored, "correct-Horse-9-battery")
            count += 1
        return count

    try:
        return sum(await asyncio.gather(*(one() for _ in range(parallel())))) / (PHASE_S / 2)
    finally:
        passwords.close()


async def _honest(province: Province) -> list[float]:
    """Return what an officer's logins take, in ms, one every half second."""
    admin, found = province.admin, []
    async with _logins(admin) as attempt:
        for _ in range(int(PHASE_S * 2)):
            took, code = await attempt(admin.profile.remote.account, admin.password.value)
            assert code is grpc.StatusCode.OK, code
            found.append(took)
            await asyncio.sleep(0.3)
    return found


# --- uploads meanwhile ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Uploads:
    """One-item batches of each county, each a new one."""

    batches: dict[str, Iterator[bytes]]

    @classmethod
    def make(cls, province: Province) -> "_Uploads":
        load = uploading.generate(province, seed=7, children=200)
        return cls(
            {
                code: cls._endless(code, up.Item(child=families[0].child))
                for code, families in load.families.items()
            }
        )

    @staticmethod
    def _endless(code: str, item: up.Item) -> Iterator[bytes]:
        envelope, number = Envelope(centre_code(code), 1), 0
        while True:
            yield envelope.seal([item], number).message
            number += 1

    async def measure(self, province: Province, seconds: float) -> list[float]:
        """Upload at the pace for so long; return every latency in ms, from the moment each was due."""
        lanes = [self._lane(province.members[code], seconds) for code in COUNTIES]
        return [ms for lane in await asyncio.gather(*lanes) for ms in lane]

    async def _lane(self, member: Member, seconds: float) -> list[float]:
        latencies: list[float] = []
        channels = member.channels()
        try:
            token = (await member.session(channels).token()).secret.value
            metadata = (("authorization", f"Bearer {token}"),)
            stream = channels.to("intake").stream_stream(UPLOAD)(metadata=metadata)
            begin = time.perf_counter()
            for number in range(int(seconds * PACE)):
                due = begin + number / PACE
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                await stream.write(next(self.batches[member.code]))
                receipt = up.UploadBatchesResponse.FromString(await stream.read()).receipt
                latencies.append((time.perf_counter() - due) * 1000)
                assert [one.state for one in receipt.items] != [up.ITEM_STATE_REJECTED]
            await stream.done_writing()
            assert await stream.read() is grpc.aio.EOF
        finally:
            await channels.close()
        return latencies


# --- the flood --------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _flood(lines: Sequence[Line], told: Counter[str]) -> AsyncIterator[None]:
    """Flood within the block, from a process of its own; add to `told` how its attempts were answered."""
    words = [sys.executable, "-m", "tests.bench.login", json.dumps([asdict(one) for one in lines])]
    root = Path(__file__).parents[2]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root)  # noqa: ASYNC220  an attacker elsewhere
    try:
        assert child.stdout is not None
        assert await asyncio.to_thread(child.stdout.readline) == b"ready\n"
        yield
        output, _ = await asyncio.to_thread(child.communicate, b"")
        told.update(json.loads(output))
    finally:
        child.kill()
        child.wait()


async def flood(lines: Sequence[Line]) -> None:
    """Try wrong passwords under ever new names until standard input ends; print how they were answered."""
    told: Counter[str] = Counter()
    async with contextlib.AsyncExitStack() as stack:
        tasks = []
        for line in lines:
            for _ in range(CONNECTIONS):
                channel = _channel(line)
                await stack.enter_async_context(channel)
                await asyncio.wait_for(channel.channel_ready(), TIMEOUT_S)
                tasks += [asyncio.create_task(_guess(channel, told)) for _ in range(IN_FLIGHT)]
        print("ready", flush=True)
        told.clear()
        await asyncio.to_thread(sys.stdin.read)
        answers = dict(told)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    print(json.dumps(answers), flush=True)


async def _guess(channel: grpc.aio.Channel, told: Counter[str]) -> None:
    call = channel.unary_unary(LOGIN)
    while True:
        request = identity.LoginRequest(account_name=f"n{secrets.token_hex(8)}", password="guess")
        try:
            await call(request.SerializeToString(), timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            told[error.code().name] += 1
            if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
                await asyncio.sleep(SENT_AWAY_S)


def _channel(line: Line) -> grpc.aio.Channel:
    credentials = grpc.ssl_channel_credentials(
        *(Path(one).read_bytes() for one in (line.root, line.key, line.certificate))
    )
    options = (
        ("grpc.ssl_target_name_override", line.name),
        ("grpc.use_local_subchannel_pool", 1),
    )
    return grpc.aio.secure_channel(f"{line.address}:{line.port}", credentials, options=options)


if __name__ == "__main__":
    asyncio.run(flood([Line(**one) for one in json.loads(sys.argv[1])]))
