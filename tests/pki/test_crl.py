import pytest
from cryptography import x509

from gateway.clock import SYSTEM, TurnedClock
from gateway.pki import crl, der
from gateway.pki.paths import Trust
from gateway.pki.verify import Verifier
from tests.pki.forge import CITY, DOMAIN, Ca


@pytest.fixture(scope="module")
def ca():
    return Ca.make(SYSTEM.now_us())


def test_a_list_names_serials_and_reasons(ca):
    entries = [
        crl.Revoked(f"{n:032x}", ca.now_us, reason) for n, reason in enumerate(crl.REASONS, start=1)
    ]
    made = crl.build(ca.client, entries, 42, ca.now_us)
    assert crl.number_of(made) == 42
    assert made.is_signature_valid(ca.client.certificate.public_key())
    assert made.next_update_utc - made.last_update_utc > crl.NEXT_UPDATE
    for n, reason in enumerate(crl.REASONS, start=1):
        entry = made.get_revoked_certificate_by_serial_number(n)
        said = [one.value.reason for one in entry.extensions]
        assert said == ([] if reason == "unspecified" else [crl.REASONS[reason]])


def test_a_list_without_number_is_refused(ca):
    made = crl.build(ca.client, [], 1, ca.now_us)
    bare = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(made.issuer)
        .last_update(made.last_update_utc)
        .next_update(made.next_update_utc)
        .sign(ca.client.key, made.signature_hash_algorithm)
    )
    with pytest.raises(der.MalformedError):
        crl.number_of(bare)


def test_a_list_is_put_in_place_at_once(ca, tmp_path):
    path = tmp_path / "client-authority.crl"
    for number in (1, 2):
        crl.write(path, crl.build(ca.client, [], number, ca.now_us))
        assert crl.number_of(der.revocation_list(path.read_bytes())) == number
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_long_list(ca):
    """38: ten thousand entries are built, loaded and searched; `make bench` measures a hundred thousand."""
    entries = [crl.Revoked(f"{n:x}", ca.now_us, "superseded") for n in range(1, 10_001)]
    made = crl.build(ca.client, entries, 1, ca.now_us)
    papers = ca.good()
    judge = Verifier(Trust((ca.client.certificate,), (made,)), DOMAIN, TurnedClock(ca.now_us))
    assert judge.judge(papers.chain).subject == CITY
    assert made.get_revoked_certificate_by_serial_number(10_000) is not None


def test_each_authority_has_the_list_that_it_signed_whatever_its_name():
    ours, same_name = (Ca.make(SYSTEM.now_us()) for _ in range(2))
    made = [crl.build(one.client, [], 1, one.now_us) for one in (same_name, ours)]
    assert crl.of(ours.client.certificate, made) == made[1]
    assert crl.of(same_name.client.certificate, made) == made[0]
    assert crl.of(ours.client.certificate, made[:1]) is None
    assert crl.of(ours.server.certificate, made) is None
