import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from gateway.client import papers
from gateway.client.papers import PapersError
from gateway.clock import SYSTEM
from tests.client.small_gateway import SPIFFE_ID, certificate, make_papers


def issued_for(key, uri=SPIFFE_ID):
    root_key, root = certificate("root", None, None)
    public = serialization.load_pem_private_key(key, None).public_key()
    _, leaf = certificate("client", root, root_key, uri=uri, public=public)
    return leaf.public_bytes(serialization.Encoding.DER)


def test_a_request_is_of_the_key_and_names_nobody():
    key = papers.new_key()
    request = x509.load_der_x509_csr(papers.request(key))
    assert request.is_signature_valid
    assert not list(request.subject)
    assert not list(request.extensions)
    digest = papers.fingerprint(key)
    assert papers.grouped(digest).count(":") == 15
    assert papers.grouped(digest).replace(":", "") == digest


def test_what_was_issued_is_taken_when_it_is_of_our_key_and_in_time():
    key = papers.new_key()
    der = issued_for(key)
    pem, found = papers.issued(der, key, SYSTEM.now_us())
    assert papers.read(pem) == papers.read(der) == found
    assert str(found.subject) == SPIFFE_ID
    assert found.spki_sha256 == papers.fingerprint(key)
    with pytest.raises(PapersError, match="our key"):
        papers.issued(der, papers.new_key(), SYSTEM.now_us())
    with pytest.raises(PapersError, match="ended"):
        papers.issued(der, key, found.not_after_us)


@pytest.mark.parametrize(
    "content", [b"", b"-----BEGIN", make_papers().server[1], issued_for(papers.new_key(), "urn:x")]
)
def test_other_certificates_are_not_read(content):
    with pytest.raises(PapersError, match="certificate of this gateway"):
        papers.read(content)


def test_a_key_that_was_not_made_here_is_not_used():
    with pytest.raises(PapersError, match="cannot be read"):
        papers.request(b"KEY")
