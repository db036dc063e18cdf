import pytest
from cryptography.hazmat.primitives.serialization import pkcs12

from gateway.client import papers, renewal
from gateway.client.profile import load
from gateway.errors import Reason
from tests.client.small_gateway import PASSWORD


def test_renewing_by_hand_takes_the_session_along(small, profile, told, said):
    before = papers.read(load(profile).certificate.read_bytes())
    shown = told("certificate", "renew")
    assert (shown["in_use"], shown["serial"] != before.serial) == (True, True)
    assert load(profile).slot.number == 1
    assert told("whoami")["account"]
    assert small.calls.count("Login") == 1
    assert "证书已续期并启用" in said("certificate", "renew", lang="zh")
    assert [found.generation for found in small.register.values()] == [1, 2, 3]


@pytest.mark.parametrize("reason", [Reason.CERT_REVOKED, Reason.LINEAGE_LOCKED])
def test_what_is_wrong_is_asked_for_once_and_told_in_the_users_language(
    small, profile, told, said, reason
):
    next(iter(small.register.values())).state = reason
    small.calls.clear()
    refused = told("whoami", status=1)
    assert refused["refused"] == reason
    assert "what is wrong, and what to do" in refused["message"]
    assert small.calls.count("Diagnose") <= 2
    assert "哪里不对，该怎么办" in said("whoami", status=1, lang="zh")


def test_where_the_certificate_is_not_valid_yet_both_clocks_are_shown(small, said):
    next(iter(small.register.values())).state = Reason.CERT_NOT_YET_VALID
    shown = said("whoami", status=1)
    assert "the gateway's clock" in shown
    assert "ours" in shown


def test_renewals_that_fail_again_and_again_are_told(small, profile, said, told):
    certificate = papers.read(load(profile).certificate.read_bytes())
    renewal.save(profile, renewal.load(profile, certificate).failed(2**50).failed(2**50))
    assert "could not be renewed, 2 times" in said("whoami")
    assert told("whoami")["renewal_failures"] == 2


def test_a_browser_gets_key_and_certificate_in_one_file(profile, told, said, tmp_path):
    out, secret = tmp_path / "officer.p12", tmp_path / "secret"
    secret.write_text(PASSWORD)
    told("certificate", "pkcs12", "--out", str(out), "--password-file", str(secret))
    assert out.stat().st_mode & 0o777 == 0o600
    key, leaf, more = pkcs12.load_key_and_certificates(out.read_bytes(), PASSWORD.encode())
    assert leaf.public_key() == key.public_key()
    assert more == []
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_key_and_certificates(out.read_bytes(), b"wrong")
    assert "FILE_EXISTS" in said("certificate", "pkcs12", "--out", str(out), status=2)
