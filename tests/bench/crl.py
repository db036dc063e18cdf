"""`crl.100k`: a revocation list of 100,000 certificates: signed, loaded by the front, asked at each handshake.

The value is the time until the front has taken the new list into use. It loads in a thread; what the event loop stands
still meanwhile is measured by a task that wakes every millisecond. Beside it, with and without the list's entries: one
handshake (the server's own work) and the verdict after it.
"""

import asyncio
import contextlib
import secrets
import ssl
import statistics
import time
from collections.abc import Callable
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from gateway.clock import SYSTEM
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.errors import Reason, Refusal
from gateway.front.context import CurrentTerms
from gateway.front.handshake import Presented, observe
from gateway.pki import ceremony, crl, issue
from gateway.pki.verify import serial_text
from tests.bench.figures import Figure, figure
from tests.pki.forge import CITY
from tests.pki.ground import founded_home

ENTRIES = 100_000
ROUNDS = 5
HANDSHAKES, VERDICTS = 200, 100
TICK_S = 0.001
Made = TypeVar("Made")


def run() -> list[Figure]:
    """Measure."""
    with founded_home() as home:
        return asyncio.run(_rounds(home))


async def _rounds(home: Home) -> list[Figure]:
    key = ec.generate_private_key(ec.SECP256R1())
    authority = ceremony.client_authority(home)
    # Each verdict is a first one: a verifier remembers whom it found good.
    leaves = [
        issue.client_certificate(authority, CITY, key.public_key(), SYSTEM.now_us())
        for _ in range(VERDICTS)
    ]
    leaf = leaves[0]
    ders = [one.public_bytes(Encoding.DER) for one in leaves]
    (home.root / "client.pem").write_bytes(leaf.public_bytes(Encoding.PEM) + ceremony.key_pem(key))
    terms = CurrentTerms(home, Settings(), SYSTEM, observe)
    entries = [
        crl.Revoked(f"{1 << 128 | secrets.randbits(128):x}", SYSTEM.now_us(), "superseded")
        for _ in range(ENTRIES)
    ]
    found: dict[str, list[float]] = {}
    for number in range(1, ROUNDS + 1):
        for name, revoked in (("without", []), ("with", entries)):
            made, took = _timed(
                lambda revoked=revoked, number=2 * number + bool(revoked): crl.build(
                    authority, revoked, number, SYSTEM.now_us()
                )
            )
            crl.write(home.crl, made)
            loaded, stall = await _loaded(terms)
            verdict, handshake = _checks(home, terms, ders)
            for what, value in (
                ("build", took),
                ("load", loaded),
                ("stall", stall),
                ("verdict", verdict),
                ("handshake", handshake),
            ):
                found.setdefault(f"{what} {name}", []).append(value)
    _names_who_is_revoked(home, terms, ders[0], serial_text(leaf.serial_number), entries)
    return [_figure({name: statistics.median(values) for name, values in found.items()}, found)]


def _figure(median: dict[str, float], found: dict[str, list[float]]) -> Figure:
    conditions = (
        f"{ENTRIES:,} entries; built and signed in {median['build with']:,.0f} ms; while it loads the loop stands still "
        f"for {median['stall with']:.1f} ms at most; handshake {median['handshake with']:.2f} ms with the entries, "
        f"{median['handshake without']:.2f} without, verdict {median['verdict with']:.2f} and {median['verdict without']:.2f}"
    )
    limits = {"empty list": found["load without"]}
    return figure("crl.100k", "ms", found["load with"], limits, (), conditions)


async def _loaded(terms: CurrentTerms) -> tuple[float, float]:
    """Take the new list into use as the front does; return how long that took and the loop's longest stall, in ms."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK_S)
            longest = max(longest, time.perf_counter() - began - TICK_S)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.01)
    longest = 0.0
    began = time.perf_counter()
    assert await asyncio.to_thread(terms.refresh)
    took = time.perf_counter() - began
    await asyncio.sleep(2 * TICK_S)
    ticking.cancel()
    return took * 1000, longest * 1000


def _checks(home: Home, terms: CurrentTerms, leaves: list[bytes]) -> tuple[float, float]:
    """Return the medians of a verdict and of a handshake, in ms."""
    client = ssl.create_default_context(cafile=str(home.root_certificate))
    client.load_cert_chain(home.root / "client.pem")
    client.set_alpn_protocols(["h2"])
    judge = terms.current.verifier.judge
    verdicts = [_timed(lambda leaf=leaf: judge((leaf,)))[1] for leaf in leaves]
    handshakes = [_shaken(terms.current.context, client) for _ in range(HANDSHAKES)]
    return statistics.median(verdicts), statistics.median(handshakes)


def _shaken(context: SSL.Context, client: ssl.SSLContext) -> float:
    """Shake hands in memory; return the server's own milliseconds."""
    server = SSL.Connection(context, None)
    server.set_app_data(Presented())
    server.set_accept_state()
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    other = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    spent, done = 0.0, False
    while not done:
        with contextlib.suppress(ssl.SSLWantReadError):
            other.do_handshake()
        server.bio_write(to_server.read())
        began = time.perf_counter()
        try:
            server.do_handshake()
            done = True
        except SSL.WantReadError:
            to_client.write(server.bio_read(1 << 16))
        spent += time.perf_counter() - began
    return spent * 1000


def _names_who_is_revoked(
    home: Home, terms: CurrentTerms, leaf: bytes, serial: str, entries: list[crl.Revoked]
) -> None:
    """Fail unless the list of that size lets the leaf in while it does not name it, and tells of it when it does."""
    assert terms.current.verifier.judge((leaf,)).serial == serial
    named = [*entries, crl.Revoked(serial, SYSTEM.now_us(), "key-compromise")]
    number = 2 * ROUNDS + 2
    crl.write(home.crl, crl.build(ceremony.client_authority(home), named, number, SYSTEM.now_us()))
    assert terms.refresh()
    try:
        told = terms.current.verifier.judge((leaf,)).defect
    except Refusal as refusal:
        told = refusal.reason
    if told is not Reason.CERT_REVOKED:
        raise AssertionError("the list of that size does not refuse whom it names")


def _timed(make: Callable[[], Made]) -> tuple[Made, float]:
    """Return what was made and the milliseconds it took."""
    began = time.perf_counter()
    made = make()
    return made, (time.perf_counter() - began) * 1000
