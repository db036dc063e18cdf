import grpc
import pytest
from cryptography import x509

from gateway.pki.lint import subject_of
from gateway.services import certificates
from gateway.v1 import certificate_pb2 as certificate
from tests.coverage.rpcs import LOGIN, Watch
from tests.papers import fingerprint, new_key, system
from tests.services.enrolling import ENROL, enrol, invite
from tests.world import COUNTY, OPTIONS, RefusedError


def test_all_that_a_client_needs_comes_with_the_certificate(province):
    async def work(world):
        made, key = await invite(world), new_key()
        watch = Watch(world)
        answer = await enrol(world, made.code, key)
        leaf = await watch.only_leaf()
        issued = answer.certificate
        found = x509.load_der_x509_certificate(issued.certificate)
        assert found.public_key() == key.public_key()
        assert str(subject_of(found)) == answer.spiffe_id == str(world.county.subject)
        assert (answer.organisation_code, answer.account_name) == (COUNTY, "uploader")
        assert (answer.trust_domain, answer.server_name) == ("gateway.invalid", "gateway.invalid")
        assert answer.log_key == world.home.log_key.read_text().strip()
        ports = world.settings.ports
        assert (answer.identity_port, answer.intake_port) == (ports.identity, ports.intake)
        assert answer.administration_port == ports.administration
        assert answer.purpose == certificate.CERTIFICATE_PURPOSE_TLS
        bounds = issued.renewal_window
        assert bounds.start_time.seconds < bounds.end_time.seconds < issued.expire_time.seconds
        assert leaf["detail"].items() >= {
            ("invitation", made.invitation_id),
            ("target_serial", issued.serial),
            ("spki_sha256", fingerprint(key)),
            ("purpose", "tls"),
        }
        # Nobody had a certificate: the tunnel is what is known of the caller.
        assert leaf["organisation"] == COUNTY
        assert "subject" not in leaf
        assert "certificate" not in leaf

    province.run(work(province.world))


def test_a_county_enrols_through_its_citys_tunnel_where_that_is_registered(province):
    async def work(world):
        made = await invite(world)
        with pytest.raises(RefusedError, match="CODE_INVALID"):
            await enrol(world, made.code, person=world.city)
        relation = (COUNTY, world.city.organisation)
        world.sql("INSERT INTO gateway.relation VALUES (%s, %s, 'uploads_for')", *relation)
        with pytest.raises(RefusedError, match="CODE_INVALID"):
            await enrol(world, made.code, person=world.city)
        world.sql("UPDATE gateway.relation SET kind = 'uses_tunnel_of'")
        watch = Watch(world)
        answer = await enrol(world, made.code, person=world.city)
        assert answer.organisation_code == COUNTY
        leaf = await watch.only_leaf()
        # Whose tunnel it was, and for whom the certificate is.
        assert leaf["organisation"] == world.city.organisation
        assert leaf["detail"]["target_organisation"] == COUNTY
        world.sql("DELETE FROM gateway.relation")

    province.run(work(province.world))


def test_a_bearer_without_an_account_is_told_none(province):
    async def work(world):
        system(world, COUNTY, "silent")
        answer = await enrol(world, (await invite(world, "silent")).code)
        assert answer.account_name == ""

    province.run(work(province.world))


def test_an_encryption_certificate_says_what_it_is_for(province):
    async def work(world):
        purpose = certificate.CERTIFICATE_PURPOSE_ENCRYPTION
        made = await invite(world, purpose=purpose)
        answer = await enrol(world, made.code)
        assert answer.purpose == purpose
        assert certificates.PURPOSE_WORDS[2] == "encryption"

    province.run(work(province.world))


@pytest.mark.parametrize(
    ("door", "method", "other"),
    [("enrolment", ENROL, "identity"), ("identity", LOGIN, "enrolment")],
)
def test_a_connection_of_another_listener_is_none_here(province, door, method, other):
    """The name of a connection at one listener opens nothing at another's socket."""

    async def work(world):
        port = await world.entrance.listen(world.county, door, {"door": other})
        watch = Watch(world)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await channel.unary_unary(method)(b"", timeout=10)
        error = RefusedError(raised.value)
        assert (error.code, error.reason) == ("UNAUTHENTICATED", "CONNECTION_UNKNOWN")
        assert (await watch.only_leaf())["reason"] == "CONNECTION_UNKNOWN"
        await enrol(world, (await invite(world)).code)

    province.run(work(province.world))
