import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.clock import SYSTEM, from_datetime
from gateway.names import Subject
from gateway.pki import issue
from gateway.pki.issue import Authority, IssueError, Wanted
from tests.pki.forge import CITY, Ca
from tests.pki.forgeries import DAY_US
from tests.pki.variations import good, variations


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


def test_an_encryption_certificate_is_for_nothing_else(ca):
    made = issue.client_certificate(ca.client, CITY, key(), ca.now_us, kind="encryption")
    usage = made.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_agreement, usage.digital_signature) == (True, False)
    with pytest.raises(x509.ExtensionNotFound):
        made.extensions.get_extension_for_class(x509.ExtendedKeyUsage)


class Varied:
    """A builder that has gone wrong in one property, and what was signed with it."""

    def __init__(self, leaf):
        self.leaf = leaf
        self.keys = []

    def sign(self, private, _digest):
        self.keys.append(private)
        return x509.load_der_x509_certificate(self.leaf)


def issued(ca, kind, varied, monkeypatch):
    """Let our issuer build this variation; return the builder and what it was refused with."""
    built = Varied(varied.make(ca, good(ca, kind)))
    monkeypatch.setattr(issue, "_builder", lambda *_: built)
    with pytest.raises(IssueError) as refused:
        issue.client_certificate(ca.client, CITY, key(), ca.now_us, kind=kind)
    return built, str(refused.value)


# The reader alone refuses an "encoding": the library's builder has no way to write it, and so no way to be wrong in it.
EVERY = [
    pytest.param(kind, varied, id=f"{kind}: {varied.name}")
    for kind in ("client", "encryption")
    for varied in variations(kind)
    if varied.rule != "encoding"
]
SEEN_BY_LINT, SEEN_BY_VERIFIERS = (
    [one for one in EVERY if (one.values[1].rule in ("openssl", "cryptography")) is late]
    for late in (False, True)
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "varied"), SEEN_BY_LINT)
def test_what_is_varied_in_one_property_is_refused_for_it_before_it_is_signed(
    ca, kind, varied, monkeypatch
):
    """Lint sees it under the throw-away key: the authority's has signed nothing that breaks the profile."""
    built, said = issued(ca, kind, varied, monkeypatch)
    assert said.startswith(f"not of the profile {kind}: {varied.rule}: ")
    assert len(built.keys) == 1
    assert built.keys[0] is not ca.client.key


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "varied"), SEEN_BY_VERIFIERS)
def test_what_only_a_verifier_sees_is_signed_and_released_to_nobody(ca, kind, varied, monkeypatch):
    built, said = issued(ca, kind, varied, monkeypatch)
    assert said.startswith(f"the signed certificate does not verify: {varied.rule}")
    assert built.keys[1] is ca.client.key
