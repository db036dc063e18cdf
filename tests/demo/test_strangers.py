import asyncio

import pytest
from cryptography import x509

from gateway.clock import SYSTEM, to_datetime
from gateway.demo import strangers
from gateway.demo.province import COUNTIES

COUNTY = COUNTIES[0]


@pytest.mark.serial
def test_true_papers_are_served_and_stranger_ones_thrown_out(province):
    address = province.members[COUNTY].profile.remote.host

    def ended(papers):
        return asyncio.run(strangers.knock(province, address, papers))

    assert ended(strangers.of(province, COUNTY)) == "served"
    assert ended(strangers.foreign(province, COUNTY)) == "thrown out"
    assert ended(strangers.of(province, COUNTY)) == "served"


@pytest.mark.serial
def test_the_forgeries_are_what_they_claim(province):
    ours = x509.load_pem_x509_certificate(
        province.host.home.client_authority_certificate.read_bytes()
    )
    twin = x509.load_pem_x509_certificate(strangers.same_named(province, COUNTY).certificate)
    assert twin.issuer == ours.subject
    with pytest.raises(Exception, match=r".*"):
        twin.verify_directly_issued_by(ours)
    old = x509.load_pem_x509_certificate(strangers.expired(province, COUNTY).certificate)
    old.verify_directly_issued_by(ours)
    assert old.not_valid_after_utc < to_datetime(SYSTEM.now_us())
