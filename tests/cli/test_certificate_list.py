import pytest
from cryptography import x509

from gateway.clock import SYSTEM
from gateway.v1 import admin_service_pb2 as ad
from gateway.v1 import certificate_pb2 as ce
from tests.cli.test_certificate import hosted
from tests.client.renewing_gateway import stamp
from tests.client.small_gateway import DAY_US
from tests.pki.forge import Ca


def registered(serial, state, **more):
    now_us = SYSTEM.now_us()
    return ad.RegisteredCertificate(
        serial=serial,
        organisation_code="140105",
        system_name="his",
        purpose=ce.CERTIFICATE_PURPOSE_TLS,
        state=state,
        issue_time=stamp(now_us - 10 * DAY_US),
        expire_time=stamp(now_us + 4 * DAY_US + 60_000_000),
        certificate_sha256="ab" * 32,
        generation=2,
        **more,
    )


@pytest.fixture
def certificates(small):
    small.certificates = [
        registered("b2", ce.CERTIFICATE_STATE_ACTIVE, warning_days=7),
        registered("a1", ce.CERTIFICATE_STATE_REVOKED, end_time=stamp(SYSTEM.now_us())),
    ]


def test_all_pages_are_listed_with_state_and_step(certificates, told, said):
    shown = told("certificate", "list")["certificates"]
    assert [(one["serial"], one["state"], one["warning_days"]) for one in shown] == [
        ("b2", "active", 7),
        ("a1", "revoked", 0),
    ]
    assert shown[0]["days_left"] == 4
    assert "已吊销" in said("certificate", "list", lang="zh")


def test_one_is_shown_with_its_next_step_in_both_languages(certificates, told, said):
    assert told("certificate", "show", "0x00:A1")["state"] == "revoked"
    assert "gateway certificate invite" in said("certificate", "show", "a1")
    assert "下一步" in said("certificate", "show", "a1", lang="zh")
    assert "abab:abab" in said("certificate", "show", "b2")
    assert told("certificate", "show", "c3", status=1)["refused"] == "NOT_FOUND"


@pytest.mark.parametrize("state", [name for name, number in ce.CertificateState.items() if number])
def test_every_state_has_its_words(small, said, state):
    small.certificates = [registered("a1", ce.CertificateState.Value(state))]
    for lang in ("en", "zh"):
        shown = said("certificate", "show", "a1", lang=lang)
        assert "certificate." not in shown.replace("gateway certificate", "")


def test_a_file_needs_no_gateway(said, told, tmp_path):
    papers = Ca.make(SYSTEM.now_us()).good()
    file = tmp_path / "leaf.pem"
    file.write_bytes(papers.pem())
    shown = told("certificate", "show", str(file))
    assert (shown["state"], shown["purpose"]) == ("active", "tls")
    leaf = x509.load_der_x509_certificate(papers.chain[0])
    assert shown["serial"] == f"{leaf.serial_number:x}"
    assert shown["key_sha256"] in said("certificate", "show", str(file))
    file.write_text("no certificate")
    assert told("certificate", "show", str(file), status=1)["refused"] == "FILE_UNREADABLE"


def test_what_is_looked_at_on_the_host_has_its_leaf(cluster, database_settings, capsys, tmp_path):
    async def work(host, at):
        told = await host.issue(tmp_path, "--system", "his")
        await host.told("certificate", "list", str(at.home.root))
        await host.told("certificate", "show", told["serial"], str(at.home.root))
        looked = [leaf for leaf in at.leaves() if leaf["kind"] == "admin.certificate.list"]
        assert [(leaf["decision"], leaf["door"]) for leaf in looked] == [("allow", "host")] * 2

    hosted(cluster, database_settings, capsys, work)
