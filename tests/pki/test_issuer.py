import pytest

from gateway.clock import SYSTEM, from_datetime
from gateway.errors import Reason, Refusal
from gateway.pki import authorities, ceremony, issue, keys, register
from gateway.pki.authorities import key_file
from gateway.pki.lint import subject_of
from tests.papers import new_key, request_for
from tests.pki.forge import DOMAIN
from tests.pki.office import HIS, at_the_office


def roll_over(home):
    """Put a new authority of the same root in front of the one there, as the ceremony does."""
    root = ceremony.load(home.offline, "root")
    fresh = issue.make_authority("client-authority", DOMAIN, root, SYSTEM.now_us())
    key_file(home, fresh.key.public_key()).write_bytes(ceremony.key_pem(fresh.key))
    old = home.client_authority_certificate.read_bytes()
    home.client_authority_certificate.write_bytes(ceremony.pem(fresh.certificate) + old)
    return fresh


def settle(office):
    """Let the moment pass in which the front reads of a new authority before that one issues."""
    office.issuer.issue(HIS, new_key().public_key(), register.TLS)
    office.clock.turn(seconds=authorities.SETTLE_S)


def test_it_issues_for_the_bearer_and_says_by_whom(conninfo):
    async def scene(office):
        key = new_key().public_key()
        made = office.issuer.issue(HIS, key, register.TLS)
        assert subject_of(made.certificate) == office.issuer.subject(HIS)
        authority = ceremony.client_authority(office.home).certificate
        assert made.issuer_sha256 == keys.spki_sha256(authority.public_key())
        made.certificate.verify_directly_issued_by(authority)

    at_the_office(conninfo, scene)


def test_a_new_authority_is_taken_up_without_a_restart(conninfo):
    async def scene(office):
        before = office.issuer.issue(HIS, new_key().public_key(), register.TLS)
        bounds = [
            from_datetime(one)
            for one in (
                before.certificate.not_valid_before_utc,
                before.certificate.not_valid_after_utc,
            )
        ]
        start_us, _ = office.issuer.window(*bounds, before.issuer_sha256)
        assert start_us > office.clock.now_us()
        fresh = roll_over(office.home)
        settle(office)
        made = office.issuer.issue(HIS, new_key().public_key(), register.TLS)
        made.certificate.verify_directly_issued_by(fresh.certificate)
        # Whoever has a certificate of the one before is asked to renew at once.
        now_us = office.clock.now_us()
        assert office.issuer.window(*bounds, before.issuer_sha256) == (now_us, now_us)
        assert office.issuer.window(*bounds, None) == (now_us, now_us)
        assert office.issuer.window(*bounds, made.issuer_sha256)[0] > now_us

    at_the_office(conninfo, scene)


@pytest.mark.parametrize("whose", ["root", "client", "server", "server authority", "old client"])
def test_no_key_of_the_gateways_own_is_certified(conninfo, whose):
    async def scene(office):
        home = office.home
        old = ceremony.client_authority(home).key
        if whose == "old client":
            roll_over(home)
        key = {
            "root": lambda: ceremony.load(home.offline, "root").key,
            "client": lambda: ceremony.client_authority(home).key,
            "server": lambda: front_key(home),
            "server authority": lambda: ceremony.load(home.offline, "server-authority").key,
            "old client": lambda: old,
        }[whose]()
        with pytest.raises(Refusal) as found:
            office.issuer.key_of(request_for(key), register.TLS)
        assert found.value.reason is Reason.FIELD_INVALID
        assert found.value.violations[0].rule == "csr-key-own"

    at_the_office(conninfo, scene)


def front_key(home):
    """Return the front's own key."""
    key, chain = ceremony.server_files(home)
    found = authorities.der.certificates(chain.read_bytes())[0]
    return authorities.fitting(key.read_bytes(), found, home)


def test_a_request_may_ask_for_what_it_likes(conninfo):
    async def scene(office):
        key = new_key()
        asked = request_for(
            key,
            issue.x509.BasicConstraints(ca=True, path_length=None),
            issue.x509.SubjectAlternativeName([issue.x509.DNSName("gateway.invalid")]),
        )
        taken = office.issuer.key_of(asked, register.TLS)
        assert taken == key.public_key()
        made = office.issuer.issue(HIS, taken, register.TLS).certificate
        basic = made.extensions.get_extension_for_class(issue.x509.BasicConstraints)
        assert not basic.value.ca
        assert subject_of(made) == office.issuer.subject(HIS)

    at_the_office(conninfo, scene)
