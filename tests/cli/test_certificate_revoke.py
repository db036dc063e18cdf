import pytest

from gateway.v1 import admin_service_pb2 as ad

WHY = ("--reason", "key-compromise", "--because", "lost laptop")
Request = ad.RevokeCertificatesRequest


@pytest.mark.parametrize(
    ("words", "target", "value"),
    [
        (("--serial", "0x00:AB:12"), "serial", "ab12"),
        (("--organisation", "140105"), "organisation_code", "140105"),
        (
            ("--organisation", "140105", "--system", "his"),
            "bearer",
            Request.Bearer(organisation_code="140105", system_name="his"),
        ),
        (
            ("--organisation", "140105", "--officer", "li"),
            "bearer",
            Request.Bearer(organisation_code="140105", system_name="li", officer=True),
        ),
        (("--authority", ":".join(["AB"] * 32)), "authority_spki_sha256", "ab" * 32),
    ],
)
def test_one_target_is_revoked_with_cause_and_reason(small, told, words, target, value):
    shown = told("certificate", "revoke", *words, *WHY)
    assert (shown["revoked"], shown["crl_number"]) == (2, 7)
    [request] = small.revocations
    assert request.WhichOneof("target") == target
    assert getattr(request, target) == value
    assert (request.cause, request.reason) == (Request.CAUSE_KEY_COMPROMISE, "lost laptop")
    assert request.request_id


@pytest.mark.parametrize(
    "words",
    [
        WHY,
        ("--serial", "ab", "--organisation", "140105", *WHY),
        ("--serial", "xyz", *WHY),
        ("--system", "his", *WHY),
        ("--organisation", "140105", "--system", "his", "--officer", "li", *WHY),
        ("--authority", "ab", *WHY),
        ("--serial", "ab", "--reason", "key-compromise"),
        ("--serial", "ab", "--because", "lost"),
        ("--serial", "ab", "--reason", "whim", "--because", "lost"),
    ],
)
def test_an_unclear_order_revokes_nothing(small, said, words):
    said("certificate", "revoke", *words, status=2)
    assert small.revocations == []
