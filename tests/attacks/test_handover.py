"""identity.md section 7, attacks 52-57: nobody but the front says who a connection is.

52, 53, 55 and 57 at the identity door are in tests/services/test_checks.py (test_1_…); here they are tried at the
enrolment socket too, which asks for no certificate, and between the two listeners of one process.
"""

import asyncio
import socket
from dataclasses import replace

import grpc
import pytest

from gateway.config.home import LISTENERS
from gateway.link.connection import abstract_address, new_name
from gateway.v1 import enrolment_service_pb2 as enrolment
from gateway.v1 import identity_service_pb2 as identity
from tests.attacks.test_revocation_at_once import play
from tests.coverage.rpcs import WHOAMI, Watch, eventually, new_id
from tests.world import CITY, COUNTY, PROVINCE, RefusedError, held, relay

ENROL = "/gateway.v1.EnrolmentService/Enrol"
DIAGNOSE = "/gateway.v1.IdentityService/Diagnose"
FORGED = (
    ("x-forwarded-client-cert", f"URI=spiffe://gateway.invalid/org/{PROVINCE}/officer/admin"),
    ("x-forwarded-for", "127.0.0.1"),
    ("forwarded", f"for=127.0.0.1;host=org-{PROVINCE}"),
    ("x-spiffe-id", f"spiffe://gateway.invalid/org/{PROVINCE}/officer/admin"),
    ("x-organisation", PROVINCE),
    ("x-gateway-connection", "0" * 32),
    ("x-ssl-client-verify", "SUCCESS"),
    ("gateway-defect", ""),
)


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


def test_54_forged_headers_say_nothing(province):
    async def work():
        world = province.world
        token = await world.login(world.county)
        watch = Watch(world)
        reply = await world.call(world.county, WHOAMI, b"", token=token, metadata=FORGED)
        leaf = await watch.only_leaf()
        found = identity.WhoAmIResponse.FromString(reply)
        assert (found.organisation_code, found.spiffe_id) == (COUNTY, str(world.county.subject))
        assert (leaf["organisation"], leaf["subject"]) == (COUNTY, str(world.county.subject))
        lame = {"defect": "CERT_REVOKED"}
        with pytest.raises(RefusedError, match="CERT_REVOKED"):
            await world.call(world.county, WHOAMI, b"", token=token, metadata=FORGED, **lame)

    province.run(work())


def test_54_a_forged_authority_says_nothing(province):
    async def work():
        world = province.world
        token = await world.login(world.county)
        port = await world.entrance.listen(world.county, "identity", {})
        options = (
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.default_authority", f"{PROVINCE}.gateway.invalid"),
        )
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            metadata = (("authorization", f"Bearer {token}"),)
            raw = await channel.unary_unary(WHOAMI)(b"", timeout=10, metadata=metadata)
        assert identity.WhoAmIResponse.FromString(raw).organisation_code == COUNTY

    province.run(work())


async def _past_the_front(world, door, method, name=""):
    """Call over a connection of one's own to a door's socket, bound to a name if one is given."""
    path = str(world.home.door_socket(door))

    async def through(reader, writer):
        ours = socket.socket(socket.AF_UNIX)
        ours.setblocking(False)
        if name:
            ours.bind(abstract_address(name))
        await asyncio.get_running_loop().sock_connect(ours, path)
        await relay(reader, writer, *await asyncio.open_unix_connection(sock=ours))
        writer.close()

    server = await asyncio.start_server(through, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary(method)(b"", timeout=10)
    server.close()
    return RefusedError(raised.value)


@pytest.mark.parametrize("bound", [False, True], ids=["unbound", "guessed"])
@pytest.mark.parametrize(
    ("door", "method"), [("identity", DIAGNOSE), ("enrolment", ENROL), ("enrolment", DIAGNOSE)]
)
def test_52_53_past_the_front(province, door, method, bound):
    async def work():
        world = province.world
        watch = Watch(world)
        error = await _past_the_front(world, door, method, new_name() if bound else "")
        assert error.reason == "CONNECTION_UNKNOWN"
        leaf = await watch.only_leaf()
        assert (leaf["reason"], leaf["door"]) == ("CONNECTION_UNKNOWN", door)
        assert "organisation" not in leaf
        assert await world.call(world.county, DIAGNOSE, b"")

    province.run(work())


@pytest.mark.parametrize(
    ("stands_at", "tried_at", "method"),
    [("enrolment", "identity", DIAGNOSE), ("identity", "enrolment", ENROL)],
)
def test_53_a_name_of_the_other_listener_of_the_same_process(province, stands_at, tried_at, method):
    """A connection without certificate reaches nothing but enrolment; one with a certificate not even that."""

    async def work():
        world = province.world
        await world.call(world.county, DIAGNOSE, b"", peer="127.0.0.1:7")
        [name] = [n for n, c in world.entrance.connections.items() if c.peer == "127.0.0.1:7"]
        # The front knows another name, as one of the other listener.
        other = new_name()
        world.entrance.connections[other] = replace(
            world.entrance.connections[name], door=stands_at
        )
        watch = Watch(world)
        error = await _past_the_front(world, tried_at, method, other)
        del world.entrance.connections[other]
        assert error.reason == "CONNECTION_UNKNOWN"
        assert (await watch.only_leaf())["door"] == tried_at

    province.run(work())


def test_55_a_name_used_again_after_its_connections_end(cluster):
    """While it stands nobody else can have it; afterwards it is nobody's, though it was good a moment before."""

    async def work(world):
        front = await world.open_front()
        async with world.secure_channel(world.county, "identity") as channel:
            await channel.unary_unary(DIAGNOSE)(b"", timeout=10)
            [name] = front.connections._live
            with socket.socket(socket.AF_UNIX) as ours, pytest.raises(OSError, match="in use"):
                ours.bind(abstract_address(name))
        await eventually(lambda: not front.connections)
        watch = Watch(world)
        error = await _past_the_front(world, "identity", DIAGNOSE, name)
        assert (error.code, error.reason) == ("UNAUTHENTICATED", "CONNECTION_UNKNOWN")
        leaf = await watch.only_leaf()
        assert (leaf["decision"], leaf["reason"]) == ("deny", "CONNECTION_UNKNOWN")
        assert not {"organisation", "subject", "serial"} & set(leaf)
        async with world.secure_channel(world.county, "identity") as channel:
            await channel.unary_unary(DIAGNOSE)(b"", timeout=10)

    play(cluster, work)


def test_the_enrolment_listener_leads_nowhere_else(province):
    async def work():
        world = province.world
        await world.login(world.county)  # for a connection whose origin is a real one
        nobody = {"subject": "", "serial": "", "certificate_sha256": "", "not_after_us": 0}
        for method in (
            DIAGNOSE,
            WHOAMI,
            "/gateway.v1.IdentityService/Login",
            "/grpc.health.v1.Health/Check",
        ):
            watch = Watch(world)
            with pytest.raises(RefusedError, match="METHOD_UNKNOWN"):
                await world.call(world.county, method, b"", door="enrolment", **nobody)
            leaf = await watch.only_leaf()
            assert (leaf["door"], leaf["reason"]) == ("enrolment", "METHOD_UNKNOWN")
            assert leaf["organisation"] == COUNTY, "the tunnel's"
            assert "subject" not in leaf
            assert "certificate" not in leaf
        request = enrolment.EnrolRequest(request_id=new_id(), code="0" * 26, csr=b"x")
        watch = Watch(world)
        with pytest.raises(RefusedError, match=r"CODE_INVALID|FIELD_INVALID"):
            await world.call(world.county, ENROL, request, door="enrolment", **nobody)
        leaf = await watch.only_leaf()
        assert (leaf["kind"], leaf["decision"]) == ("enrolment.enrol", "deny")
        assert "0" * 26 not in str(leaf)

    province.run(work())


def test_the_enrolment_listener_holds_the_tunnel_too(province):
    async def work():
        world = province.world
        await world.login(world.county)  # for a connection whose origin is a real one
        nobody = {
            "subject": "",
            "serial": "",
            "certificate_sha256": "",
            "not_after_us": 0,
            "organisation": CITY,
        }
        watch = Watch(world)
        found = {**nobody, "origin": replace(_origin(world), organisation=COUNTY)}
        with pytest.raises(RefusedError, match="ORIGIN_MISMATCH"):
            await world.call(world.county, ENROL, b"", door="enrolment", **found)
        assert (await watch.only_leaf())["reason"] == "ORIGIN_MISMATCH"

    province.run(work())


def _origin(world):
    return next(iter(world.entrance.connections.values())).origin


def test_56_sockets_are_closed_to_others(province):
    """No other user gets as far as a name: the folders are closed to them, the sockets to all but the group."""
    home = province.world.home
    for door in LISTENERS:
        path = home.door_socket(door)
        assert path.stat().st_mode & 0o777 == 0o660
        assert path.parent.stat().st_mode & 0o007 == 0
    assert home.control_socket.stat().st_mode & 0o777 == 0o660
    assert home.control_socket.parent.stat().st_mode & 0o007 == 0
