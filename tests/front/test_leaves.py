import json

import pytest

from gateway.clock import SYSTEM
from gateway.errors import Reason, refuse
from gateway.front import leaves
from gateway.front.handshake import Presented
from gateway.front.leaves import Visit
from gateway.names import Subject
from gateway.vpn.origin import Origin, Sighting
from tests.link.test_connection import ONE
from tests.pki.forge import CITY, Ca, common_name

ORIGIN = Origin("140100", "listen/127.0.0.11", "static", "weak", "127.0.0.11")


@pytest.fixture(scope="module")
def ca():
    return Ca.make(SYSTEM.now_us())


def leaf(visit, refusal):
    return json.loads(visit.refused(refusal).to_leaf(1))


def test_before_and_during_the_handshake():
    visit = Visit("intake", "127.0.0.1", 5, "127.0.0.11", 8443)
    told = leaf(visit, refuse(Reason.CONNECTIONS_EXHAUSTED, metadata={"limit": "64"}))
    assert (told["kind"], told["detail"]) == ("connection.refused", {"limit": 64})
    visit.begun, visit.origin = True, ORIGIN
    told = leaf(visit, refuse(Reason.TLS_TIMEOUT))
    assert (told["kind"], told["tunnel"], told["strength"]) == (
        "tls.refused",
        "listen/127.0.0.11",
        "weak",
    )
    assert "organisation" not in told
    assert "certificate" not in told


def test_addresses_of_version_six():
    visit = Visit("intake", "fd00::7", 5, "::1", 8443)
    told = leaf(visit, refuse(Reason.TLS_TIMEOUT))
    assert (told["peer"], told["listener"]) == ("[fd00::7]:5", "[::1]:8443")
    assert visit.source == "fd00::/64"
    assert Visit("intake", "10.8.3.7", 5, "10.8.0.1", 8443).source == "10.8.3.0/24"


def test_a_foreign_text_is_never_told(ca):
    papers = ca.changed(subject=common_name("王小明 canary 140105201901011234".encode()))
    visit = Visit(
        "intake",
        "127.0.0.1",
        5,
        "127.0.0.11",
        8443,
        Presented(papers.chain[0], 20, 0),
        True,
        ORIGIN,
    )
    told = leaf(
        visit, refuse(Reason.CERT_UNTRUSTED, metadata={"cause": "certificate-verify-failed"})
    )
    assert told["subject"] == str(CITY)
    assert "canary" not in json.dumps(told)


def test_a_name_that_could_be_an_identity_number_is_not_told(ca):
    papers = ca.good(Subject(CITY.trust_domain, "140100", "sys", "140105201901011234"))
    visit = Visit(
        "intake", "127.0.0.1", 5, "127.0.0.11", 8443, Presented(papers.chain[0]), True, ORIGIN
    )
    told = leaf(visit, refuse(Reason.CERT_UNKNOWN))
    assert "subject" not in told
    assert told["certificate"]


def test_bytes_that_are_no_certificate_still_have_a_digest():
    told = Presented(b"garbage").fields()
    assert list(told) == ["certificate"]


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_fits_the_log(reason):
    visit = Visit("intake", "127.0.0.1", 5, "127.0.0.11", 8443)
    assert leaf(visit, refuse(reason))["reason"] == reason


def test_a_cut():
    told = json.loads(leaves.cut(ONE, Reason.CERT_REVOKED).to_leaf(1))
    assert (told["kind"], told["reason"], told["connection"], told["door"]) == (
        "connection.cut",
        "CERT_REVOKED",
        ONE.name,
        "intake",
    )
    assert (told["organisation"], told["serial"]) == ("140100", "ab")


def test_a_mismatch_names_whose_tunnel_it_was_and_alarms():
    visit = Visit("intake", "127.0.0.1", 5, "127.0.0.11", 8443, begun=True, origin=ORIGIN)
    told = leaf(visit, refuse(Reason.ORIGIN_MISMATCH))
    assert told["detail"] == {"alert": "origin-mismatch", "target_organisation": "140100"}
    assert leaf(visit, refuse(Reason.ORIGIN_STALE)).get("detail") is None
    cut = json.loads(leaves.cut(ONE, Reason.ORIGIN_MOVED).to_leaf(1))
    assert cut["detail"] == {"alert": "origin-moved"}
    assert "detail" not in json.loads(leaves.cut(ONE, Reason.CERT_REVOKED).to_leaf(1))


def test_a_peer_is_told_before_the_register_knows_it_if_a_leaf_may_hold_its_name():
    key = "kq5Wn0Wq8c3Vw0l0m1n2o3p4q5r6s7t8u9v0w1x2y3o="
    visit = Visit("intake", "10.14.1.5", 5, "10.14.0.1", 8443)
    visit.sighting = Sighting(key, "wireguard", "proven", "wg0")
    told = leaf(visit, refuse(Reason.ORIGIN_UNREGISTERED))
    assert (told["tunnel"], told["ingress"], told["strength"]) == (key, "wg0", "proven")
    visit.sighting = Sighting("CN=王小明", "strongswan", "proven", "wg0")
    assert "tunnel" not in leaf(visit, refuse(Reason.ORIGIN_UNREGISTERED))
