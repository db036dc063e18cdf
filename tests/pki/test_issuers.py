"""Whom a certificate names is believed where an authority of HOME issued it, for that use, at that moment."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.clock import SYSTEM, US_PER_S
from gateway.config import folders
from gateway.config.home import Home
from gateway.config.strict import SettingsError
from gateway.names import Subject
from gateway.pki import authorities, ceremony, issue, keys, lint, profile, retired, rollover
from gateway.pki import issuers as module
from gateway.pki.issue import Authority
from gateway.pki.issuers import Issuers

DOMAIN = "sx.example"
ZHAO = Subject(DOMAIN, "140000", "officer", "zhao")
DAY_US = 86_400 * US_PER_S


@dataclass
class Place:
    """A HOME with an authority, and a moment of its life."""

    home: Home
    authority: Authority
    now_us: int

    def issued(self, authority=None, subject=ZHAO, kind="client", at_us=0):
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        at_us = at_us or self.now_us
        return issue.client_certificate(authority or self.authority, subject, key, at_us, kind=kind)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    home, now_us = Home(tmp_path / "home"), SYSTEM.now_us()
    folders.make_folders(home)
    return Place(home, ceremony.found(home, DOMAIN, ["127.0.0.1"], now_us), now_us)


def another(name="province") -> Authority:
    """An authority that nobody trusts."""
    now_us = SYSTEM.now_us()
    return issue.make_authority("client-authority", name, issue.make_root(name, now_us), now_us)


def test_ours_for_its_use_and_no_other(place):
    known = Issuers(place.home, DOMAIN)
    for kind, other in (("client", "encryption"), ("encryption", "client")):
        made = place.issued(kind=kind)
        assert known.subject(made, kind, place.now_us) == ZHAO
        assert known.subject(made, other, place.now_us) is None
        # Remembered, and judged by the moment all the same.
        assert known.subject(made, kind, place.now_us + 1) == ZHAO


def test_at_a_moment_of_its_life_alone(place):
    known, made = Issuers(place.home, DOMAIN), place.issued()
    for at_us in (place.now_us - DAY_US, place.now_us + 400 * DAY_US):
        assert known.subject(made, "client", at_us) is None
    assert known.subject(made, "client", place.now_us) == ZHAO
    for at_us in (place.now_us - DAY_US, place.now_us + 400 * DAY_US):
        assert known.subject(made, "client", at_us) is None


@pytest.mark.parametrize("former", [False, True])
def test_of_another_authority_or_trust_domain_it_names_nobody(place, former):
    known = Issuers(place.home, DOMAIN, former=former)
    theirs = Subject("other.example", "140000", "officer", "zhao")
    for made in (place.issued(another()), place.issued(subject=theirs), self_made()):
        assert known.subject(made, "client", place.now_us) is None


def self_made():
    now_us = SYSTEM.now_us()
    return issue.make_root("zhao", now_us).certificate


def test_a_file_that_changes_is_read_anew(place):
    known, new = Issuers(place.home, DOMAIN), another()
    made = place.issued(new)
    assert known.subject(made, "client", place.now_us) is None
    bundle = place.home.client_authority_certificate
    folders.replace_public(bundle, bundle.read_bytes() + ceremony.pem(new.certificate))
    assert known.subject(made, "client", place.now_us) == ZHAO
    folders.replace_public(bundle, ceremony.pem(place.authority.certificate))
    assert known.subject(made, "client", place.now_us) is None


def test_what_officers_signed_outlasts_their_authority(place):
    """Retired, it lets nobody in and proves no ticket; what the log told before that stays, what it tells later does not count."""
    made, new = place.issued(), another()
    bundle = place.home.client_authority_certificate
    folders.replace_public(bundle, ceremony.pem(new.certificate) + bundle.read_bytes())
    [old] = [one for one in authorities.load(place.home) if one.key is not None]
    rollover.retire(place.home, old, 7)
    assert Issuers(place.home, DOMAIN).subject(made, "client", place.now_us) is None
    known = Issuers(place.home, DOMAIN, former=True)
    for leaf, whose in ((6, ZHAO), (7, None), (8, None), (None, None), (0, ZHAO)):
        assert known.subject(made, "client", place.now_us, leaf) == whose
    # Who issued it does not change with that.
    issued_by = keys.spki_sha256(old.certificate.public_key()).hex()
    assert (known.key_of(made), known.key_of(new.certificate)) == (issued_by, "")
    [found] = retired.read(place.home.former_authorities)
    assert (found.certificate, found.leaf) == (old.certificate, 7)
    # Trusted again, it is not retired.
    folders.replace_public(bundle, bundle.read_bytes() + ceremony.pem(old.certificate))
    assert known.subject(made, "client", place.now_us) == ZHAO


def test_one_that_was_retired_without_a_leaf_proves_nothing(place):
    made, new = place.issued(), another()
    bundle = place.home.client_authority_certificate
    folders.replace_public(place.home.former_authorities, bundle.read_bytes())
    folders.replace_public(bundle, ceremony.pem(new.certificate))
    known = Issuers(place.home, DOMAIN, former=True)
    assert known.subject(made, "client", place.now_us, 0) is None
    assert retired.date(place.home.former_authorities, 3) == 1
    assert known.subject(made, "client", place.now_us, 2) == ZHAO
    assert known.subject(made, "client", place.now_us, 3) is None


def test_what_was_signed_outlasts_the_profile_it_was_issued_under(place, monkeypatch):
    """A narrower one is for what is issued and presented from then on; whom and what for it names stays."""
    for kind, other in (("client", "encryption"), ("encryption", "client")):
        made, own = place.issued(kind=kind), profile.load(kind)
        narrower = replace(own, days=1, days_max=1, keys=("P-384",), signatures=())
        assert lint.faults(made, narrower)
        with monkeypatch.context() as patched:
            patched.setattr(profile, "load", lambda *_, found=narrower: found)
            known = Issuers(place.home, DOMAIN)
            assert known.subject(made, kind, place.now_us) == ZHAO
            assert known.subject(made, other, place.now_us) is None
            authority = place.authority.certificate
            assert known.subject(authority, kind, place.now_us) is None


def test_without_the_files_nobody_is_judged(place):
    known, made = Issuers(place.home, DOMAIN), place.issued()
    place.home.root_certificate.write_text("no certificate")
    with pytest.raises(SettingsError):
        known.subject(made, "client", place.now_us)
    place.home.root_certificate.unlink()
    with pytest.raises(OSError, match="root"):
        known.subject(made, "client", place.now_us)


def test_the_memory_is_bounded(place, monkeypatch):
    monkeypatch.setattr(module, "_REMEMBERED_MAX", 2)
    known = Issuers(place.home, DOMAIN)
    for _ in range(4):
        assert known.subject(place.issued(), "client", place.now_us) == ZHAO
        assert len(known._judged) <= 2
