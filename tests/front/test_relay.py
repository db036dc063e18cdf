"""The relay on real sockets: every byte arrives in order, both ways at once, whoever is slow, whoever ends first."""

import asyncio
import hashlib
import secrets
import socket
import ssl
from contextlib import asynccontextmanager

import pytest

from gateway.clock import SYSTEM
from gateway.config.settings import Settings
from gateway.front import context, handshake
from gateway.front.relay import Relay
from gateway.pki import ceremony
from tests.pki.forge import Ca, Papers
from tests.pki.ground import founded_home


@pytest.fixture(scope="module")
def ground():
    """Terms, and a client's context that they let in."""
    with founded_home() as home:
        authority = ceremony.client_authority(home)
        papers: Papers = Ca(authority, authority, authority, SYSTEM.now_us()).good()
        client = ssl.create_default_context(cafile=str(home.root_certificate))
        client.set_alpn_protocols(["h2"])
        file = home.root / "client.pem"
        file.write_bytes(papers.pem())
        client.load_cert_chain(file)
        yield context.CurrentTerms(home, Settings(), SYSTEM, handshake.observe).current, client


@asynccontextmanager
async def relayed(ground):
    """Give a client's streams, the door's streams, and the events that the relay told."""
    terms, client = ground
    loop = asyncio.get_running_loop()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    connecting = asyncio.create_task(
        asyncio.open_connection("127.0.0.1", listening.getsockname()[1], ssl=client)
    )
    sock, _ = await loop.sock_accept(listening)
    sock.setblocking(False)
    tls = await handshake.shake(sock, terms.context, handshake.Presented())
    near, far = socket.socketpair()
    near.setblocking(False)
    ended = asyncio.Event()
    door = await asyncio.open_connection(sock=far)
    relay = Relay(tls, sock, near, ended.set)
    relay.start()
    streams = await connecting
    try:
        yield streams, door, relay, ended
    finally:
        relay.end()
        for _, writer in (streams, door):
            writer.close()
        listening.close()
        await asyncio.sleep(0)


async def _send(writer, data, piece):
    for start in range(0, len(data), piece):
        writer.write(data[start : start + piece])
        await writer.drain()


async def _receive(reader, size, pause=0.0):
    digest, left = hashlib.sha256(), size
    while left:
        data = await reader.read(min(left, 1 << 18))
        assert data
        digest.update(data)
        left -= len(data)
        await asyncio.sleep(pause)
    return digest.digest()


@pytest.mark.parametrize("piece", [1_000, 8_192, 16_384, 1 << 20])
def test_every_byte_both_ways_at_once(ground, piece):
    async def run():
        size = 200_000 if piece == 1_000 else 8 << 20
        up, down = secrets.token_bytes(size), secrets.token_bytes(size)
        async with relayed(ground) as ((reader, writer), (door_reader, door_writer), _, _):
            _, _, received_up, received_down = await asyncio.gather(
                _send(writer, up, piece),
                _send(door_writer, down, piece),
                _receive(door_reader, size),
                _receive(reader, size),
            )
            assert received_up == hashlib.sha256(up).digest()
            assert received_down == hashlib.sha256(down).digest()

    asyncio.run(run())


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_slow_reader_holds_the_sender_back(ground, direction):
    """Backpressure: what nobody reads is not piled up here, and nothing is lost."""

    async def run():
        async with relayed(ground) as (client, door, relay, _):
            (reader, writer) = (door[0], client[1]) if direction == "up" else (client[0], door[1])
            data = secrets.token_bytes(24 << 20)
            sending = asyncio.create_task(_send(writer, data, 1 << 18))
            await asyncio.sleep(0.3)
            assert not sending.done()
            kept = sum(map(len, relay._to_door)) + len(relay._to_tls)
            assert kept <= 1 << 18
            assert await _receive(reader, len(data)) == hashlib.sha256(data).digest()
            await sending

    asyncio.run(run())


@pytest.mark.parametrize("who", ["client", "door"])
def test_the_end_of_one_side_is_the_end(ground, who):
    """What was sent before the end arrives; then both sides are closed and it is told once."""

    async def run():
        async with relayed(ground) as (client, door, relay, ended):
            near, far = (client, door) if who == "client" else (door, client)
            near[1].write(b"last words")
            near[1].close()
            async with asyncio.timeout(5):
                assert await far[0].read() == b"last words"
                await ended.wait()
            relay.end()

    asyncio.run(run())


def test_a_client_that_dies_without_goodbye(ground):
    async def run():
        async with relayed(ground) as (client, door, _, ended):
            client[1].transport.abort()
            async with asyncio.timeout(5):
                assert await door[0].read() == b""
                await ended.wait()

    asyncio.run(run())


def test_a_cut_ends_both_at_once(ground):
    async def run():
        async with relayed(ground) as (client, door, relay, ended):
            relay.end()
            assert ended.is_set()
            async with asyncio.timeout(5):
                assert await door[0].read() == b""
                assert await client[0].read() == b""

    asyncio.run(run())


def test_garbage_instead_of_records_ends_it(ground):
    async def run():
        async with relayed(ground) as (client, door, _, ended):
            client[1].get_extra_info("socket")
            raw = socket.socket(fileno=client[1].get_extra_info("socket").fileno())
            try:
                raw.send(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            finally:
                raw.detach()
            async with asyncio.timeout(5):
                await ended.wait()
                assert await door[0].read() == b""

    asyncio.run(run())
