"""Both ends of the control socket, on a real one."""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import Reason, Refusal
from gateway.link import control
from gateway.link.connection import new_name
from gateway.link.control import ControlClient, ControlServer
from tests.audit.stage import until
from tests.link.test_connection import ONE


def between(work):
    """Run `work(server, client, table, path)` with both ends open."""

    async def run(path):
        table = {}
        server = ControlServer(table.get)
        await server.start(path)
        client = ControlClient(path)
        try:
            await work(server, client, table, path)
        finally:
            await client.close()
            await server.stop()

    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        asyncio.run(run(Path(folder) / "control.sock"))


def add(table):
    one = replace(ONE, name=new_name())
    table[one.name] = one
    return one


async def _until_unknown(client, name):
    # What the client has not been told yet, it answers from memory.
    await until(lambda: name not in client._known)
    assert await client.who(name) is None


def test_who_and_closed():
    async def work(server, client, table, path):
        one, two = add(table), add(table)
        assert await client.who(one.name) == one
        assert await client.who(two.name) == two
        assert await client.who(new_name()) is None
        del table[one.name]
        assert await client.who(one.name) == one  # remembered until it is told
        server.closed(one.name)
        await _until_unknown(client, one.name)
        assert await client.who(two.name) == two

    between(work)


def test_a_name_of_another_form_is_nobodys():
    async def work(server, client, table, path):
        for name in ("", "x" * 32, "../" * 10, '"}\n{"who": "' + "0" * 32):
            assert await client.who(name) is None

    between(work)


def test_many_ask_at_once():
    async def work(server, client, table, path):
        known = [add(table) for _ in range(50)]
        asked = [one.name for one in known for _ in range(4)]
        found = await asyncio.gather(*map(client.who, asked))
        assert [one.name for one in found] == asked

    between(work)


def test_every_door_is_told():
    async def work(server, client, table, path):
        other, one = ControlClient(path), add(table)
        assert await client.who(one.name) == await other.who(one.name) == one
        del table[one.name]
        server.closed(one.name)
        await _until_unknown(client, one.name)
        await _until_unknown(other, one.name)
        await other.close()

    between(work)


def test_a_dead_front_is_away_and_forgotten():
    """57: what was known before it died is not believed any more."""

    async def work(server, client, table, path):
        one = add(table)
        assert await client.who(one.name) == one
        await server.stop()
        await until(lambda: not client._known)
        with pytest.raises(Refusal) as refusal:
            await client.who(one.name)
        assert refusal.value.reason is Reason.FRONT_AWAY
        again = ControlServer({}.get)
        await again.start(path)
        assert await client.who(one.name) is None
        await again.stop()

    between(work)


def test_a_front_that_hangs_is_away(monkeypatch):
    monkeypatch.setattr(control, "ANSWER_S", 0.05)

    async def hang(reader, writer):
        try:
            await reader.read()
        finally:
            writer.close()

    async def run(path):
        server = await asyncio.start_unix_server(hang, path=str(path))
        client = ControlClient(path)
        with pytest.raises(Refusal) as refusal:
            await client.who(new_name())
        assert refusal.value.reason is Reason.FRONT_AWAY
        await client.close()
        server.close()

    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        asyncio.run(run(Path(folder) / "control.sock"))


@pytest.mark.parametrize(
    "said",
    [
        b"hello\n",
        b"{}\n",
        b"[]\n",
        b'{"who": 5}\n',
        b'{"who": "x"}\n',
        b"x" * 20_000,
        b"[" * 5_000 + b"\n",
    ],
)
def test_who_speaks_otherwise_is_cut(said):
    async def work(server, client, table, path):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(said)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
        one = add(table)
        assert await client.who(one.name) == one

    between(work)


@pytest.mark.parametrize(
    "answer", [b"hello\n", b"{}\n", b"[]\n", b'{"name": 5}\n', b'{"name": "x", "connection": {}}\n']
)
def test_a_front_that_speaks_otherwise_is_away(answer):
    async def babble(reader, writer):
        await reader.readline()
        writer.write(answer)
        await writer.drain()
        try:
            await reader.read()
        finally:
            writer.close()

    async def run(path):
        server = await asyncio.start_unix_server(babble, path=str(path))
        client = ControlClient(path)
        with pytest.raises(Refusal) as refusal:
            await client.who(new_name())
        assert refusal.value.reason is Reason.FRONT_AWAY
        await client.close()
        server.close()

    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        asyncio.run(run(Path(folder) / "control.sock"))


def test_the_socket_is_for_the_group_at_most():
    async def work(server, client, table, path):
        assert path.stat().st_mode & 0o777 == 0o660

    between(work)


def test_a_socket_that_a_dead_front_left_is_replaced():
    async def run(path):
        path.touch()
        server = ControlServer({}.get)
        await server.start(path)
        client = ControlClient(path)
        assert await client.who(new_name()) is None
        await client.close()
        await server.stop()

    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        asyncio.run(run(Path(folder) / "control.sock"))
