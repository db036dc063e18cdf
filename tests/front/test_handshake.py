"""The words that come out of a handshake; the handshakes themselves are in tests/attacks/test_handshake_*.py."""

import re

import pytest
from OpenSSL import SSL

from gateway.errors import Reason
from gateway.front import handshake
from gateway.front.handshake import Presented

CAUSE = re.compile(r"(?=.{1,64}\Z)[a-z]+(?:[._-][a-z]+){0,7}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "http request",
        "tlsv13 alert certificate required",
        "Unexpected EOF",
        "名字",
        "a" * 300,
        " ".join(["long"] * 30),
        None,
        "x\ny",
    ],
)
def test_a_cause_is_always_in_the_logs_grammar(text):
    assert CAUSE.fullmatch(handshake.cause(text))


@pytest.mark.parametrize(
    ("queue", "presented", "reason"),
    [
        ([("SSL routines", "", "unsupported protocol")], Presented(), Reason.TLS_VERSION),
        (
            [("SSL routines", "", "peer did not return a certificate")],
            Presented(),
            Reason.CERT_MISSING,
        ),
        (
            [("SSL routines", "", "certificate verify failed")],
            Presented(b"x", 10, 0),
            Reason.CERT_EXPIRED,
        ),
        (
            [("SSL routines", "", "certificate verify failed")],
            Presented(b"x", 10, 1),
            Reason.CERT_UNTRUSTED,
        ),
        (
            [("SSL routines", "", "certificate verify failed")],
            Presented(b"x", 12, 0),
            Reason.CRL_STALE,
        ),
        (
            [("SSL routines", "", "certificate verify failed")],
            Presented(b"x", 77777, 0),
            Reason.CERT_UNTRUSTED,
        ),
        ([("SSL routines", "", "http request")], Presented(), Reason.TLS_FAILED),
        ([], Presented(), Reason.TLS_FAILED),
    ],
)
def test_openssls_words_have_one_reason(queue, presented, reason):
    assert handshake._reason(SSL.Error(queue), presented).reason is reason
    assert handshake._reason(SSL.Error(), Presented()).reason is Reason.TLS_FAILED


def test_observing_changes_no_judgement_but_of_what_its_bearer_may_be_told():
    class Seen:
        def __init__(self):
            self.presented = Presented()

        def get_app_data(self):
            return self.presented

    from cryptography import x509
    from OpenSSL import crypto

    from gateway.clock import SYSTEM
    from tests.pki.forge import Ca

    der = Ca.make(SYSTEM.now_us()).good().chain[0]
    certificate = crypto.X509.from_cryptography(x509.load_der_x509_certificate(der))
    seen = Seen()
    assert handshake.observe(seen, certificate, 0, 1, 1) is True
    assert seen.presented.certificate is None
    assert handshake.observe(seen, certificate, 20, 1, 0) is False
    assert handshake.observe(seen, certificate, 21, 0, 0) is False
    # 9 not yet valid, 10 expired, 23 revoked: of the leaf alone; 12 is the list's own end.
    for soft in (9, 10, 23):
        assert handshake.observe(seen, certificate, soft, 0, 0) is True
        assert handshake.observe(Seen(), certificate, soft, 1, 0) is False
    assert handshake.observe(seen, certificate, 12, 0, 0) is False
    assert (seen.presented.certificate, seen.presented.number, seen.presented.depth) == (der, 20, 1)
