import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.clock import SYSTEM, from_datetime
from gateway.names import Subject
from gateway.pki import issue
from gateway.pki.issue import Authority, IssueError, Wanted
from tests.pki.forge import CITY, Ca
from tests.pki.forgeries import DAY_US


@pytest.fixture(scope="module")
def ca():
    return Ca.make(SYSTEM.now_us())


def key():
    return ec.generate_private_key(ec.SECP256R1()).public_key()


def test_authorities_are_as_the_picture_says(ca):
    constraints = [
        one.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
        for one in (ca.root, ca.client, ca.server)
    ]
    assert constraints == [1, 0, 0]
    assert ca.root.key.curve.name == "secp384r1"
    assert ca.client.key.curve.name == "secp256r1"
    ca.client.certificate.verify_directly_issued_by(ca.root.certificate)


def test_serials_are_random_positive_and_short(ca):
    found = {
        issue.client_certificate(ca.client, CITY, key(), ca.now_us).serial_number for _ in range(20)
    }
    assert len(found) == 20
    assert all(128 < serial.bit_length() <= 129 for serial in found)


def test_a_life_as_wanted_and_never_beyond_the_issuer(ca):
    leaf = issue.client_certificate(ca.client, CITY, key(), ca.now_us, days=3)
    assert (from_datetime(leaf.not_valid_after_utc) - ca.now_us) // DAY_US == 2
    with pytest.raises(IssueError, match="validity"):
        issue.client_certificate(ca.client, CITY, key(), ca.now_us, days=91)
    late = ca.now_us + 1820 * DAY_US
    leaf = issue.client_certificate(ca.client, CITY, key(), late, days=90)
    assert leaf.not_valid_after_utc == ca.client.certificate.not_valid_after_utc


def test_nothing_outside_the_profile_is_signed(ca):
    with pytest.raises(IssueError, match="key"):
        issue.client_certificate(
            ca.client, CITY, rsa.generate_private_key(65537, 2048).public_key(), ca.now_us
        )
    with pytest.raises(IssueError, match="names"):
        issue.client_certificate(
            ca.client, Subject("gateway.invalid", "140100", "sys", "A B"), key(), ca.now_us
        )
    two = (x509.UniformResourceIdentifier(str(CITY)), x509.DNSName("x.invalid"))
    with pytest.raises(IssueError, match="names"):
        issue.issue(Wanted("client", "x", key(), two), ca.client, ca.now_us)


def test_a_wrong_authority_issues_nothing(ca):
    for wrong in (ca.server, Authority(ca.client.certificate, ca.server.key)):
        with pytest.raises(IssueError, match="does not verify"):
            issue.client_certificate(wrong, CITY, key(), ca.now_us)
    with pytest.raises(IssueError):
        issue.client_certificate(ca.client, CITY, key(), ca.now_us + 3000 * DAY_US)


def test_servers_have_addresses_and_names(ca):
    made = issue.server_certificate(ca.server, key(), ["127.0.0.11", "gateway.invalid"], ca.now_us)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["127.0.0.11", "gateway.invalid"]
    with pytest.raises(IssueError):
        issue.server_certificate(ca.client, key(), ["127.0.0.11"], ca.now_us)
