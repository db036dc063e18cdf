"""A signature counts by the certificate that an authority of ours issued, not by what a row says of it."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.clock import SYSTEM, US_PER_S
from gateway.config import folders
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.names import Subject
from gateway.pki import ceremony, issue
from gateway.policy.signing import Paper, Row, officer
from gateway.policy.trust import Trust

SIGNED = b"these bytes"
DOMAIN = Settings().trust_domain
NOW_US = SYSTEM.now_us()


@pytest.fixture
def place(tmp_path):
    home = Home(tmp_path / "home")
    folders.make_folders(home)
    authority = ceremony.found(home, DOMAIN, ["127.0.0.1"], NOW_US)
    return Trust.of(home, Settings()), authority


def row(authority, name="zhao", kind="officer", organisation="140000", **changes):
    """What the register and the signature say of somebody."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = Subject(DOMAIN, organisation, kind, name)
    certificate = issue.client_certificate(authority, subject, key.public_key(), NOW_US)
    signature = key.sign(SIGNED, ec.ECDSA(SHA256()))
    digest, pem = certificate.fingerprint(SHA256()), ceremony.pem(certificate).decode()
    paper = Paper(digest, pem, 1, None, None)
    return replace(Row("zhao", "", signature, NOW_US, paper), **{"person": name, **changes})


def test_an_officer_of_the_province_signs(place):
    trust, authority = place
    one = row(authority)
    assert officer(one, SIGNED, trust, NOW_US) == Subject(DOMAIN, "140000", "officer", "zhao")
    assert officer(one, b"other bytes", trust, NOW_US) is None
    assert officer(one, SIGNED, trust, NOW_US - 10**12) is None
    assert officer(one, SIGNED, replace(trust, province="140100"), NOW_US) is None


def test_the_certificate_says_who_it_is(place):
    trust, authority = place
    good = row(authority)
    for one in (
        row(authority, person="qian"),
        row(authority, kind="sys"),
        row(authority, organisation="140100"),
        row(authority, signature=b""),
        # Another certificate's text under the digest of a good one.
        replace(good, paper=replace(good.paper, pem=row(authority).paper.pem)),
    ):
        assert officer(one, SIGNED, trust, NOW_US) is None


def test_one_that_was_revoked_signs_nothing_from_then_on(place):
    trust, authority = place
    good = row(authority)

    def signs(leaf=None, at_us=NOW_US, **changes):
        one = replace(good, paper=replace(good.paper, **changes))
        return officer(one, SIGNED, trust, at_us, leaf) is not None

    minute = 60 * US_PER_S
    assert not signs(state=2, revoked_us=NOW_US)
    assert signs(leaf=5, state=2, revoked_us=NOW_US - minute + 1), "it was under way"
    assert not signs(leaf=5, state=2, revoked_us=NOW_US - minute)
    assert signs(leaf=5, state=2, revoked_us=NOW_US + 1)
    # Superseded is not revoked; and the log tells it, whatever the row says.
    assert signs(leaf=5, state=3, revoked_us=1)
    assert not signs(leaf=5, revoked_leaf=4)
    assert signs(leaf=5, revoked_leaf=6)
    assert not signs(revoked_leaf=6)
