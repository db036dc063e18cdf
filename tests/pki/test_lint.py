from dataclasses import replace

import pytest

from gateway.clock import SYSTEM
from gateway.names import MalformedNameError
from gateway.pki import der, lint, profile
from tests.pki.forge import (
    BASIC,
    CITY,
    EKU,
    SAN,
    SEQUENCE,
    USAGE,
    Ca,
    extension,
    integer,
    replaced,
    tlv,
    uri,
    usages,
    validity,
)


@pytest.fixture(scope="module")
def ca():
    return Ca.make(SYSTEM.now_us())


def rules(papers):
    return [
        fault.rule
        for fault in lint.faults(der.certificate(papers.chain[0]), profile.load("client"))
    ]


def test_our_own_are_faultless(ca):
    assert rules(ca.good()) == []
    for authority, kind in (
        (ca.root, "root"),
        (ca.client, "client-authority"),
        (ca.server, "server-authority"),
    ):
        assert lint.faults(authority.certificate, profile.load(kind)) == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"serial": integer(b"\x7f" * 8)}, "serial"),
        ({"extensions": replaced(EKU, None)}, "extensions"),
        ({"extensions": replaced(BASIC, extension(BASIC, tlv(SEQUENCE, b"")))}, "extensions"),
        (
            {
                "extensions": replaced(
                    BASIC,
                    extension(BASIC, tlv(SEQUENCE, b"\x01\x01\xff\x02\x01\x00"), critical=True),
                )
            },
            "basic-constraints",
        ),
        (
            {"extensions": replaced(USAGE, extension(USAGE, b"\x03\x02\x03\xa8", critical=True))},
            "key-usage",
        ),
        (
            {
                "extensions": replaced(
                    EKU, extension(EKU, usages("1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.4"))
                )
            },
            "extended-key-usage",
        ),
        ({"extensions": replaced(SAN, extension(SAN, uri("https://x")))}, "names"),
        (
            {"extensions": replaced("2.5.29.14", extension("2.5.29.14", tlv(4, b"x" * 20)))},
            "key-identifiers",
        ),
        (
            {"extensions": replaced("2.5.29.35", extension("2.5.29.35", tlv(SEQUENCE, b"")))},
            "key-identifiers",
        ),
    ],
)
def test_one_change_breaks_one_rule(ca, change, rule):
    assert rules(ca.changed(**change)) == [rule]


def test_a_life_too_long_or_of_nothing(ca):
    day = 86_400_000_000
    assert rules(ca.changed(validity=validity(ca.now_us, 91))) == ["validity"]
    assert rules(ca.changed(validity=validity(ca.now_us, 90))) == []
    assert rules(ca.changed(validity=validity(ca.now_us + day, -1))) == ["validity"]


def test_faults_never_quote_the_certificate(ca):
    papers = ca.changed(replaced(SAN, extension(SAN, uri("https://canary.invalid/"))))
    found = lint.faults(der.certificate(papers.chain[0]), profile.load("client"))
    assert found
    assert not any("canary" in fault.text for fault in found)


def test_the_subject_is_the_uri_alone(ca):
    assert lint.subject_of(der.certificate(ca.good().chain[0])) == CITY
    for value in (
        uri(),
        uri("x", "y"),
        tlv(SEQUENCE, tlv(0x82, b"a.invalid")),
        b"\x30\x03\x86\x01\xff",
        tlv(SEQUENCE, tlv(0xA3, b"")),
    ):
        with pytest.raises(MalformedNameError):
            lint.subject_of(
                der.certificate(ca.changed(replaced(SAN, extension(SAN, value))).chain[0])
            )
    with pytest.raises(MalformedNameError):
        lint.subject_of(der.certificate(ca.changed(replaced(SAN, None)).chain[0]))


# CRL distribution points, authority information access (one: OCSP at "x"), certificate policies (one).
FURTHER = {
    "2.5.29.31": tlv(SEQUENCE, b""),
    "1.3.6.1.5.5.7.1.1": tlv(
        SEQUENCE,
        tlv(SEQUENCE, tlv(6, b"\x2b\x06\x01\x05\x05\x07\x30\x01") + tlv(0x86, b"x")),
    ),
    "2.5.29.32": tlv(SEQUENCE, tlv(SEQUENCE, tlv(6, b"\x2a\x03"))),
}


@pytest.mark.parametrize("oid", FURTHER)
def test_what_only_an_external_authority_may_add_and_never_critically(ca, oid):
    external, ours = profile.load("external-client"), profile.load("client")
    for critical in (False, True):
        added = extension(oid, FURTHER[oid], critical=critical)
        papers = ca.changed(extensions=lambda found, added=added: [*found, added])
        leaf = der.certificate(papers.chain[0])
        assert [fault.rule for fault in lint.faults(leaf, ours)][:1] == ["extensions"]
        found = [fault.rule for fault in lint.faults(leaf, external)]
        assert found == (["extensions"] if critical else [])


def test_an_external_authority_may_add_nothing_else(ca):
    external = profile.load("external-client")
    added = extension("2.5.29.30", tlv(SEQUENCE, b""))
    leaf = der.certificate(ca.changed(extensions=lambda found: [*found, added]).chain[0])
    assert [fault.rule for fault in lint.faults(leaf, external)][:1] == ["extensions"]
    assert lint.faults(der.certificate(ca.good().chain[0]), external) == []


def test_no_number_and_no_list_of_a_profile_undoes_what_was_issued_under_an_earlier_one(ca):
    """Narrower in all that a file says: the fault is one now, and was none when it was signed with."""
    good, own = der.certificate(ca.good().chain[0]), profile.load("client")
    narrower = replace(
        own,
        days=1,
        days_max=1,
        keys=("P-384",),
        signatures=(),
        key_usage=("digital_signature", "content_commitment"),
        extended_key_usage=("1.3.6.1.5.5.7.3.4",),
    )
    assert {one.rule for one in lint.faults(good, narrower)} >= {"validity", "key-usage"}
    assert lint.lasting(good, narrower) == []
    authority = lint.lasting(ca.client.certificate, own)
    assert {one.rule for one in authority} == {"basic-constraints"}
