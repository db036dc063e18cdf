"""identity.md section 7, attacks 77 to 80 and 84: requests that ask for more, prove nothing, or bring a key that must not be.

Promise: of a certificate request only the public key is taken, once its holder proves to hold it, once it is sound, and
only if nobody had a certificate for it. Refused with the rule, one leaf, and the next good call is served.
"""

import math
import secrets

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from google.rpc import error_details_pb2

from gateway.pki import ceremony, issue, profile, register
from gateway.pki.lint import faults, subject_of
from tests.coverage.rpcs import Watch, eventually, refused
from tests.papers import new_key, request_for
from tests.services.enrolling import enrol, invite, renew
from tests.world import held


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


async def attacked(world, call, rule):
    """Refused for this rule, with one leaf."""
    watch = Watch(world)
    error = await refused(call)
    leaf = await watch.only_leaf()
    assert error.reason == leaf["reason"] == "FIELD_INVALID"
    found = error.detail(error_details_pb2.BadRequest).field_violations
    assert rule in str(found)


def test_77_a_request_that_asks_for_more_gets_what_the_invitation_says(province):
    async def work(world):
        key = new_key()
        asked = request_for(
            key,
            x509.BasicConstraints(ca=True, path_length=3),
            x509.KeyUsage(*[True] * 9),
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
            x509.SubjectAlternativeName(
                [
                    x509.UniformResourceIdentifier(
                        "spiffe://gateway.invalid/org/140000/officer/admin"
                    )
                ]
            ),
        )
        answer = await enrol(world, (await invite(world)).code, asked)
        found = x509.load_der_x509_certificate(answer.certificate.certificate)
        assert faults(found, profile.load("client")) == []
        assert subject_of(found) == world.county.subject
        answer = await renew(world, world.city, asked_again(world))
        found = x509.load_der_x509_certificate(answer.certificate.certificate)
        assert subject_of(found) == world.city.subject
        assert faults(found, profile.load("client")) == []

    province.run(work(province.world))


def asked_again(_world) -> bytes:
    return request_for(new_key(), x509.BasicConstraints(ca=True, path_length=None))


def swapped(key, other) -> bytes:
    """A request with another's public key under our own signature."""
    mine = request_for(key)
    spki = [
        one.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for one in (key, other)
    ]
    assert spki[0] in mine
    return mine.replace(*spki)


@pytest.mark.parametrize("by", ["enrolment", "renewal"])
def test_78_who_does_not_hold_the_key_proves_nothing(province, by):
    async def work(world):
        made = await invite(world)

        def call(request):
            if by == "renewal":
                return renew(world, world.county, request)
            return enrol(world, made.code, request)

        broken = bytearray(request_for(new_key()))
        broken[-1] ^= 1
        for request in (swapped(new_key(), new_key()), bytes(broken)):
            await attacked(world, call(request), "csr-signature")
        for request in (
            b"",
            b"\x30\x00",
            request_for(new_key())[:-1],
            request_for(new_key()) + b"\0",
        ):
            watch = Watch(world)
            assert (await refused(call(request))).reason in ("FIELD_INVALID", "CODE_BURNT")
            await watch.only_leaf()
        again = await invite(world)
        assert await (renew(world, world.county) if by == "renewal" else enrol(world, again.code))

    province.run(work(province.world))


@pytest.mark.parametrize("by", ["enrolment", "renewal"])
def test_79_a_key_that_is_somebodys_already(province, by):
    async def work(world):
        front_key = ceremony.load(world.home.offline, "server-authority").key
        for key, rule in (
            (world.city.key, "csr-key-seen"),
            (world.county.key, "csr-key-seen"),
            (world.authority.key, "csr-key-own"),
            (ceremony.load(world.home.offline, "root").key, "csr-key-own"),
            (front_key, "csr-key-own"),
        ):
            code = (await invite(world)).code
            call = renew(world, world.county, key) if by == "renewal" else enrol(world, code, key)
            await attacked(world, call, rule)
        answer = await renew(world, world.county)
        assert answer.certificate.certificate

    province.run(work(province.world))


def rsa_key(p: int, q: int) -> rsa.RSAPrivateKey:
    """The key of two primes."""
    d = pow(65537, -1, math.lcm(p - 1, q - 1))
    numbers = rsa.RSAPrivateNumbers(
        *(p, q, d, d % (p - 1), d % (q - 1), rsa.rsa_crt_iqmp(p, q)),
        rsa.RSAPublicNumbers(65537, p * q),
    )
    return numbers.private_key()


# Of the primes below 2000: what shares a factor with it need not be tried further.
SMALL = math.prod(
    n for n in range(3, 2000, 2) if all(n % d for d in range(3, math.isqrt(n) + 1, 2))
)


def is_prime(number: int) -> bool:
    return (
        math.gcd(number, SMALL) == 1
        and pow(2, number - 1, number) == 1
        and math.gcd(65537, number - 1) == 1
    )


def near_primes() -> rsa.RSAPrivateKey:
    """Its primes are so close together that Fermat's method finds them at once."""
    one = rsa.generate_private_key(65537, 3072).private_numbers().p
    other = one + 2
    while not is_prime(other):
        other += 2
    return rsa_key(other, one)


def broken_generator() -> rsa.RSAPrivateKey:
    """Its primes are made as the generator of CVE-2017-15361 made them: k * M + 65537 ** a mod M."""
    primorial = math.prod(n for n in range(2, 168) if all(n % d for d in range(2, n)))

    def prime() -> int:
        while True:
            k = secrets.randbits(1536 - primorial.bit_length()) | 3 << 1534 - primorial.bit_length()
            found = k * primorial + pow(65537, secrets.randbits(64), primorial)
            if is_prime(found):
                return found

    return rsa_key(prime(), prime())


WEAK = {
    "RSA of 2048 bits": lambda: rsa.generate_private_key(65537, 2048),
    "RSA with exponent 3": lambda: rsa.generate_private_key(3, 3072),
    "near primes": near_primes,
    "the broken generator": broken_generator,
    "a curve of another profile": lambda: ec.generate_private_key(ec.SECP521R1()),
}


@pytest.mark.parametrize("kind", WEAK)
def test_80_a_key_that_can_be_computed_is_not_certified(province, kind):
    # Seconds, before the loop runs: within it connections would wait for them.
    key = WEAK[kind]()

    async def work(world):
        await attacked(world, enrol(world, (await invite(world)).code, key), "csr-key")
        await attacked(world, renew(world, world.county, key), "csr-key")
        assert (await enrol(world, (await invite(world)).code)).certificate.serial

    province.run(work(province.world))


def test_80_an_algorithm_that_the_profile_does_not_know(province):
    async def work(world):
        key = ed25519.Ed25519PrivateKey.generate()
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        request = builder.sign(key, None).public_bytes(Encoding.DER)
        await attacked(world, enrol(world, (await invite(world)).code, request), "csr-key")

    province.run(work(province.world))


@pytest.mark.parametrize("by", ["enrolment", "renewal"])
def test_84_a_crash_between_signature_and_commit(province, monkeypatch, by):
    """What was signed but not recorded is let in by nobody; the same request is answered afterwards."""

    async def work(world):
        code, key = (await invite(world)).code, new_key()
        made = []
        genuine = issue.client_certificate

        def dies(*given, **named):
            made.append(genuine(*given, **named))
            raise RuntimeError("crash after the signature")

        def call():
            return renew(world, world.county, key) if by == "renewal" else enrol(world, code, key)

        monkeypatch.setattr(issue, "client_certificate", dies)
        watch = Watch(world)
        error = await refused(call())
        assert error.code == "INTERNAL"
        leaf = await watch.only_leaf()
        assert (leaf["decision"], leaf["reason"]) == ("error", "INTERNAL")
        monkeypatch.undo()
        assert made
        serial = f"{made[-1].serial_number:x}"
        [(known,)] = world.sql("SELECT count(*) FROM gateway.certificate WHERE serial = %s", serial)
        assert known == 0
        assert (await call()).certificate.serial != serial

    province.run(work(province.world))


@pytest.mark.parametrize("by", ["enrolment", "renewal"])
def test_84_an_issuer_that_stands_still_is_thrown_out(province, monkeypatch, by):
    """The database ends its session, so that a revocation need not wait for it; what it had under way is undone."""

    async def work(world):
        code, key, genuine = (await invite(world)).code, new_key(), register.require_active

        def call():
            return renew(world, world.city, key) if by == "renewal" else enrol(world, code, key)

        async def stands_still(tx, bearer):
            [(pid,)] = await tx.fetch("SELECT pg_backend_pid()")
            ended = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"
            await eventually(lambda: not world.sql(ended, pid))
            await genuine(tx, bearer)

        with monkeypatch.context() as patched:
            patched.setattr(register, "STILL_MS", 200)
            patched.setattr(register, "require_active", stands_still)
            watch = Watch(world)
            error = await refused(call())
        assert error.code == "INTERNAL"
        leaf = await watch.only_leaf()
        assert (leaf["decision"], leaf["reason"]) == ("error", "INTERNAL")
        assert (await call()).certificate.serial

    province.run(work(province.world))
