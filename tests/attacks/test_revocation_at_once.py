"""identity.md section 7, attacks 6 and 45 to 47, and issue 3: what is revoked is out at once, by one call, everywhere.

From the invitation to the cut through the real front: a system enrols without a certificate, comes in with the one it
got, and uploads; an administrator revokes the system, or the organisation, or the authority; the stream that stands is
cut, the list names the certificate before the answer, a new connection is told why, and others go on. What is for
encrypting opens no connection.
"""

import asyncio
import contextlib
import socket
import ssl
import tempfile
from dataclasses import replace

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.names import DEFAULT_TRUST_DOMAIN
from gateway.pki import authorities, publish
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import certificate_pb2 as certificate
from gateway.v1 import enrolment_service_pb2 as enrolment
from gateway.v1 import identity_service_pb2 as identity
from tests.coverage.rpcs import LOGIN, UPLOAD, WHOAMI, eventually, new_id
from tests.papers import new_key, request_for
from tests.services.enrolling import ENROL, invitation
from tests.world import OPTIONS, PASSWORD, Ground, RefusedError, World, fresh_ground

SERVICE = "/gateway.v1.AdminService/"
Request = admin.RevokeCertificatesRequest


async def over_tls(world, person, door, method, request=b"", token=""):
    """One call on a connection of its own."""
    raw = request if isinstance(request, bytes) else request.SerializeToString()
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    async with world.secure_channel(person, door) as channel:
        try:
            return await channel.unary_unary(method)(raw, timeout=10, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise RefusedError(error) from None


async def login(world, person):
    request = identity.LoginRequest(account_name=person.account, password=PASSWORD)
    raw = await over_tls(world, person, "identity", LOGIN, request)
    return identity.LoginResponse.FromString(raw).access_token


async def administer(world, name, request, answer):
    who = world.province_admin
    token = await login(world, who)
    raw = await over_tls(world, who, "administration", SERVICE + name, request, token)
    return answer.FromString(raw)


async def enrolled(world, person, **fields):
    """The person with another certificate, got by a code over the enrolment listener."""
    wanted = invitation(person.subject.name, person.organisation, **fields)
    made = await administer(world, "InviteCertificate", wanted, admin.InviteCertificateResponse)
    key = new_key()
    request = enrolment.EnrolRequest(request_id=new_id(), code=made.code, csr=request_for(key))
    # Nothing is shown; the server's name and root are what the client checks.
    credentials = grpc.ssl_channel_credentials(world.home.root_certificate.read_bytes())
    name = ("grpc.ssl_target_name_override", DEFAULT_TRUST_DOMAIN)
    target = f"{world.address_of(person.organisation)}:{world.settings.ports.enrolment}"
    async with grpc.aio.secure_channel(target, credentials, options=(*OPTIONS, name)) as channel:
        raw = await channel.unary_unary(ENROL)(request.SerializeToString(), timeout=10)
    answer = enrolment.EnrolResponse.FromString(raw)
    found = x509.load_der_x509_certificate(answer.certificate.certificate)
    return replace(person, key=key, certificate=found)


async def uploading(world, person):
    """An open stream of a person's, which has answered."""
    token = await login(world, person)
    channel = world.secure_channel(person, "intake")
    stream = channel.stream_stream(UPLOAD)(
        metadata=(("authorization", f"Bearer {token}"),), timeout=60
    )
    await stream.wait_for_connection()
    return channel, stream


def target_of(world, person, what):
    if what == "serial":
        return {"serial": person.serial}
    if what == "bearer":
        return {
            "bearer": Request.Bearer(
                organisation_code=person.organisation, system_name=person.subject.name
            )
        }
    if what == "organisation":
        return {"organisation_code": person.organisation}
    return {"authority_spki_sha256": authorities.load(world.home)[0].spki_sha256.hex()}


@pytest.mark.parametrize("what", ["serial", "bearer", "organisation", "authority"])
def test_one_call_cuts_lists_and_tells(cluster, what):
    async def work(world: World):
        await world.open_front()
        await world.keep_lists()
        person = await enrolled(world, world.county)
        channel, stream = await uploading(world, person)
        other_channel, other = await uploading(world, world.other_county)
        before = world.size()
        request = Request(
            request_id=new_id(),
            cause=Request.CAUSE_KEY_COMPROMISE,
            reason="stolen",
            **target_of(world, person, what),
        )
        answer = (
            await administer(world, "RevokeCertificates", request, admin.RevokeCertificatesResponse)
            if what != "authority"
            else await revoke_everything(world, request)
        )
        named = {
            f"{entry.serial_number:x}"
            for one in publish.published(world.home).lists
            for entry in one
        }
        assert answer is None or (answer.revoked_count >= 1 and person.serial in named)
        with pytest.raises(grpc.aio.AioRpcError):
            await asyncio.wait_for(stream.read(), 5)
        await eventually(lambda: cuts(world, before, person))
        leaf = cuts(world, before, person)[0]
        assert leaf["reason"] == "CERT_REVOKED"
        if what == "authority":
            await channel.close()
            await other_channel.close()
            return
        with pytest.raises(RefusedError, match="CERT_REVOKED"):
            await over_tls(world, person, "identity", WHOAMI, b"", "x")
        # Nobody else felt it.
        await other.done_writing()
        assert await other.read() is grpc.aio.EOF
        await login(world, world.other_county)
        # And the way back in is another invitation.
        if what != "organisation":
            await login(world, await enrolled(world, world.county))
        await channel.close()
        await other_channel.close()

    play(cluster, work)


async def revoke_everything(world, request):
    """The administrator's own connection is of that authority too: it may be cut before the answer."""
    with contextlib.suppress(RefusedError):
        return await administer(
            world, "RevokeCertificates", request, admin.RevokeCertificatesResponse
        )
    return None


def cuts(world, since, person):
    return [
        leaf
        for leaf in world.leaves(since)
        if leaf["kind"] == "connection.cut" and leaf.get("serial") == person.serial
    ]


def test_what_is_for_encrypting_opens_no_connection(cluster):
    async def work(world: World):
        await world.open_front()
        purpose = certificate.CERTIFICATE_PURPOSE_ENCRYPTION
        person = await enrolled(world, world.county, purpose=purpose)
        before = world.size()
        assert await asyncio.to_thread(shown, world, person) == b""
        await eventually(lambda: len(world.leaves(before)) >= 1)
        [leaf] = world.leaves(before)
        assert (leaf["kind"], leaf["reason"]) == ("tls.refused", "CERT_PROFILE")
        await login(world, world.county)

    play(cluster, work)


def shown(world, person) -> bytes:
    """Show a person's certificate at the identity door and return what comes back: nothing.

    By OpenSSL: grpc itself refuses to sign a handshake with such a certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(world.home.root_certificate)
    context.set_alpn_protocols(["h2"])
    with tempfile.NamedTemporaryFile() as file:
        key = person.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write(key + person.certificate.public_bytes(Encoding.PEM))
        file.flush()
        context.load_cert_chain(file.name)
    address = (world.address_of(person.organisation), world.settings.ports.identity)
    with (
        socket.create_connection(address, 5) as plain,
        context.wrap_socket(plain, server_hostname=DEFAULT_TRUST_DOMAIN) as secure,
    ):
        try:
            return secure.recv(1)
        except OSError:
            return b""


def play(cluster, work):
    async def run(ground: Ground):
        async with World.open(ground) as world:
            await work(world)

    with fresh_ground(cluster) as ground:
        asyncio.run(run(ground))
