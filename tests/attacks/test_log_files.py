"""The log's files over HTTP/1.1, through the real front: whoever may not read them, and whoever asks for what is no file.

Every attack is refused for its reason, leaves exactly one leaf, and the next good request works.
"""

import asyncio
import json
import ssl

import pytest

from gateway.audit.event import Event
from gateway.services import http_files
from tests.coverage.rpcs import Watch, eventually
from tests.http_reader import get, through_the_front
from tests.world import CITY, held

FILE = "tile/entries/000.p/1"
TRAVERSALS = [
    *("../secrets/signer/log.skey", "tile/../checkpoint", "tile/0/../../settings.toml", "//checkpoint"),
    *("tile/entries/%2e%2e/000", "tile/entries/000%00", "tile/0/x000/000", "tile\\0\\000", "/etc/passwd"),
    *("checkpoint?token=x", "checkpoint#", "tile/0/000/", "TILE/0/000", "log.vkey", ""),
]  # fmt: skip
WIDTHS = ["0", "00", "01", "256", "257", "999", "1000", "-1", "+1", "1.0", "x"]


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        world = stands.world
        world.logins = {
            who: stands.run(world.login(getattr(world, who)))
            for who in ("auditor", "city_auditor", "province_admin", "county")
        }
        stands.run(world.open_front())
        yield stands


async def good(world):
    """The next good request works."""
    watch = Watch(world)
    async with through_the_front(world, world.auditor) as line:
        answer = await line.ask(get(FILE, world.logins["auditor"]))
    assert answer.status == 200
    length = int.from_bytes(answer.content[:2], "big")
    assert json.loads(answer.content[2:])["version"] == 1
    assert len(answer.content) == 2 + length
    [leaf] = await watch.leaves()
    assert (leaf["kind"], leaf["decision"], leaf["strength"]) == ("audit.file", "allow", "weak")


async def tried(world, request, status, reason, *, who="auditor"):
    """Ask for it as somebody; return the leaf."""
    watch = Watch(world)
    async with through_the_front(world, getattr(world, who)) as line:
        answer = await line.ask(request)
    [leaf] = await watch.leaves()
    assert (answer.status, answer.reason) == (status, reason)
    assert (leaf["decision"], leaf["reason"]) == ("deny", reason)
    for token in world.logins.values():
        assert token not in answer.content.decode() + json.dumps(leaf)
    await good(world)
    return leaf


@pytest.mark.parametrize("path", TRAVERSALS)
def test_a_path_out_of_the_log(province, path):
    async def attack(world):
        leaf = await tried(world, get(path, world.logins["auditor"]), 400, "FIELD_INVALID")
        assert "detail" not in leaf

    province.run(attack(province.world))


@pytest.mark.parametrize("width", WIDTHS)
def test_a_partial_width_that_is_none(province, width):
    async def attack(world):
        request = get(f"tile/entries/000.p/{width}", world.logins["auditor"])
        await tried(world, request, 400, "FIELD_INVALID")

    province.run(attack(province.world))


@pytest.mark.parametrize(
    "path", ["tile/0/x999/x999/x999/999", "tile/entries/001", "tile/7/000", "tile/1/000"]
)
def test_a_tile_beyond_the_head(province, path):
    async def attack(world):
        leaf = await tried(world, get(path, world.logins["auditor"]), 404, "NOT_FOUND")
        assert leaf["detail"] == {"file": path}

    province.run(attack(province.world))


def test_an_entry_that_is_not_there_yet(province):
    async def attack(world):
        size = world.size()
        path = f"tile/entries/{size // 256:03d}.p/{size % 256 + 1}"
        await tried(world, get(path, world.logins["auditor"]), 404, "NOT_FOUND")

    province.run(attack(province.world))


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        ((), "TOKEN_MISSING"),
        (("a.b.c",), "TOKEN_INVALID"),
        (("auditor", "auditor"), "TOKEN_INVALID"),
    ],
)
def test_nobody_in_particular(province, tokens, reason):
    async def attack(world):
        given = [world.logins.get(one, one) for one in tokens]
        leaf = await tried(world, get(FILE, *given), 401, reason)
        assert "account" not in leaf

    province.run(attack(province.world))


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ("province_admin", "ROLE_NOT_ALLOWED"),
        ("county", "ROLE_NOT_ALLOWED"),
        ("city_auditor", "POLICY_DENIED"),
    ],
)
def test_another_role_and_another_organisation(province, who, reason):
    async def attack(world):
        leaf = await tried(world, get(FILE, world.logins[who]), 403, reason, who=who)
        assert leaf["account"] == getattr(world, who).account

    province.run(attack(province.world))


def test_the_auditors_token_on_another_certificate(province):
    async def attack(world):
        request = get(FILE, world.logins["auditor"])
        leaf = await tried(world, request, 401, "TOKEN_INVALID", who="city_auditor")
        assert leaf["organisation"] == world.city_auditor.organisation

    province.run(attack(province.world))


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "get", "GET\t"]
)
def test_a_method_that_only_reads_nothing(province, method):
    async def attack(world):
        request = get(FILE, world.logins["auditor"]).replace(b"GET", method.encode(), 1)
        await tried(world, request, 405, "METHOD_UNKNOWN")

    province.run(attack(province.world))


@pytest.mark.parametrize(
    ("part", "other"),
    [
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"HTTP/1.1", b"HTTP/2"),
        (b"Host: x", b"Host : x"),
        (b"Host: x", b"Host: x\r\n folded"),
        (b"Host: x", b"Host: x\0"),
        (b"Host: x", b"Host: x\ny: z"),
        (b"/tile", b"http://x/tile"),
        (b"/tile", b"/\xff/tile"),
    ],
)
def test_a_request_of_another_form(province, part, other):
    async def attack(world):
        await tried(
            world, get(FILE, world.logins["auditor"]).replace(part, other), 405, "METHOD_UNKNOWN"
        )

    province.run(attack(province.world))


@pytest.mark.parametrize(
    "field", ["Content-Length: 60", "Transfer-Encoding: chunked", "Upgrade: h2c"]
)
def test_a_request_smuggled_in_another(province, field):
    """What follows a request that should have nothing behind it is never read as one."""

    async def attack(world):
        token = world.logins["auditor"]
        inner = get("tile/0/000.p/1", token)
        await tried(world, get(FILE, token, fields=[field]) + inner, 400, "MESSAGE_SURPLUS")

    province.run(attack(province.world))


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("x" * 2_000, []),
        (FILE, ["X: " + "a" * 9_000]),
        (FILE, ["X: y"] * 2_000),
        ("x" * 60_000, []),
    ],
)
def test_an_oversize_path_and_oversize_headers(province, path, fields):
    async def attack(world):
        request = get(path, world.logins["auditor"], fields=fields)
        await tried(world, request, 431, "MESSAGE_TOO_LARGE")

    province.run(attack(province.world))


def test_a_request_that_never_ends(province, monkeypatch):
    async def attack(world):
        monkeypatch.setattr(http_files, "REQUEST_S", 0.3)
        await tried(world, get(FILE, world.logins["auditor"])[:-2], 400, "MESSAGE_MISSING")

    province.run(attack(province.world))


def test_a_slow_reader(province, monkeypatch):
    """Who asks and reads nothing is ended; what he had asked by then is on the log, and nobody else waits."""

    async def attack(world):
        monkeypatch.setattr(http_files, "ANSWER_S", 0.5)
        token = world.logins["auditor"]
        asked, width = 400, 255
        # Answers that no buffer on the way holds, however short the log was until now.
        recorder = world.doors["administration"].guard._recorder
        beat = Event(kind="log.heartbeat", door="host")
        await asyncio.gather(*(recorder.append(beat) for _ in range(width)))
        watch = Watch(world)
        async with through_the_front(world, world.auditor, limit=1024) as line:
            line.writer.write(get(f"tile/entries/000.p/{width}", token) * asked)
            await eventually(lambda: world.size() > watch._begin)
            await eventually(
                lambda: not [one for one in asyncio.all_tasks() if "HttpFiles._serve" in repr(one)]
            )
            leaves = await watch.leaves()
            assert {leaf["kind"] for leaf in leaves} == {"audit.file"}
            assert 0 < len(leaves) < asked
            monkeypatch.undo()
            await good(world)

    province.run(attack(province.world))


@pytest.mark.parametrize("door", ["identity", "intake", "disclosure"])
def test_http_at_another_door(province, door):
    async def attack(world):
        watch = Watch(world)
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            async with through_the_front(world, world.auditor, door=door) as line:
                await line.ask(get(FILE, world.logins["auditor"]))
        await eventually(lambda: world.leaves(watch._begin))
        [leaf] = await watch.leaves()
        assert (leaf["kind"], leaf["reason"]) == ("tls.refused", "TLS_NO_H2")
        await good(world)

    province.run(attack(province.world))


@pytest.mark.parametrize(
    ("person", "address", "alpn", "reason"),
    [
        (False, "", ("http/1.1",), "CERT_MISSING"),
        (True, CITY, ("http/1.1",), "ORIGIN_MISMATCH"),
        (True, "", (), "TLS_NO_H2"),
        (True, "", ("http/1.0",), "TLS_NO_H2"),
    ],
)
def test_let_in_by_no_front(province, person, address, alpn, reason):
    """No certificate, another's tunnel, no protocol: HTTP is let in where grpc is, and nowhere else."""

    async def attack(world):
        watch = Watch(world)
        at = world.address_of(address) if address else ""
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            async with through_the_front(
                world, world.auditor if person else None, alpn=alpn, address=at
            ) as line:
                await line.ask(get(FILE, world.logins["auditor"]))
        await eventually(lambda: world.leaves(watch._begin))
        [leaf] = await watch.leaves()
        assert leaf["reason"] == reason
        await good(world)

    province.run(attack(province.world))


def test_who_offers_both_protocols_reads_files_and_grpc_stays_grpc(province):
    async def work(world):
        async with through_the_front(world, world.auditor, alpn=("h2", "http/1.1")) as line:
            assert (await line.ask(get("checkpoint", world.logins["auditor"]))).status == 200
        async with world.secure_channel(world.auditor, "administration") as channel:
            method = "/gateway.v1.AuditService/GetCheckpoint"
            metadata = (("authorization", f"Bearer {world.logins['auditor']}"),)
            assert await channel.unary_unary(method)(b"", timeout=20, metadata=metadata)

    province.run(work(province.world))
