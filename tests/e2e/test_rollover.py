"""Server certificate, server authority and client authority are exchanged while a province works: no call fails."""

import asyncio
from dataclasses import replace

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.names import DEFAULT_TRUST_DOMAIN
from gateway.pki import authorities, ceremony, crl, der, keys, offline, rollover
from gateway.pki.publish import Keeper
from gateway.store import roles
from gateway.store.database import Database
from gateway.v1 import identity_service_pb2 as identity
from tests.coverage.rpcs import LOGIN, UPLOAD, a_batch, eventually, new_id
from tests.world import PASSWORD, held

WHO = "/gateway.v1.IdentityService/WhoAmI"
RENEW = "/gateway.v1.IdentityService/RenewCertificate"
CALLERS = 4
CALLS = 200
TIMEOUT_S = 20


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        # All callers are one peer here, and faster than any: the limit is not what is tried.
        limits = stands.world.home.policies / "limits.toml"
        text = limits.read_text(encoding="utf-8")
        assert "new_per_peer_per_s = 20.0" in text
        limits.write_text(
            text.replace("new_per_peer_per_s = 20.0", "new_per_peer_per_s = 2000.0"),
            encoding="utf-8",
        )
        stands.run(stands.world.open_front())
        yield stands.world, stands.run


def bearer(token):
    return (("authorization", f"Bearer {token}"),)


async def login(world, person):
    async with world.secure_channel(person, "identity") as channel:
        request = identity.LoginRequest(account_name=person.account, password=PASSWORD)
        reply = await channel.unary_unary(LOGIN)(request.SerializeToString(), timeout=TIMEOUT_S)
    return identity.LoginResponse.FromString(reply).access_token


async def who(channel, token):
    reply = await channel.unary_unary(WHO)(b"", metadata=bearer(token), timeout=TIMEOUT_S)
    return identity.WhoAmIResponse.FromString(reply)


async def calling(world, person, token, done, counts):
    """Call over a new connection each time, and over one that stays; nothing is caught."""
    async with world.secure_channel(person, "identity") as kept:
        while not done.is_set() or counts["calls"] < CALLS:
            async with world.secure_channel(person, "identity") as fresh:
                await who(fresh, token)
            await who(kept, token)
            counts["calls"] += 2


async def uploading(world, person, token, done, counts):
    """One stream from before the first exchange until after the last."""
    async with world.secure_channel(person, "intake") as channel:
        stream = channel.stream_stream(UPLOAD)(metadata=bearer(token))
        while not done.is_set():
            await stream.write(a_batch(world, person).SerializeToString())
            assert await stream.read() is not grpc.aio.EOF
            counts["batches"] += 1
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
        assert await stream.code() is grpc.StatusCode.OK


def exchange(world, kind):
    """Request, sign in the safe, judge, put."""
    home, now_us = world.home, world.clock.now_us()
    hosts = ["127.0.0.1", DEFAULT_TRUST_DOMAIN] if kind == "server" else []
    request = rollover.request(home, kind).public_bytes(Encoding.PEM)
    signer = ceremony.load(home.offline, offline.SIGNERS[kind])
    content = offline.sign(offline.read(request, kind, hosts), signer, now_us)
    following = rollover.judge(home, content, DEFAULT_TRUST_DOMAIN, now_us)
    rollover.put(home, following, now_us)
    return following.certificate


async def keeping(world, done):
    """What the supervisor does, as often as it can: lists are written while authorities change."""
    conninfo = roles.conninfo(world.home, world.settings, "front")
    database = await Database.open(conninfo, application="test")
    keeper = Keeper(world.home, database, world.clock)
    while not done.is_set():
        await keeper.look()
        await asyncio.sleep(0.01)
    await database.close()


def lists_in_force(world):
    return {one.issuer_sha256: one.number for one in world.front._terms.current.lists}


def test_no_call_fails_while_everything_is_exchanged(province):
    world, run = province

    async def work():
        done, counts = asyncio.Event(), {"calls": 0, "batches": 0}
        begun, anchors = world.size(), len(authorities.load(world.home))
        person, uploader = world.city, world.county
        tokens = [await login(world, one) for one in (person, uploader)]
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(calling(world, person, tokens[0], done, counts))
            group.create_task(uploading(world, uploader, tokens[1], done, counts))
            keeper = group.create_task(keeping(world, done))
            await eventually(lambda: counts["calls"] > 20 and counts["batches"] > 2)
            made = []
            for kind in ("server-authority", "server", "client-authority", "server"):
                made.append(await asyncio.to_thread(exchange, world, kind))
                before = dict(counts)
                await eventually(
                    lambda before=before: (
                        counts["calls"] > before["calls"] + 20
                        and counts["batches"] > before["batches"] + 2
                    )
                )
            digest = keys.spki_sha256(made[2].public_key())
            await eventually(lambda: digest in lists_in_force(world))
            done.set()
        assert keeper.exception() is None
        assert counts["calls"] >= CALLS
        wrong = [leaf for leaf in world.leaves(begun) if leaf["decision"] != "allow"]
        assert wrong == []
        shown = der.certificates(ceremony.server_files(world.home)[1].read_bytes())
        assert shown == [made[3], made[0]]
        lists = der.revocation_lists(world.home.crl.read_bytes())
        numbers = [
            crl.number_of(crl.of(one.certificate, lists)) for one in authorities.load(world.home)
        ]
        assert len(numbers) == anchors + 1
        assert lists_in_force(world)[digest] <= numbers[0]

    run(work())


def test_the_next_renewal_comes_from_the_new_authority_without_a_restart(province):
    world, run = province

    async def work():
        trusted = len(lists_in_force(world))
        await asyncio.to_thread(exchange, world, "client-authority")
        await eventually(lambda: len(lists_in_force(world)) == trusted + 1)
        person = world.other_county
        token = await login(world, person)
        async with world.secure_channel(person, "identity") as channel:
            await who(channel, token)
            world.clock.turn(seconds=authorities.SETTLE_S)
            assert (await who(channel, token)).renewal_window.start_time.ToMicroseconds() <= (
                world.clock.now_us()
            )
            key = ec.generate_private_key(ec.SECP256R1())
            name = x509.Name([])
            csr = x509.CertificateSigningRequestBuilder().subject_name(name)
            request = identity.RenewCertificateRequest(
                request_id=new_id(), csr=csr.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
            )
            reply = identity.RenewCertificateResponse.FromString(
                await channel.unary_unary(RENEW)(
                    request.SerializeToString(), metadata=bearer(token), timeout=TIMEOUT_S
                )
            )
        certificate = der.certificate(reply.certificate.certificate)
        newest = authorities.load(world.home)[0].certificate
        certificate.verify_directly_issued_by(newest)
        renewed = replace(person, key=key, certificate=certificate)
        async with world.secure_channel(renewed, "identity") as channel:
            found = await who(channel, reply.access_token)
        assert found.organisation_code == person.organisation
        [row] = world.sql(
            "SELECT issuer_sha256 FROM gateway.certificate WHERE serial = %s", renewed.serial
        )
        assert bytes(row[0]) == keys.spki_sha256(newest.public_key())

    run(work())
