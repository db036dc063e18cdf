import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.clock import SYSTEM, to_datetime
from gateway.pki import crl, paths
from gateway.pki.paths import Lists, OpenSslPath, PathError, RustPath, Trust
from tests.pki.forge import Ca
from tests.pki.forgeries import DAY_US


@pytest.fixture(scope="module")
def ca():
    return Ca.make(SYSTEM.now_us())


def leaf(papers):
    return x509.load_der_x509_certificate(papers.chain[0])


@pytest.mark.parametrize("verifier", [OpenSslPath, lambda trust: RustPath(trust, 2)])
def test_each_verifier_by_itself(ca, verifier):
    at, good = to_datetime(ca.now_us), leaf(ca.good())
    verifier(Trust((ca.client.certificate,), (), "none")).check(good, (), at)
    verifier(Trust((ca.root.certificate,), (), "none")).check(good, (ca.client.certificate,), at)
    with pytest.raises(PathError):
        verifier(Trust((ca.server.certificate,), (), "none")).check(good, (), at)
    with pytest.raises(PathError):
        verifier(Trust((Ca.make(ca.now_us).client.certificate,), (), "none")).check(good, (), at)
    with pytest.raises(PathError):
        verifier(Trust((ca.client.certificate,), (), "none")).check(
            good, (), to_datetime(ca.now_us + 10**15)
        )


def test_each_judgement_is_of_its_own_time(ca):
    """One verifier, asked again at another time: the first time must not stick to it."""
    good = leaf(ca.good())
    for judge in (
        OpenSslPath(Trust((ca.client.certificate,), (), "none")),
        RustPath(Trust((ca.client.certificate,))),
    ):
        for days, stands in ((0, True), (15, False), (0, True), (-1, False), (13, True)):
            at = to_datetime(ca.now_us + days * DAY_US)
            if stands:
                judge.check(good, (), at)
            else:
                with pytest.raises(PathError):
                    judge.check(good, (), at)


def test_lists_name_the_leaves_of_their_own_anchor_while_they_are_valid(ca):
    good, other = leaf(ca.good()), Ca.make(ca.now_us)
    named = [crl.Revoked(f"{good.serial_number:x}", ca.now_us, "superseded")]
    own = crl.build(ca.client, named, 1, ca.now_us)
    trust = Trust((ca.client.certificate, other.client.certificate), (own,))
    lists, at = Lists(trust), to_datetime(ca.now_us)
    assert lists.names(good, ca.client.certificate, at)
    assert not lists.names(leaf(ca.good()), ca.client.certificate, at)
    for anchor, days, number in (
        (other, 0, paths.CRL_MISSING),  # of the same name: only the signature tells
        (ca, -1, paths.CRL_NOT_YET_VALID),
        (ca, 2, paths.CRL_EXPIRED),
    ):
        with pytest.raises(PathError) as error:
            lists.names(good, anchor.client.certificate, to_datetime(ca.now_us + days * DAY_US))
        assert (error.value.number, error.value.verifier) == (number, paths.LIST)


def test_openssl_tells_numbers(ca):
    at = to_datetime(ca.now_us)
    with pytest.raises(PathError) as error:
        OpenSslPath(Trust((ca.client.certificate,))).check(leaf(ca.good()), (), at)
    assert (error.value.verifier, error.value.number, error.value.depth) == (
        paths.OPENSSL,
        paths.CRL_MISSING,
        0,
    )


def test_a_path_is_told_from_leaf_to_anchor(ca):
    revocations = (crl.build(ca.client, [], 1, ca.now_us),)
    found = OpenSslPath(Trust((ca.root.certificate,), revocations)).path(
        leaf(ca.good()), (ca.server.certificate, ca.client.certificate), to_datetime(ca.now_us)
    )
    assert found[1:] == [ca.client.certificate, ca.root.certificate]


def test_the_words_of_a_verifier_do_not_quote_the_certificate(ca):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "canary")])
    papers = ca.changed(subject=name.public_bytes())
    with pytest.raises(PathError) as error:
        RustPath(Trust((ca.server.certificate,), (), "none")).check(
            leaf(papers), (), to_datetime(ca.now_us)
        )
    assert "canary" not in str(error.value)


def test_servers_by_name(ca):
    from cryptography.hazmat.primitives.asymmetric import ec

    from gateway.pki import issue

    made = issue.server_certificate(
        ca.server, ec.generate_private_key(ec.SECP256R1()).public_key(), ["a.invalid"], ca.now_us
    )
    trust, at = Trust((ca.server.certificate,), (), "none"), to_datetime(ca.now_us)
    RustPath(trust).check_server(made, x509.DNSName("a.invalid"), at)
    with pytest.raises(PathError):
        RustPath(trust).check_server(made, x509.DNSName("b.invalid"), at)
    assert made.public_bytes(Encoding.DER)
